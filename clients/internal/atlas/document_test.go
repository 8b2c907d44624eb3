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
		for treatment, fleets := range entries[i].Fleets {
			if len(fleets) < 3 {
				t.Errorf("a fleet of %s %s ttlfloor was measured %d times, want three", entries[i].Client, treatment, len(fleets))
			}
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
	fleets := func(before, after int, ratio float64) map[string][]Fleet {
		return map[string][]Fleet{"without": {{Queries: 300, Busiest: before, Ratio: 20}}, "with": {{Queries: 240, Second: int(4 * ratio), Busiest: after, Ratio: 3}}}
	}
	for _, tt := range []struct {
		name string
		e    Entry
		want string
	}{
		{"a fleet that is even", Entry{Conclusion: Conclusion{Itself: true, Follows: true}, Fleets: fleets(100, 6, 1.5)}, "cured"},
		{"one that is more even", Entry{Conclusion: Conclusion{Itself: true, Follows: true}, Fleets: fleets(20, 12, 3)}, "helped"},
		{"one that is even, and has jitter of its own", Entry{Conclusion: Conclusion{Itself: true, Follows: true, Jitter: 3.8}, Fleets: fleets(21, 8, 1.5)}, "helped"},
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

// TestRepeatedFleets shows the measurement in the middle, and says if another says otherwise.
func TestRepeatedFleets(t *testing.T) {
	fleets := func(busiest ...int) (all []Fleet) {
		for _, b := range busiest {
			all = append(all, Fleet{Queries: 300, Second: b / 2, Busiest: b})
		}
		return all
	}
	for _, tt := range []struct {
		name          string
		without, with []Fleet
		verdict       string
		differs       int
	}{
		{"that agree", fleets(90, 100, 80), fleets(8, 7, 9), "cured", 0},
		{"of which one is uneven", fleets(90, 100, 80), fleets(8, 95, 9), "cured", 1},
		{"of which one is even", fleets(20, 21, 22), fleets(19, 8, 21), "not moved: as uneven as before", 1},
		{"of which one failed", fleets(90, 100, 80), append(fleets(8, 7), Fleet{Error: "it ended"}), "not measured as a fleet", 0},
	} {
		e := Entry{Conclusion: Conclusion{Itself: true, Follows: true}}
		e.AddFleets(map[string][]Fleet{"without": tt.without, "with": tt.with})
		if got := e.verdict(); got != tt.verdict || len(e.Differs) != tt.differs {
			t.Errorf("three %s: %s, and they differ in %q; want %s and %d", tt.name, got, e.Differs, tt.verdict, tt.differs)
		}
	}
}
