//go:build linux

// Package atlas measures what clients do with TTLs, and says what follows from it.
package atlas

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/ttlfloor/ttlfloor/clients/internal/cell"
	"github.com/ttlfloor/ttlfloor/clients/internal/program"
	"github.com/ttlfloor/ttlfloor/clients/internal/source"
)

// A client is used once, then left alone, and then used all the time.
var (
	Alone = 17 * time.Second // ServiceTalk waits for 14 s
	Used  = 36 * time.Second
)

const (
	each = 250 * time.Millisecond // between two uses

	together = 100 * time.Millisecond  // between two attempts of a lookup, over UDP and TCP
	attempts = 6                       // of a lookup, at most
	grace    = 2500 * time.Millisecond // in which a lookup that has no answer is repeated
)

// Row is what a client did in a case. Times are in seconds.
type Row struct {
	Case    string  `json:"case"`
	Queries int     `json:"queries"`
	Itself  int     `json:"by_itself"` // lookups while it was left alone
	Waits   Waits   `json:"waits"`     // between two lookups
	TCP     int     `json:"tcp"`       // queries
	Got     []int   `json:"ttls"`      // least and greatest TTL that it handed out, if it does
	Stale   float64 `json:"stale"`     // how long it used an address that was no longer there
	Moved   int     `json:"moved"`     // how many addresses it used
	Failed  int     `json:"failed"`    // uses without an address
	Uses    int     `json:"uses"`
	Last    string  `json:"last_error"` // of a use
}

// Waits sums up waits.
type Waits struct {
	N      int     `json:"n"`
	Least  float64 `json:"least"`
	Median float64 `json:"median"`
	Most   float64 `json:"most"`
}

// sumUp sums up waits in seconds.
func sumUp(waits []float64) Waits {
	if len(waits) == 0 {
		return Waits{}
	}
	s := slices.Sorted(slices.Values(waits))
	round := func(w float64) float64 { return math.Round(w*1000) / 1000 }
	return Waits{len(s), round(s[0]), round(s[len(s)/2]), round(s[len(s)-1])}
}

// Result is what a client did in all cases.
type Result struct {
	Client  string   `json:"client"`
	Version string   `json:"version,omitempty"`
	Rows    []Row    `json:"rows"`
	Strays  []string `json:"strays"`          // queries for other servers, which are a fault of the harness
	Error   string   `json:"error,omitempty"` // why there is nothing more
}

// use is one, with what came of it.
type use struct {
	began, ended time.Time
	label        string
	address      string
	ttl          int
	err          error
}

// Measure measures a program in this cell.
func Measure(ctx context.Context, p *program.Program, dir, installed string, log io.Writer) (r Result, err error) {
	r = Result{Client: p.Name, Rows: []Row{}, Strays: []string{}}
	if r.Version, err = p.Installed(ctx, installed); err != nil {
		return r, err
	}
	server, err := source.Start("127.0.0.1")
	if err != nil {
		return r, err
	}
	defer server.Stop()
	stop, err := program.Backends()
	if err != nil {
		return r, err
	}
	defer stop()
	strays, err := cell.Watch()
	if err != nil {
		return r, err
	}
	c := &program.Cell{Context: ctx, Dir: dir, Installed: installed, Names: p.Names(), Log: log}
	do, err := p.Start(c)
	if err != nil {
		return r, fmt.Errorf("%s does not start: %w", p.Name, err)
	}
	began := time.Now()
	alone := Alone + p.Longer*3/4
	uses := useAll(ctx, do, c.Names, alone, Used+p.Longer/4)
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	queries := server.Queries()
	r.Strays = append(r.Strays, strays()...)
	if err := c.Ended(); err != nil {
		return r, err
	}
	for _, name := range c.Names {
		r.Rows = append(r.Rows, row(source.Label(name), queries, uses, server.Began(), began, alone, do == nil))
	}
	return r, r.unanswered()
}

