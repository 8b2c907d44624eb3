package main

import (
	"fmt"
	"time"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/client"
	"github.com/urfave/cli/v3"
)

// The most that ttlstorm does to a server.
const (
	maxClients = 10_000
	maxRate    = 100_000 // queries a second
	maxLength  = 24 * time.Hour
)

// load is what a server has to bear, and for how long.
type load struct {
	clients int
	length  time.Duration
	start   time.Duration
	rate    int
	others  int // queries a second
	model   string
	seed    uint64
}

// newLoad has the defaults. A run takes length if nothing else is said.
func newLoad(length time.Duration) load {
	return load{clients: 100, length: length, start: 20 * time.Millisecond, rate: 20_000, model: "linkerd-unpatched", seed: 1}
}

// flags are those of the load.
func (l *load) flags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "clients", Value: l.clients, Destination: &l.clients, Category: loadCategory,
			Usage: fmt.Sprintf("how many clients, 1 to %d; each resolves every name", maxClients)},
		&cli.DurationFlag{Name: "for", Value: l.length, Destination: &l.length, Category: loadCategory, Usage: "how long, 2s to 24h"},
		&cli.DurationFlag{Name: "start", Value: l.start, Destination: &l.start, Category: loadCategory, Usage: "within which all clients start"},
		&cli.IntFlag{Name: "rate", Value: l.rate, Destination: &l.rate, Category: loadCategory,
			Usage: fmt.Sprintf("most queries a second, 1 to %d", maxRate)},
		&cli.IntFlag{Name: "others", Value: l.others, Destination: &l.others, Category: loadCategory,
			Usage: "queries a second beside the clients, up to -rate; each comes from an address of its own, and never again"},
		&cli.StringFlag{Name: "model", Value: l.model, Destination: &l.model, Category: loadCategory,
			Usage: "what clients behave as; \"ttlstorm models\" explains them"},
		&cli.Uint64Flag{Name: "seed", Value: l.seed, Destination: &l.seed, Category: loadCategory, Usage: "of what the clients draw"},
	}
}

// check returns the model.
func (l *load) check() (*client.Model, error) {
	m, err := client.ByName(l.model)
	switch {
	case err != nil:
		return nil, usagef("-model: %v", err)
	case l.clients < 1 || l.clients > maxClients:
		return nil, usagef("-clients %d: there can be 1 to %d", l.clients, maxClients)
	case l.length < 2*time.Second || l.length > maxLength:
		return nil, usagef("-for %v: it can be 2s to %v", l.length, maxLength)
	case l.start < 0 || l.start > l.length:
		return nil, usagef("-start %v: it can be 0s to the %v of -for", l.start, l.length)
	case l.rate < 1 || l.rate > maxRate:
		return nil, usagef("-rate %d: it can be 1 to %d queries a second", l.rate, maxRate)
	case l.others < 0 || l.others > l.rate:
		return nil, usagef("-others %d: it can be 0 to the %d queries a second of -rate", l.others, l.rate)
	}
	return m, nil
}

func modelNames() (names []string) {
	for _, m := range client.Models {
		names = append(names, m.Name)
	}
	return names
}
