package client

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// measured is what docs/clients.json has of a client.
type measured struct {
	Client string
	Rows   []struct {
		Case  string
		Waits struct {
			N                   int
			Least, Median, Most float64
		}
	}
}

// grain is how exactly a wait is measured: the answer takes its time, and the machine is busy.
const grain = 400 * time.Millisecond

// jitterGrain is how exactly the most of many waits is that of a model's.
const jitterGrain = 50 * time.Millisecond

// TestMeasured has each model wait as the program did that it models, in each case that was
// measured more than once. Those without a program are named here.
func TestMeasured(t *testing.T) {
	b, err := os.ReadFile("../../../../docs/clients.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []measured
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	cases := map[string]string{
		"ttl0": "A 0", "ttl1": "A 1", "ttl5": "A 5", "ttl30": "A 30", "authority": "A 20", "additional": "A 20",
		"nxsoa": "NXDOMAIN SOA 5 5", "nx": "NXDOMAIN", "failure": "SERVFAIL",
	}
	unmeasured := map[string]string{
		"linkerd-unpatched": "linkerd2-proxy is in no registry", "linkerd": "linkerd2-proxy is in no registry",
	}
	for _, m := range Models {
		if m.Measured == "" {
			if unmeasured[m.Name] == "" {
				t.Errorf("%s: nothing backs it", m.Name)
			}
			continue
		}
		compared := 0
		for _, program := range all {
			if program.Client != m.Measured {
				continue
			}
			for _, row := range program.Rows {
				text, ok := cases[row.Case]
				if !ok || row.Waits.N == 0 {
					continue
				}
				compared++
				least, most := waits(t, m, text)
				low, high := time.Duration(row.Waits.Least*1e9), time.Duration(row.Waits.Most*1e9)
				if many := 7; row.Waits.N >= many && most > high+jitterGrain {
					t.Errorf("%s: %s waits up to %v, and the program, of %d times, up to %v", m.Name, row.Case, most, row.Waits.N, high)
				}
				if low < least-grain || high > most+grain {
					t.Errorf("%s: %s waits %v to %v, and the program %v to %v", m.Name, row.Case, least, most, low, high)
				}
			}
		}
		if compared < 5 {
			t.Errorf("%s: %d cases of %s, want 5 at least", m.Name, compared, m.Measured)
		}
	}
}

// waits are the least and the most that a model waits, when it is answered the same each time.
func waits(t *testing.T, m *Model, text string) (least, most time.Duration) {
	t.Helper()
	least = time.Hour
	r := rand.New(rand.NewPCG(1, 2))
	c := m.New(0, r)
	for range 500 {
		var wait time.Duration
		for range 10 { // lookups of a resolution
			if wait = c.Done(response(t, text)); wait > 0 {
				break
			}
		}
		least, most = min(least, wait), max(most, wait)
	}
	return least, most
}
