package ttlfloor

import (
	"net"
	"slices"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"

	"github.com/ttlfloor/ttlfloor/internal/chance"
)

func init() { plugin.Register(pluginName, setup) }

func setup(c *caddy.Controller) error {
	directive := c.Dispenser // for an error at startup
	rules, err := parse(c)
	if err != nil {
		return plugin.Error(pluginName, err)
	}
	t := newHandler(rules)
	if draw, ok := c.Get(chance.Key{}).(func(uint32) uint32); ok {
		t.draw = draw
	}

	siblings, _ := c.Get(instanceKey{}).([]*TTLFloor)
	c.Set(instanceKey{}, append(siblings, t))

	c.OnStartup(func() error {
		cfg := dnsserver.GetConfig(c)
		if cfg.Handler("cache") != nil && cacheOutside(dnsserver.Directives) {
			directive.Next()
			return plugin.Error(pluginName, directive.Err(errCacheOutside))
		}
		addrs, err := servers(c)
		if err != nil {
			return plugin.Error(pluginName, err)
		}
		t.view = cfg.ViewName
		t.expose(addrs)
		return nil
	})
	c.OnRestartFailed(func() error { // what the instance that failed has left
		addrs, err := servers(c)
		t.expose(addrs)
		meters.retain()
		return err
	})
	c.OnShutdown(func() error {
		meters.retain()
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

// servers returns the addresses of the servers of c's server block, as CoreDNS
// labels its metrics with them.
func servers(c *caddy.Controller) (addrs []string, err error) {
	for i := range c.ServerBlockKeys {
		key := *c
		key.ServerBlockKeyIndex = i
		cfg := dnsserver.GetConfig(&key)
		for _, host := range cfg.ListenHosts {
			addr, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(host, cfg.Port))
			if err != nil {
				return nil, err
			}
			addrs = append(addrs, cfg.Transport+"://"+addr.String())
		}
	}
	return addrs, nil
}
