package lab

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy/caddyfile"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/client"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

// TestCorefiles runs the rules and the cache of each Corefile in deploy/ with the fleet
// that it is for, and looks at the busiest second from the fifth minute on.
func TestCorefiles(t *testing.T) {
	outside := []string{"api.example.org.", "www.example.org."}
	for _, tt := range []struct {
		path     string
		block    string // first key
		fleet    string
		names    []string
		model    string
		clients  int
		source   uint32
		replicas int
		most     float64
	}{
		{"base", ".:53", "proxies", names, "linkerd", 1000, 30, 3, 1.08},
		{"overlays/istio", ".:53", "proxies", otherNames[:2], "envoy-jitter", 1000, 30, 3, 1.2},
		{"overlays/istio", ".:53", "hosts outside", outside, "envoy-jitter", 1000, 60, 3, 1.25},
		{"overlays/istio", ".:53", "hosts outside with a TTL of 300", outside, "envoy-jitter", 1000, 300, 3, 1.25},
		{"overlays/consul", "consul:53", "pollers", []string{"web.service.consul.", "db.service.dc1.consul."}, "linkerd", 1000, 0, 2, 1.05},
		{"node-cache", "cluster.local:53", "pods of a node", names, "linkerd", 100, 30, 1, 1.6},
	} {
		t.Run(tt.path+", "+tt.fleet, func(t *testing.T) {
			r := base(storm.Treatment{Name: tt.path, Directives: directivesOf(t, "../../../../deploy/"+tt.path+"/Corefile", tt.block, "ttlfloor", "cache")}, tt.source)
			model, err := client.ByName(tt.model)
			if err != nil {
				t.Fatal(err)
			}
			r.Model, r.Names, r.Clients, r.Replicas, r.Length = model, tt.names, tt.clients, tt.replicas, 10*time.Minute
			herd := func() float64 { return do(t, r).Record.Span(4*60, 10*60).SecondRatio }
			got := herd()
			t.Logf("the busiest second has %.2f times the mean", got)
			if got > tt.most {
				t.Errorf("want %.2f at most", tt.most)
			}
			for i, d := range r.Treatment.Directives {
				if strings.HasPrefix(d, "ttlfloor") {
					r.Treatment.Directives[i] = "ttlfloor 1s other.example"
				}
			}
			if without := herd(); without < 2*tt.most {
				t.Errorf("without the rules it has %.2f times: the fleet is none that needs them", without)
			}
		})
	}
}

// directivesOf returns the directives of some plugins in a server block of a Corefile.
func directivesOf(t *testing.T, path, block string, plugins ...string) (directives []string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	blocks, err := caddyfile.Parse("Corefile", file, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if b.Keys[0] != block {
			continue
		}
		for _, name := range plugins {
			var text strings.Builder
			line := 0
			for _, token := range b.Tokens[name] {
				if token.Line > line && line > 0 {
					text.WriteString("\n")
				}
				line = token.Line
				text.WriteString(token.Text + " ")
			}
			if text.Len() > 0 {
				directives = append(directives, text.String())
			}
		}
		return directives
	}
	t.Fatalf("%s has no server block %s", path, block)
	return nil
}
