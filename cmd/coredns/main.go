// Command coredns is CoreDNS with every plugin of upstream and ttlfloor.
package main

import (
	"fmt"
	"log"
	"runtime/debug"
	"slices"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/core/plugin" // every plugin of upstream
	"github.com/coredns/coredns/coremain"

	_ "github.com/ttlfloor/ttlfloor"
)

// version is that of ttlfloor; a release sets it with -ldflags "-X main.version=...".
var version string

func main() {
	directives, err := insert(dnsserver.Directives)
	if err == nil {
		err = dnsserver.SetDirectives(directives)
	}
	if err != nil {
		log.Fatal(err)
	}
	caddy.AppVersion += " with ttlfloor-" + ttlfloorVersion()
	coremain.Run()
}

// insert puts ttlfloor directly after tsig, so that it is outside of every
// plugin that answers, caches or rewrites, and inside the one that signs last.
func insert(directives []string) ([]string, error) {
	i := slices.Index(directives, "tsig")
	if i < 0 {
		return nil, fmt.Errorf(`directive "tsig" is not in the order of this CoreDNS (%q); "ttlfloor" belongs directly after it`, directives)
	}
	return slices.Insert(slices.Clone(directives), i+1, "ttlfloor"), nil
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
