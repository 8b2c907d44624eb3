package ttlfloor

import (
	"net"
	"slices"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
)

func init() { plugin.Register(pluginName, setup) }

func setup(c *caddy.Controller) error {
	directive := c.Dispenser // for an error at startup
	rules, err := parse(c)
	if err != nil {
		return plugin.Error(pluginName, err)
	}
	t := newHandler(rules)

	siblings, _ := c.Get(instanceKey{}).([]*TTLFloor)
	c.Set(instanceKey{}, append(siblings, t))

	c.OnStartup(func() error {
		cfg := dnsserver.GetConfig(c)
		if cfg.Handler("cache") != nil && cacheOutside(dnsserver.Directives) {
			directive.Next()
			return plugin.Error(pluginName, directive.Err(errCacheOutside))
		}
		t.place.Store(&place{view: cfg.ViewName, servers: servers(c)})
		return nil
	})
	c.OnShutdown(func() error {
		meters.retain(inUse)
		return nil
	})

	dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler {
		t.Next = next
		return t
	})
	return nil
}

const errCacheOutside = `"ttlfloor" is compiled in below "cache", which would store one spread TTL and hand it to everyone; ` +
	`in plugin.cfg move the line "ttlfloor:github.com/ttlfloor/ttlfloor" above "cache:cache", best directly above "rewrite:rewrite", and build again`

// cacheOutside tells whether a directive order makes *cache* see the responses
// after *ttlfloor*.
func cacheOutside(directives []string) bool {
	return slices.Index(directives, "cache") < slices.Index(directives, pluginName)
}

// instanceKey is where a Caddy instance stores its handlers.
type instanceKey struct{}

// place is where a handler runs.
type place struct {
	view    string
	servers []string // addresses, as in the label of metrics
}

// servers returns the addresses of the servers of c's server block.
func servers(c *caddy.Controller) (addrs []string) {
	for i := range c.ServerBlockKeys {
		key := *c
		key.ServerBlockKeyIndex = i
		cfg := dnsserver.GetConfig(&key)
		for _, host := range cfg.ListenHosts {
			addrs = append(addrs, cfg.Transport+"://"+net.JoinHostPort(host, cfg.Port))
		}
	}
	return addrs
}

// inUse tells whether some running handler has metrics with these labels. At a
// reload the new instance runs before the old one is shut down, so the series
// of zones that both have go on.
func inUse(l labels) bool {
	for _, instance := range caddy.Instances() {
		instance.StorageMu.RLock()
		handlers, _ := instance.Storage[instanceKey{}].([]*TTLFloor)
		instance.StorageMu.RUnlock()
		for _, t := range handlers {
			p := t.place.Load()
			if p != nil && p.view == l.view && slices.Contains(p.servers, l.server) && t.zones.byName[l.zone] != nil {
				return true
			}
		}
	}
	return false
}
