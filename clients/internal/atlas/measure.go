//go:build linux

// Package atlas measures what clients do with TTLs, and says what follows from it.
package atlas

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ttlfloor/ttlfloor/clients/internal/cell"
	"github.com/ttlfloor/ttlfloor/clients/internal/program"
	"github.com/ttlfloor/ttlfloor/clients/internal/source"
)

// A client is used once, then left alone, and then used all the time.
const (
	Alone = 13 * time.Second
	Used  = 40 * time.Second
	each  = 250 * time.Millisecond // between two uses

	together = 100 * time.Millisecond // queries over UDP and TCP of one lookup
	grace    = 1500 * time.Millisecond
)

// Row is what a client did in a case. Times are in seconds.
type Row struct {
	Case    string    `json:"case"`
	Queries int       `json:"queries"`
	Itself  int       `json:"by_itself"` // lookups while it was left alone
	Waits   []float64 `json:"waits"`     // between two lookups
	TCP     int       `json:"tcp"`       // queries
	Got     []int     `json:"ttls"`      // least and greatest TTL that it handed out, if it does
	Reached []float64 `json:"reached"`   // from a change of the answer until a use had it
	Failed  int       `json:"failed"`    // uses without an address
	Uses    int       `json:"uses"`
	Last    string    `json:"last_error"` // of a use
}

// Result is what a client did in all cases.
type Result struct {
	Client  string   `json:"client"`
	Version string   `json:"version"`
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
	began := time.Now()
	do, err := p.Start(c)
	if err != nil {
		return r, fmt.Errorf("%s does not start: %w", p.Name, err)
	}
	uses := useAll(ctx, do, c.Names)
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	queries := server.Queries()
	r.Strays = append(r.Strays, strays()...)
	for _, name := range c.Names {
		r.Rows = append(r.Rows, row(source.Label(name), queries, uses, server.Began(), began))
	}
	return r, nil
}

// useAll uses all names once, and after a while all the time.
func useAll(ctx context.Context, do program.Use, names []string) (uses []use) {
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
				sleep(ctx, Alone+Used)
				return
			}
			one(name)
			sleep(ctx, time.Until(begin.Add(Alone)))
			for time.Since(begin) < Alone+Used && ctx.Err() == nil {
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

// row sums up a case. begin is when the client was started.
func row(label string, queries []source.Query, uses []use, server, begin time.Time) Row {
	r := Row{Case: label, Waits: []float64{}, Got: []int{}, Reached: []float64{}}
	byType, last := map[uint16][]time.Time{}, map[uint16]source.Query{}
	for _, q := range queries {
		if source.Label(q.Name) != label {
			continue
		}
		r.Queries++
		if q.TCP {
			r.TCP++
		}
		before := last[q.Type]
		last[q.Type] = q
		if q.TCP != before.TCP && q.At.Sub(before.At) < together {
			continue // it is the same lookup
		}
		byType[q.Type] = append(byType[q.Type], q.At)
	}
	var at []time.Time // of the type that is asked most
	for _, t := range slices.Sorted(maps.Keys(byType)) {
		if len(byType[t]) > len(at) {
			at = byType[t]
		}
	}
	for i := 1; i < len(at); i++ {
		wait, since := at[i].Sub(at[i-1]), at[i].Sub(begin)
		if since < Alone && since > grace {
			r.Itself++
		}
		if since > Alone && since < Alone+grace && at[i-1].Sub(begin) < Alone-grace {
			continue // it was used again
		}
		r.Waits = append(r.Waits, wait.Seconds())
	}
	r.used(label, uses, server)
	return r
}

// used sums up the uses of a case.
func (r *Row) used(label string, uses []use, server time.Time) {
	changed := -1 // the last change that reached a use
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
		if label != source.Moves {
			continue
		}
		n, since := source.Change(u.ended.Sub(server))
		if u.address == source.Address(label, u.ended.Sub(server)).String() && n != changed {
			if changed >= 0 && n == changed+1 {
				r.Reached = append(r.Reached, since.Seconds())
			}
			changed = n
		}
	}
}
