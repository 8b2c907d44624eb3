//go:build linux

package atlas

import (
	"testing"

	"github.com/ttlfloor/ttlfloor/clients/internal/source"
)

// made is a result with waits by case.
func made(itself int, waits map[string][]float64) *Result {
	r := &Result{}
	for label, w := range waits {
		r.Rows = append(r.Rows, Row{Case: label, Waits: sumUp(w), Itself: itself, Queries: len(w) + 1})
	}
	return r
}

// TestConclude has what follows from waits.
func TestConclude(t *testing.T) {
	for _, tt := range []struct {
		name    string
		result  *Result
		itself  bool
		follows bool
		floor   int
		waits   map[string]string
	}{
		{"a cache", made(0, map[string][]float64{
			source.TTL0: {0.25, 0.25, 0.27}, source.TTL1: {0.75, 1, 1.03}, source.TTL5: {4.76, 5.01, 5.06}, source.TTL30: {29.86},
		}), false, true, 0, map[string]string{source.TTL0: eachUse, source.TTL1: "1 s", source.TTL5: "5 s", source.TTL30: "30 s"}},
		{"a proxy", made(3, map[string][]float64{
			source.TTL0: {5, 5.01}, source.TTL1: {1, 1.01}, source.TTL5: {5, 5.01}, source.TTL30: {30},
		}), true, true, 0, map[string]string{source.TTL0: "5 s", source.TTL1: "1 s"}},
		{"a proxy with a floor of 5 s", made(3, map[string][]float64{source.TTL1: {5, 5}, source.TTL5: {5}, source.TTL30: {30.1}}), true, true, 5, nil},
		{"a floor of 10 s and jitter", made(3, map[string][]float64{source.TTL1: {10.1, 11, 13}, source.TTL5: {10.4, 11, 12.5, 14}, source.TTL30: {33.1}}), true, true, 10,
			map[string]string{source.TTL1: "10 s and more", source.TTL5: "10 s and more", source.TTL30: "30 s and more"}},
		{"back-off", made(0, map[string][]float64{source.NX: {1.4, 7.8, 14.9}, source.NXSOA: {5, 5.01}, source.Drop: {2, 2, 2.01}}), false, false, 0,
			map[string]string{source.NX: irregular, source.NXSOA: "5 s", source.Drop: "2 s"}},
		{"two attempts", made(0, map[string][]float64{source.NX: {11.7, 15.5}, source.NXSOA: {10, 10.3}, source.Failure: {25}}), false, false, 0,
			map[string]string{source.NX: irregular, source.NXSOA: "10 s", source.Failure: "10 s and more"}},
		{"30 s for everything", made(3, map[string][]float64{source.TTL1: {30}, source.TTL5: {30}, source.TTL30: {30}}), true, false, 0, map[string]string{source.TTL5: "30 s"}},
		{"whole seconds", made(0, map[string][]float64{source.TTL1: {0.5, 1}, source.TTL5: {4.3, 5}, source.TTL30: {29.3}}), false, true, 0, map[string]string{source.TTL30: "30 s"}},
		{"one that spins", made(900, map[string][]float64{source.TTL0: {0.02, 0.02}, source.TTL1: {1}, source.TTL5: {5}, source.TTL30: {30}}), true, true, 0,
			map[string]string{source.TTL0: atOnce}},
		{"a period of its own", made(11, map[string][]float64{source.TTL1: {1, 1}, source.TTL5: {1, 1.02}, source.TTL30: {1}}), true, false, 0, map[string]string{source.TTL30: "1 s"}},
		{"no cache", made(0, map[string][]float64{source.TTL1: {0.25}, source.TTL5: {0.25}, source.TTL30: {0.25}}), false, false, 0, map[string]string{source.TTL30: eachUse}},
		{"for ever", made(0, map[string][]float64{source.TTL1: {}, source.TTL5: {}, source.TTL30: {}}), false, false, 0, map[string]string{source.TTL5: never}},
	} {
		c := Conclude(tt.result)
		if c.Itself != tt.itself || c.Follows != tt.follows || c.Floor != tt.floor {
			t.Errorf("%s: %+v", tt.name, c)
		}
		for label, want := range tt.waits {
			if c.Waits[label] != want {
				t.Errorf("%s: %s waits %q, want %q", tt.name, label, c.Waits[label], want)
			}
		}
	}
}

// TestAgree has waits that repeats may differ in.
func TestAgree(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"31 s", "32 s", true}, {"5 s", "5 s", true}, {"5 s", "6 s", false}, {"1 s", "2 s", false}, {"10 s", "10 s and more", true},
		{never, "30 s", false}, {eachUse, eachUse, true}, {irregular, never, false}, {irregular, once, true}, {once, irregular, true},
	} {
		if got := agree(tt.a, tt.b); got != tt.want {
			t.Errorf("%s and %s: %t, want %t", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestJitter has by how much waits for one TTL differ.
func TestJitter(t *testing.T) {
	for _, tt := range []struct {
		name   string
		itself int
		waits  map[string][]float64
		want   float64
		says   string
	}{
		{"a proxy", 3, map[string][]float64{source.TTL1: {1, 1.1}, source.TTL5: {5, 5.01}, source.Moves: {5, 5.01}, source.TTL30: {30.2}}, 0, "none"},
		{"one with a tenth of a second", 3, map[string][]float64{source.TTL5: {5.01, 5.06, 5.03}, source.Moves: {5.09}}, 0.1, "0.1 s"},
		{"one with four seconds", 3, map[string][]float64{source.TTL5: {10.2, 12}, source.Moves: {13.9, 11}}, 3.7, "seconds"},
		{"one that looks at its clock once a second", 3, map[string][]float64{source.TTL5: {15, 16, 15}}, 1, "1.0 s"},
		{"one that failed to follow over TCP", 3, map[string][]float64{source.TTL5: {5, 5, 5}, source.Cut: {1, 2, 4}}, 0, "none"},
		{"one that asked twice", 3, map[string][]float64{source.TTL5: {60}, source.Moves: {60}}, -1, "not seen"},
		{"a cache, whose uses have times of their own", 0, map[string][]float64{source.TTL5: {5, 5.2, 5.25}}, 0, ""},
	} {
		c := Conclude(made(tt.itself, tt.waits))
		if e := (Entry{Conclusion: c}); c.Jitter != tt.want || e.jitter() != tt.says {
			t.Errorf("%s: jitter %g, %q; want %g, %q", tt.name, c.Jitter, e.jitter(), tt.want, tt.says)
		}
	}
}

// TestDiffer has jitter that a loaded machine, or chance, makes another.
func TestDiffer(t *testing.T) {
	for _, tt := range []struct {
		a, b float64
		want bool
	}{{0, 0.3, true}, {0.1, 0, true}, {3.9, 2.8, true}, {0, 1, false}, {1, 3.8, false}, {-1, 0, false}} {
		if got := differ(Conclusion{Jitter: tt.a}, Conclusion{Jitter: tt.b}); (len(got) == 0) != tt.want {
			t.Errorf("%g and %g s: %q, want them to agree: %t", tt.a, tt.b, got, tt.want)
		}
	}
}
