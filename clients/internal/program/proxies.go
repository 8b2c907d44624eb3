package program

import (
	"fmt"
	"strings"

	"github.com/ttlfloor/ttlfloor/clients/internal/source"
)

// Proxies, which connect to what a name has.

var _ = register(&Program{
	Name: "nginx", Title: "nginx, `resolver` and a variable in `proxy_pass`", Packages: []string{"nginx-light"}, Version: []string{"nginx", "-v"},
	Start: func(c *Cell) (Use, error) { return nginx(c, "") },
})

var _ = register(&Program{
	Name: "nginx-valid", Title: "nginx, `resolver` with `valid=10s`", Packages: []string{"nginx-light"}, Version: []string{"nginx", "-v"},
	Start: func(c *Cell) (Use, error) { return nginx(c, " valid=10s") },
})

func nginx(c *Cell, valid string) (Use, error) {
	path, err := c.File("nginx.conf", fmt.Sprintf(`daemon off;
user root;
pid %s/nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
    access_log off;
    resolver 127.0.0.1%s ipv6=off;
    server {
        listen 127.0.0.2:8000;
        location / {
            proxy_pass http://$http_host:%d;
            proxy_connect_timeout 1s;
        }
    }
}
`, c.Dir, valid, source.Port))
	if err != nil {
		return nil, err
	}
	if _, err := c.Run("nginx", "-c", path, "-p", c.Dir, "-e", "stderr"); err != nil {
		return nil, err
	}
	return getHost("127.0.0.2:8000"), c.Listens("127.0.0.2:8000")
}

var _ = register(&Program{
	Name: "haproxy", Title: "HAProxy, `resolvers` section", Packages: []string{"haproxy"}, Version: []string{"haproxy", "-v"},
	Start: func(c *Cell) (Use, error) {
		var front strings.Builder
		ports := map[string]int{}
		for i, name := range c.Names {
			ports[name] = 8100 + i
			fmt.Fprintf(&front, `
listen case%d
    bind 127.0.0.2:%d
    server s1 %s:%d resolvers dns init-addr none
`, i, ports[name], strings.TrimSuffix(name, "."), source.Port)
		}
		path, err := c.File("haproxy.cfg", `global
    log stderr format raw local0 err
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
resolvers dns
    nameserver one 127.0.0.1:53
`+front.String())
		if err != nil {
			return nil, err
		}
		if _, err := c.Run("haproxy", "-db", "-f", path); err != nil {
			return nil, err
		}
		return get(func(name string) string { return fmt.Sprintf("http://127.0.0.2:%d/", ports[name]) }), c.Listens("127.0.0.2:8100")
	},
})
