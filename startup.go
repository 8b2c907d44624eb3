package ttlfloor

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	clog "github.com/coredns/coredns/plugin/pkg/log"

	"github.com/miekg/dns"
)

var log = clog.NewWithPlugin(pluginName)

// stock is the order of CoreDNS's own plugins.
const stock = `root metadata geoip cancel proxyproto quic grpc_server https https3 timeouts multisocket reload nsid
	bufsize bind debug trace ready health pprof shed prometheus errors log dnstap local dns64 siit any chaos loadbalance
	tsig rewrite autopath acl cache header dnssec tls minimal template transfer dynupdate hosts route53 azure clouddns
	k8s_external kubernetes file auto secondary etcd loop forward grpc erratic whoami on sign view nomad`

// checkPlace refuses a chain, outermost plugin first, in which one that belongs
// inside ttlfloor is outside, and warns of one that it does not know.
func checkPlace(chain []plugin.Handler) error {
	order := strings.Fields(stock)
	for _, h := range chain {
		name := h.Name()
		switch i := slices.Index(order, name); {
		case name == pluginName:
			return nil
		case i > slices.Index(order, "tsig"):
			return fmt.Errorf(`%q is compiled in below %q, whose responses it would not see as clients get them; in plugin.cfg move the line `+
				`"ttlfloor:github.com/ttlfloor/ttlfloor" above "%[2]s:%[2]s", best directly above "rewrite:rewrite", and build again`, pluginName, name)
		case i < 0:
			log.Warningf("plugin %q runs outside; if it answers, caches or rewrites, move the line \"ttlfloor:github.com/ttlfloor/ttlfloor\" above its own in plugin.cfg", name)
		}
	}
	return nil
}

// configs returns what CoreDNS knows of each key of each server block, with the
// number of the block. GetConfig makes one that is not there, which is of no
// consequence once the servers are made, at startup.
func configs(c *caddy.Controller) iter.Seq2[int, *dnsserver.Config] {
	return func(yield func(int, *dnsserver.Config) bool) {
		at := *c
		for at.ServerBlockIndex = 0; ; at.ServerBlockIndex++ {
			for at.ServerBlockKeyIndex = 0; ; at.ServerBlockKeyIndex++ {
				cfg := dnsserver.GetConfig(&at)
				if cfg.Transport == "" {
					break
				}
				if !yield(at.ServerBlockIndex, cfg) {
					return
				}
			}
			if at.ServerBlockKeyIndex == 0 {
				return
			}
		}
	}
}

// warn logs the zones of rules that no query for their server block is in: those
// outside of its zones, and those that go to another block at one of its
// addresses. A block with a view shares its zones.
func warn(c *caddy.Controller, rules []*rule) {
	keys, _ := parseZones(c, nil)
	ours, others := map[string]plugin.Zones{}, map[string]plugin.Zones{}
	for block, cfg := range configs(c) {
		zones := others
		if block == c.ServerBlockIndex {
			zones = ours
		} else if len(cfg.FilterFuncs) > 0 {
			continue
		}
		for _, addr := range addresses(cfg) {
			zones[addr] = append(zones[addr], cfg.Zone)
		}
	}
	for _, r := range rules {
		for _, zone := range r.zones {
			if !slices.ContainsFunc(keys, func(key string) bool { return dns.IsSubDomain(key, zone) || dns.IsSubDomain(zone, key) }) {
				log.Warningf("%s: zone %q is outside the zones of its server block (%s), so the rule does nothing for it", r.at, zone, strings.Join(keys, " "))
			}
			for _, addr := range slices.Sorted(maps.Keys(ours)) {
				if own, other := ours[addr].Matches(zone), others[addr].Matches(zone); own != "" && len(other) > len(own) {
					log.Warningf("%s: zone %q is served by another server block on %s, that of %q, so the rule does nothing for it there; move it to that block", r.at, zone, addr, other)
				}
			}
		}
	}
}
