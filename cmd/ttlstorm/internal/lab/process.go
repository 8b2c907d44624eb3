package lab

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	_ "github.com/coredns/coredns/plugin/cache" // the treatments
	_ "github.com/coredns/coredns/plugin/rewrite"

	_ "github.com/ttlfloor/ttlfloor" // one more treatment
	"github.com/ttlfloor/ttlfloor/internal/chain"
	"github.com/ttlfloor/ttlfloor/internal/chance"
)

// process is one CoreDNS. Caddy starts it, reloads it and ends it as it does a
// real one, so that plugins see every hook in the true order; it is only not given
// sockets to listen on, which virtual time would wait for without end.
//
// It is the configuration that an instance of it is started from, too.
type process struct {
	directives []string                            // in the order of the chain
	below      plugin.Handler                      // the upstream
	beneath    func(plugin.Handler) plugin.Handler // goes directly below ttlfloor; nil if nothing does
	draw       func(uint32) uint32                 // the chance of the run

	instance *caddy.Instance
	handler  plugin.Handler // the chain of the instance that was started last
}

// Body implements caddy.Input.
func (p *process) Body() []byte {
	return []byte(fmt.Sprintf(".:53 {\n %s\n %s\n}\n", front, strings.Join(p.directives, "\n ")))
}

// Path implements caddy.Input.
func (p *process) Path() string { return "Corefile" }

// ServerType implements caddy.Input.
func (p *process) ServerType() string { return serverType }

const (
	serverType = "lab"
	front      = "lab" // the directive whose hook at startup is run before all others
)

// order is that of the directives that the laboratory has.
var order = []string{front, "ttlfloor", "rewrite", "cache"}

// processKey is where an instance stores its process.
type processKey struct{}

func init() {
	caddy.RegisterServerType(serverType, caddy.ServerType{
		Directives: func() []string { return order },
		NewContext: func(i *caddy.Instance) caddy.Context {
			p := i.Caddyfile().(*process)
			i.Storage[processKey{}], i.Storage[chance.Key{}] = p, p.draw
			return caddy.NewTestController("dns", "").Context() // CoreDNS's own
		},
	})
	caddy.RegisterPlugin(front, caddy.Plugin{ServerType: serverType, Action: setup})
	for _, name := range order[1:] {
		action, err := caddy.DirectiveAction("dns", name)
		if err != nil {
			panic(err)
		}
		caddy.RegisterPlugin(name, caddy.Plugin{ServerType: serverType, Action: action})
	}
}

// setup has CoreDNS make no server, and makes the chain of handlers itself, when
// CoreDNS would have done so.
func setup(c *caddy.Controller) error {
	p := c.Get(processKey{}).(*process)
	cfg := dnsserver.GetConfig(c)
	hosts := cfg.ListenHosts
	cfg.ListenHosts = nil
	compiled := false
	compile := func() error {
		if compiled {
			return nil
		}
		compiled, cfg.ListenHosts = true, hosts
		if p.beneath != nil && len(p.directives) > 0 && strings.HasPrefix(p.directives[0], "ttlfloor") {
			cfg.Plugin = slices.Insert(cfg.Plugin, 1, p.beneath)
		}
		cfg.AddPlugin(func(plugin.Handler) plugin.Handler { return p.below })
		cfg.Plugin = slices.Insert(cfg.Plugin, 0, func(next plugin.Handler) plugin.Handler {
			p.handler = next
			return next
		})
		_, err := dnsserver.NewServer("dns://:53", []*dnsserver.Config{cfg})
		return err
	}
	c.OnFirstStartup(compile) // a reload has none
	c.OnStartup(compile)
	return nil
}

// machine is held while an instance is started or ended. Plugins may look for the
// other instances of their process, and Caddy has one list of them for all that
// are in this one; so each replica of each run has the list for itself meanwhile,
// and otherwise nobody is in it.
var machine sync.Mutex

// start starts the process.
func (p *process) start() (err error) {
	machine.Lock()
	defer machine.Unlock()
	if err := chain.Set(); err != nil {
		return err
	}
	if p.instance, err = caddy.Start(p); err != nil {
		return err
	}
	return p.instance.Stop() // there are no servers to stop; it goes off the list
}

// reload starts a new instance beside the old one, from the same directives, and then
// ends that one.
func (p *process) reload() error {
	machine.Lock()
	defer machine.Unlock()
	// Nothing but a start puts an instance on the list, so one is started that
	// gives its place away.
	placeholder, err := caddy.Start(&process{below: p.below, draw: p.draw})
	if err != nil {
		return err
	}
	list := caddy.Instances()
	list[slices.Index(list, placeholder)] = p.instance
	p.instance, err = p.instance.Restart(p) // which is the old one if it fails
	return errors.Join(err, p.instance.Stop())
}

// stop ends the process. Plugins have to forget by then what they keep outside of
// their instance, since here it would not end with it.
func (p *process) stop() {
	machine.Lock()
	defer machine.Unlock()
	p.instance.ShutdownCallbacks()
}
