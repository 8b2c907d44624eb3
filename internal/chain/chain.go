// Package chain puts ttlfloor into CoreDNS's order of plugins.
package chain

import (
	"fmt"
	"slices"

	"github.com/coredns/coredns/core/dnsserver"
)

// Set gives this CoreDNS the order of Insert, once. It has to be called before a
// server is started.
func Set() error {
	if slices.Contains(dnsserver.Directives, "ttlfloor") {
		return nil
	}
	directives, err := Insert(dnsserver.Directives)
	if err != nil {
		return err
	}
	return dnsserver.SetDirectives(directives)
}

// Insert returns the order of directives with "ttlfloor" directly after "tsig":
// outside of every plugin that answers, caches or rewrites, and inside the one
// that signs last. It fails where there is no "tsig".
func Insert(directives []string) ([]string, error) {
	i := slices.Index(directives, "tsig")
	if i < 0 {
		return nil, fmt.Errorf(`directive "tsig" is not in the order of this CoreDNS (%q); "ttlfloor" belongs directly after it`, directives)
	}
	return slices.Insert(slices.Clone(directives), i+1, "ttlfloor"), nil
}
