// Command coredns is CoreDNS with every plugin of upstream and ttlfloor.
package main

import (
	"log"
	"runtime/debug"

	"github.com/coredns/caddy"
	_ "github.com/coredns/coredns/core/plugin" // every plugin of upstream
	"github.com/coredns/coredns/coremain"

	_ "github.com/ttlfloor/ttlfloor"
	"github.com/ttlfloor/ttlfloor/internal/chain"
	_ "golang.org/x/crypto/x509roots/fallback" // the image has no root certificates; those of a system go before these
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
