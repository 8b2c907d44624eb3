//go:build linux

package atlas

import (
	"bytes"
	"os"
	"testing"

	"github.com/ttlfloor/ttlfloor/clients/internal/program"
)

// TestDocument has the document say what was measured, of each program.
func TestDocument(t *testing.T) {
	entries, err := Read("../../../docs/clients.json")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for i := range entries {
		known[entries[i].Client] = true
		if entries[i].Error == "" && entries[i].Repeats < 3 {
			t.Errorf("%s was measured %d times, want three", entries[i].Client, entries[i].Repeats)
		}
	}
	for _, p := range program.All {
		if !known[p.Name] {
			t.Errorf("%s is not in the document; make clients CLIENT=%s", p.Name, p.Name)
		}
	}
	var got bytes.Buffer
	if err := Document(&got, entries); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../../../docs/clients.md")
	if err != nil || got.String() != string(want) {
		t.Errorf("docs/clients.md is stale (%v); clients document writes it", err)
	}
}

// TestVerdict has what becomes of clients.
func TestVerdict(t *testing.T) {
	fleets := func(before, after int, ratio float64) map[string]Fleet {
		return map[string]Fleet{"without": {Queries: 300, Busiest: before, Ratio: 20}, "with": {Queries: 240, Second: int(4 * ratio), Busiest: after, Ratio: 3}}
	}
	for _, tt := range []struct {
		name string
		e    Entry
		want string
	}{
		{"a fleet that is even", Entry{Conclusion: Conclusion{Itself: true, Follows: true}, Fleets: fleets(100, 6, 1.5)}, "cured"},
		{"one that is more even", Entry{Conclusion: Conclusion{Itself: true, Follows: true}, Fleets: fleets(20, 12, 3)}, "helped"},
		{"one that is as it was", Entry{Conclusion: Conclusion{Itself: true, Follows: true}, Fleets: fleets(100, 100, 40)}, "not moved: as uneven as before"},
		{"one that is more even, and has waits of its own", Entry{Conclusion: Conclusion{Itself: true}, Fleets: fleets(200, 100, 30)}, "not moved: its waits are its own"},
		{"one without a fleet", Entry{Conclusion: Conclusion{Itself: true, Follows: true}}, "not measured as a fleet"},
		{"one that is less even", Entry{Conclusion: Conclusion{Itself: true, Follows: true}, Fleets: fleets(10, 20, 4)}, "made worse"},
		{"a cache", Entry{Conclusion: Conclusion{Follows: true}}, "helped"},
		{"no cache", Entry{Conclusion: Conclusion{Waits: map[string]string{"ttl30": eachUse}}}, "not moved: it keeps nothing"},
		{"once", Entry{Conclusion: Conclusion{Waits: map[string]string{"ttl30": never}}}, "not moved: it asks once"},
		{"none", Entry{Error: "it does not start"}, "not measured"},
	} {
		if got := tt.e.verdict(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
