// Command coredns is CoreDNS with every plugin of upstream and ttlfloor.
package main

import (
	"log"
	"runtime/debug"

	"github.com/coredns/caddy"
	_ "github.com/coredns/coredns/core/plugin" // every plugin of upstream
	"github.com/coredns/coredns/coremain"
	// Root certificates for an image from scratch, which has none: without them
	// forward over TLS, DoH upstreams and cloud plugins trust nobody there. The
	// roots of the system go before them where it has some.
	_ "golang.org/x/crypto/x509roots/fallback"

	_ "github.com/ttlfloor/ttlfloor"
	"github.com/ttlfloor/ttlfloor/internal/chain"
)

// version is that of ttlfloor; a release sets it with -ldflags "-X main.version=...".
var version string

func main() {
	if err := chain.Set(); err != nil {
		log.Fatal(err)
	}
	caddy.AppVersion += " with ttlfloor-" + ttlfloorVersion()
	coremain.Run()
}

// ttlfloorVersion returns the version set by the release, or that which the
// module was fetched at.
func ttlfloorVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "(unknown)"
}
