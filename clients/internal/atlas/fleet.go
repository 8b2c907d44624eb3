//go:build linux

package atlas

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/ttlfloor/ttlfloor/clients/internal/cell"
	"github.com/ttlfloor/ttlfloor/clients/internal/program"
	"github.com/ttlfloor/ttlfloor/clients/internal/source"
)

// A fleet is many names that a client resolves by itself, all from its start on.
const (
	FleetSize   = 100
	FleetLength = 180 * time.Second // in which a fleet that follows TTLs has settled
	looked      = 60                // seconds at the end
)

// With are the directives of the fleets that are compared.
var With = map[string][]string{
	"without": {"cache 30"},
	"with":    {"ttlfloor 20s .", "cache 30"},
}

// Fleet is how even the queries of a fleet are at the end.
type Fleet struct {
	Queries int     `json:"queries"`
	Second  int     `json:"busiest_second"`     // of the calendar
	Busiest int     `json:"busiest_any_offset"` // of all seconds, wherever they begin
	Ratio   float64 `json:"busiest_over_mean"`  // of the latter
	Error   string  `json:"error,omitempty"`    // why there is none
}

// MeasureFleet measures a fleet in this cell.
func MeasureFleet(ctx context.Context, p *program.Program, dir, installed, treatment string, log io.Writer) (f Fleet, err error) {
	server, err := source.Start("127.0.0.1", With[treatment]...)
	if err != nil {
		return f, err
	}
	defer server.Stop()
	strays, err := cell.Watch()
	if err != nil {
		return f, err
	}
	c := &program.Cell{Context: ctx, Dir: dir, Installed: installed, Log: log}
	for i := range FleetSize {
		c.Names = append(c.Names, fmt.Sprintf("c%d.%s.%s", i, source.TTL20, source.Zone))
	}
	use, err := p.Start(c)
	if err != nil {
		return f, fmt.Errorf("%s does not start: %w", p.Name, err)
	}
	if use != nil { // some begin with a name when it is used first
		for _, name := range c.Names {
			go func() { _, _, _ = use(ctx, name) }()
		}
	}
	sleep(ctx, FleetLength)
	f = even(server.Queries(), time.Now())
	if others := strays(); len(others) > 0 {
		return f, fmt.Errorf("it asks others than the server: %v", others)
	}
	return f, cmp.Or(ctx.Err(), c.Ended())
}

// even counts the queries of the last seconds.
func even(queries []source.Query, end time.Time) (f Fleet) {
	var at []time.Time
	for _, q := range queries {
		if end.Sub(q.At) < looked*time.Second {
			at = append(at, q.At)
		}
	}
	first := 0
	seconds := map[int64]int{}
	for i := range at {
		seconds[at[i].Unix()]++
		f.Second = max(f.Second, seconds[at[i].Unix()])
		for at[i].Sub(at[first]) >= time.Second {
			first++
		}
		f.Busiest = max(f.Busiest, i+1-first)
	}
	if f.Queries = len(at); f.Queries > 0 {
		f.Ratio = math.Round(100*float64(f.Busiest)*looked/float64(f.Queries)) / 100
	}
	return f
}
