package find

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/client"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/lab"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

// Predict is what a rule would make of the clients of a finding, by running as many
// through CoreDNS with that rule in virtual time, from where they are.
type Predict struct {
	Floor  int     `json:"floor"`          // seconds
	Rate   float64 `json:"rate"`           // queries a second, once it has settled
	Second int     `json:"busiest_second"` // queries
	Ratio  float64 `json:"busiest_over_mean"`
	Stale  int     `json:"stale"` // seconds for which a client may go on with a removed endpoint, at most
	Before int     `json:"stale_before"`

	Seconds []int `json:"seconds"` // queries in each of its last seconds, as many as of the finding, of five minutes at most
}

// What a replay takes.
const (
	replayed  = 10_000 // clients, at most
	replay    = 20 * time.Minute
	settled   = 15 // minutes, from which it is looked at
	stormFrom = 100 * time.Millisecond
)

// Predict replays a finding with a rule. ok is false where there is nothing to replay.
func (n *Finding) predict(floor int, seed uint64) (p Predict, ok bool, err error) {
	if !n.Cure || n.Denied || n.Clients == 0 {
		return Predict{}, false, nil
	}
	ttl := uint32(math.Round(n.Period.Seconds()))
	if len(n.TTLs) == 2 {
		ttl = n.TTLs[1]
	}
	if n.Kind == Storm { // Often has no cure
		ttl = 0
	}
	model, err := client.ByName("linkerd-unpatched")
	if err != nil {
		return Predict{}, false, err
	}
	directives := []string{fmt.Sprintf("ttlfloor %d", floor)}
	if ttl > 0 {
		directives = append(directives, "cache 3600")
	}
	scale := max(1, (n.Clients+replayed-1)/replayed)
	cfg := lab.Run{
		Clients: n.Clients / scale, Names: []string{n.Name}, Model: model, Start: stormFrom,
		Length: replay, Seed: seed, RoundTrip: 2 * time.Millisecond,
		Treatment: storm.Treatment{Name: "rule", Directives: directives},
		Source:    &storm.Source{TTL: ttl},
	}
	if n.Kind != Storm {
		for i := range cfg.Clients {
			cfg.At = append(cfg.At, n.starts[i%len(n.starts)])
		}
	}
	var res lab.Result
	bubble(func() { res, err = lab.Do(cfg) })
	if err != nil {
		return Predict{}, false, err
	}
	span := res.Record.Span(60*settled, int(replay/time.Second))
	p = Predict{
		Floor: floor, Rate: span.Mean * float64(scale), Second: span.Second * scale, Ratio: span.SecondRatio,
		Stale: int(max(ttl, uint32(math.Ceil(float64(floor)*1.5)))), Before: int(ttl), // #nosec G115 -- small
	}
	end := int(replay / time.Second)
	for s := max(end-len(n.Seconds), 60*settled); s < end; s++ {
		p.Seconds = append(p.Seconds, res.Record.Span(s, s+1).Queries*scale)
	}
	return p, true, nil
}

// bubble runs a function in virtual time. Outside of a test the bubble needs a testing.T
// that nobody reports.
func bubble(f func()) {
	var t testing.T
	synctest.Test(&t, func(*testing.T) { f() })
}

// Predict adds what the rules would make of the findings, of so many at most.
func (r *Report) Predict(floor, most int) error {
	for i := range r.Findings {
		if i >= most {
			r.Findings[i].skipped = true
			continue
		}
		p, ok, err := r.Findings[i].predict(floor, 1)
		if err != nil {
			return fmt.Errorf("replay of %s: %w", r.Findings[i].Name, err)
		}
		if ok {
			r.Findings[i].Predict = &p
		}
	}
	return nil
}