// unanswered is an error if no use of a name that has an address had one: then the waits are
// none of a client that works.
func (r *Result) unanswered() error {
	why := ""
	for _, label := range []string{source.TTL1, source.TTL5, source.TTL30} {
		row := r.row(label)
		if row == nil {
			continue
		}
		if row.Uses == 0 || row.Failed < row.Uses {
			return nil
		}
		why = row.Last
	}
	return fmt.Errorf("no use of it had an answer: %s", why)
}

// useAll uses all names once, and after a while all the time.
func useAll(ctx context.Context, do program.Use, names []string, alone, used time.Duration) (uses []use) {
	var mu sync.Mutex
	var all sync.WaitGroup
	begin := time.Now()
	one := func(name string) {
		u := use{began: time.Now(), label: source.Label(name)}
		u.address, u.ttl, u.err = do(ctx, name)
		u.ended = time.Now()
		mu.Lock()
		defer mu.Unlock()
		uses = append(uses, u)
	}
	for _, name := range names {
		all.Go(func() {
			if do == nil {
				sleep(ctx, alone+used)
				return
			}
			one(name)
			sleep(ctx, time.Until(begin.Add(alone)))
			for time.Since(begin) < alone+used && ctx.Err() == nil {
				next := time.Now().Add(each)
				one(name)
				sleep(ctx, time.Until(next))
			}
		})
	}
	all.Wait()
	return uses
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// row sums up a case. begin is when the client was first used, alone for how long it was left
// alone then, and itself that it cannot be used.
func row(label string, queries []source.Query, uses []use, server, begin time.Time, alone time.Duration, itself bool) Row {
	r := Row{Case: label, Got: []int{}}
	byType := map[uint16][]time.Time{}
	for _, q := range queries {
		if source.Label(q.Name) != label {
			continue
		}
		r.Queries++
		if q.TCP {
			r.TCP++
		}
		byType[q.Type] = append(byType[q.Type], q.At)
	}
	var at []time.Time // of the type that is asked most
	for _, t := range slices.Sorted(maps.Keys(byType)) {
		if len(byType[t]) > len(at) {
			at = byType[t]
		}
	}
	at = lookups(at)
	var waits []float64
	for i := 1; i < len(at); i++ {
		since := at[i].Sub(begin)
		if itself || since < alone && since > grace {
			r.Itself++
		}
		if !itself && since > alone && since < alone+grace && at[i-1].Sub(begin) < alone-grace {
			continue // it was used again
		}
		waits = append(waits, at[i].Sub(at[i-1]).Seconds())
	}
	r.Waits = sumUp(waits)
	r.used(label, uses, server)
	return r
}

// lookups leaves out attempts of one lookup: a few queries right after each other. More of
// them are lookups without a wait.
func lookups(at []time.Time) (out []time.Time) {
	for i := 0; i < len(at); {
		n := 1
		for i+n < len(at) && at[i+n].Sub(at[i+n-1]) < together {
			n++
		}
		if n <= attempts {
			out = append(out, at[i])
		} else {
			out = append(out, at[i:i+n]...)
		}
		i += n
	}
	return out
}

// used sums up the uses of a case.
func (r *Row) used(label string, uses []use, server time.Time) {
	seen := map[string]bool{}
	for _, u := range uses {
		if u.label != label {
			continue
		}
		r.Uses++
		if u.err != nil {
			r.Failed++
			r.Last = u.err.Error()
			continue
		}
		if u.ttl >= 0 {
			if len(r.Got) == 0 {
				r.Got = []int{u.ttl, u.ttl}
			}
			r.Got = []int{min(r.Got[0], u.ttl), max(r.Got[1], u.ttl)}
		}
		if label == source.Moves {
			seen[u.address] = true
			r.Stale = max(r.Stale, math.Round(10*source.Stale(u.address, u.ended.Sub(server)).Seconds())/10)
		}
	}
	r.Moved = len(seen)
}
