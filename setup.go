package ttlfloor

import (
	"math/rand/v2"
	"net"
	"strings"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"

	"github.com/ttlfloor/ttlfloor/internal/chance"
)

func init() {
	plugin.Register(pluginName, setup)
	// An instance is in charge from this event on. Before, it may fail and be dropped.
	caddy.RegisterEventHook(pluginName, func(event caddy.EventName, _ any) error {
		if event == caddy.InstanceStartupEvent {
			meters.settle()
		}
		return nil
	})
}

func setup(c *caddy.Controller) error {
	directive := c.Dispenser // for an error at startup
	rules, err := parse(c)
	if err != nil {
		return plugin.Error(pluginName, err)
	}
	draw, ok := c.Get(chance.Key{}).(func(uint32) uint32)
	if !ok {
		draw = rand.Uint32N // #nosec G404 -- chance, not a secret
	}
	t := newHandler(rules, draw)
	t.block = strings.Join(c.ServerBlockKeys, " ")

	siblings, _ := c.Get(instanceKey{}).([]*TTLFloor)
	c.Set(instanceKey{}, append(siblings, t))

	c.OnStartup(func() error {
		cfg := dnsserver.GetConfig(c)
		if err := checkPlace(cfg.Handlers()); err != nil {
			directive.Next()
			return plugin.Error(pluginName, directive.Err(err.Error()))
		}
		warn(c, rules)
		for block, cfg := range configs(c) {
			markBelow(cfg.Handler("cache"))
			if block == c.ServerBlockIndex {
				t.servers = append(t.servers, addresses(cfg)...)
			}
		}
		t.view = cfg.ViewName
		all, _ := c.Get(instanceKey{}).([]*TTLFloor)
		t.inherit(all)
		return nil
	})
	c.OnShutdown(func() error {
		meters.settle()
		return nil
	})

	dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler {
		t.Next = next
		return t
	})
	return nil
}

// instanceKey is where a Caddy instance stores its handlers.
type instanceKey struct{}

// addresses returns those of a configuration, as CoreDNS writes them.
func addresses(cfg *dnsserver.Config) (addrs []string) {
	for _, host := range cfg.ListenHosts {
		if addr, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(host, cfg.Port)); err == nil {
			addrs = append(addrs, cfg.Transport+"://"+addr.String())
		}
	}
	return addrs
}
