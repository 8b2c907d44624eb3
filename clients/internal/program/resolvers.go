package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Resolvers and caches of servers, which forward what they do not have.

// second is where a cache in a cell listens.
const second = "127.0.0.2:53"

// cache starts a cache, which listens on second.
func cache(c *Cell, args ...string) (Use, error) {
	if _, err := c.Run(args...); err != nil {
		return nil, err
	}
	return ask(second), c.Listens(second)
}

var _ = register(&Program{
	Name: "knot-resolver", Title: "Knot Resolver, `policy.FORWARD`", Packages: []string{"knot-resolver"}, Version: []string{"kresd", "--version"},
	Start: func(c *Cell) (Use, error) {
		path, err := c.File("kresd.conf", `net.listen('127.0.0.2', 53, { kind = 'dns' })
trust_anchors.remove('.')
policy.add(policy.all(policy.FORWARD('127.0.0.1')))
cache.size = 10 * MB
`)
		if err != nil {
			return nil, err
		}
		return cache(c, "kresd", "--noninteractive", "--config="+path, c.Dir)
	},
})

var _ = register(&Program{
	Name: "pdns-recursor", Title: "PowerDNS Recursor", Packages: []string{"pdns-recursor"}, Version: []string{"pdns_recursor", "--version"},
	Start: func(c *Cell) (Use, error) {
		if _, err := c.File("recursor.conf", fmt.Sprintf(`local-address=127.0.0.2
dont-query=
forward-zones-recurse=.=127.0.0.1
dnssec=off
daemon=no
disable-syslog=yes
write-pid=no
socket-dir=%s
security-poll-suffix=
`, c.Dir)); err != nil {
			return nil, err
		}
		return cache(c, "pdns_recursor", "--config-dir="+c.Dir)
	},
})

var _ = register(&Program{
	Name: "dnsdist", Title: "dnsdist, `newPacketCache(10000)`", Packages: []string{"dnsdist"}, Version: []string{"dnsdist", "--version"},
	Start: func(c *Cell) (Use, error) {
		path, err := c.File("dnsdist.conf", `setLocal("127.0.0.2:53")
setSecurityPollSuffix("")
newServer("127.0.0.1:53"):setUp()
getPool(""):setCache(newPacketCache(10000))
`)
		if err != nil {
			return nil, err
		}
		return cache(c, "dnsdist", "--supervised", "--disable-syslog", "--config", path)
	},
})

var _ = register(&Program{
	Name: "coredns-cache", Title: "CoreDNS, `cache 30`", Version: []string{"{dir}/coredns", "-version"},
	Install: getCoreDNS,
	Start:   func(c *Cell) (Use, error) { return coreDNS(c, "") },
})

var _ = register(&Program{
	Name: "coredns-stale", Title: "CoreDNS, `cache 30` with `serve_stale`", Version: []string{"{dir}/coredns", "-version"},
	Install: getCoreDNS,
	Start: func(c *Cell) (Use, error) {
		return coreDNS(c, ` {
        serve_stale
    }`)
	},
})

// getCoreDNS builds CoreDNS as it comes.
func getCoreDNS(ctx context.Context, dir string) error {
	const version = "v1.15.0"
	return run(ctx, "", "env", "GOBIN="+dir, "go", "install", "github.com/coredns/coredns@"+version)
}

func coreDNS(c *Cell, options string) (Use, error) {
	path, err := c.File("Corefile", fmt.Sprintf(`.:53 {
    bind 127.0.0.2
    forward . 127.0.0.1
    cache 30%s
}
`, options))
	if err != nil {
		return nil, err
	}
	return cache(c, c.Installed+"/coredns", "-conf", path)
}

var _ = register(&Program{
	Name: "systemd-resolved", Title: "systemd-resolved, `CacheFromLocalhost=yes`",
	Packages: []string{"libsystemd-shared"}, Version: []string{"{dir}" + resolved, "--version"},
	Install: func(ctx context.Context, dir string) error {
		if _, err := os.Stat(dir + resolved); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		// Its package would take over the resolv.conf of the machine.
		if err := run(ctx, dir, "apt-get", "download", "-qq", "systemd-resolved"); err != nil {
			return err
		}
		packages, err := filepath.Glob(filepath.Join(dir, "*.deb"))
		if err != nil || len(packages) == 0 {
			return fmt.Errorf("there is no package in %s", dir)
		}
		return run(ctx, dir, "dpkg", "-x", packages[len(packages)-1], dir)
	},
	Start: func(c *Cell) (Use, error) {
		const configuration = "/run/systemd/resolved.conf.d"
		if err := c.ownRun(configuration); err != nil {
			return nil, err
		}
		// It does not keep what a server of its own machine says, unless it is told to.
		err := os.WriteFile(configuration+"/cell.conf", []byte(`[Resolve]
DNS=127.0.0.1
FallbackDNS=
LLMNR=no
MulticastDNS=no
CacheFromLocalhost=yes
`), 0o644) // #nosec G306 -- it drops its rights
		if err != nil {
			return nil, err
		}
		if err := c.user("systemd-resolve"); err != nil {
			return nil, err
		}
		// Without an interface that has an address it takes the machine to be offline.
		for _, args := range [][]string{
			{"link", "add", "cell0", "type", "veth", "peer", "name", "cell1"},
			{"link", "set", "cell1", "up"},
			{"link", "set", "cell0", "up"},
			{"addr", "add", "192.0.2.1/24", "dev", "cell0"},
		} {
			if err := run(c.Context, "", append([]string{"ip"}, args...)...); err != nil {
				return nil, err
			}
		}
		if _, err := c.Run(c.Installed + resolved); err != nil {
			return nil, err
		}
		return ask("127.0.0.53:53"), c.Listens("127.0.0.53:53")
	},
})

// resolved is where its package has it.
const resolved = "/lib/systemd/systemd-resolved"

// user gives the cell a user, whom the machine does not have.
func (c *Cell) user(name string) error {
	for _, file := range []struct{ path, line string }{
		{"/etc/passwd", name + ":x:990:990::/:/usr/sbin/nologin\n"},
		{"/etc/group", name + ":x:990:\n"},
	} {
		all, err := os.ReadFile(file.path)
		if err != nil {
			return err
		}
		path, err := c.File(filepath.Base(file.path), string(all)+file.line)
		if err != nil {
			return err
		}
		if err := run(c.Context, "", "mount", "--bind", path, file.path); err != nil {
			return err
		}
	}
	return nil
}
