package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestEndpointChanges replaces the endpoints of a service of the mesh, and waits
// for DNS to say so. A proxy has the old ones for its TTL besides.
func TestEndpointChanges(t *testing.T) {
	h := headless{"linkerd", "changing", "grpc", 8090, endpoints("10.42.4.1", "10.42.4.2", "fd00:10:42:4::1")}
	if err := h.make(); err != nil {
		t.Fatal(err)
	}
	p := startReady(t, coreDNSProgram, deployment(t).corefile(t))
	has := func(v4, v6 string) func() error {
		return func() error {
			a, aaaa := content(ask(t, p.dns, h.fqdn(), dns.TypeA).Answer), content(ask(t, p.dns, h.fqdn(), dns.TypeAAAA).Answer)
			if a != v4 || aaaa != v6 {
				return fmt.Errorf("%q and %q, want %q and %q", a, aaaa, v4, v6)
			}
			return nil
		}
	}
	eventually(t, patience, has("10.42.4.1, 10.42.4.2", "fd00:10:42:4::1"))
	for _, step := range []struct {
		name      string
		endpoints []endpoint
		v4, v6    string
	}{
		{"one more, of each family", endpoints("10.42.4.1", "10.42.4.2", "10.42.4.3", "fd00:10:42:4::1", "fd00:10:42:4::3"), "10.42.4.1, 10.42.4.2, 10.42.4.3", "fd00:10:42:4::1, fd00:10:42:4::3"},
		{"all are others", endpoints("10.42.5.1", "fd00:10:42:5::1"), "10.42.5.1", "fd00:10:42:5::1"},
		{"none", nil, "", ""},
		{"back", endpoints("10.42.4.1"), "10.42.4.1", ""},
	} {
		h.endpoints = step.endpoints
		if err := h.update(); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		eventually(t, patience, has(step.v4, step.v6))
		t.Logf("%s: in DNS after %v", step.name, time.Since(begin).Round(time.Millisecond))
	}
	if m := ask(t, p.dns, h.target(endpoint{"10.42.4.2", ""}), dns.TypeA); m.Rcode != dns.RcodeNameError {
		t.Errorf("a removed endpoint: %s, want NXDOMAIN", dns.RcodeToString[m.Rcode])
	}
}
