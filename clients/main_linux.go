// Command clients measures what programs that resolve names do with TTLs.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ttlfloor/ttlfloor/clients/internal/atlas"
	"github.com/ttlfloor/ttlfloor/clients/internal/cell"
	"github.com/ttlfloor/ttlfloor/clients/internal/program"
	"github.com/urfave/cli/v3"
)

func main() { os.Exit(execute()) }

func execute() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().Run(ctx, os.Args)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "clients:", err)
		return 1
	}
	return 0
}

// options are those of measure.
type options struct {
	repeats, cells int
	fleets         bool
	out            string
}

func command() *cli.Command {
	var o options
	return &cli.Command{
		Name: "clients", Usage: "measure what programs do with TTLs",
		Commands: []*cli.Command{
			{Name: "list", Usage: "the programs", Action: list},
			{Name: "install", Usage: "install programs", ArgsUsage: "[NAME...]", Action: install},
			{
				Name: "measure", Usage: "measure programs, and print what each does", ArgsUsage: "[NAME...]", Action: o.measure,
				Flags: []cli.Flag{
					&cli.IntFlag{Name: "repeats", Value: 1, Usage: "`TIMES` that each is measured", Destination: &o.repeats},
					&cli.IntFlag{Name: "cells", Value: 8, Usage: "`CELLS` beside each other", Destination: &o.cells},
					&cli.BoolFlag{Name: "fleets", Usage: "measure a hundred of each that asks by itself, without ttlfloor and with it", Destination: &o.fleets},
					&cli.StringFlag{Name: "out", Usage: "`DIR` for clients.md and clients.json", Destination: &o.out},
				},
			},
			{
				Name: "check", Usage: "measure programs once, and compare with what the document says", ArgsUsage: "[NAME...]", Action: o.check,
				Flags: []cli.Flag{
					&cli.IntFlag{Name: "cells", Value: 8, Usage: "`CELLS` beside each other", Destination: &o.cells},
					&cli.StringFlag{Name: "against", Value: "../docs/clients.json", Usage: "`FILE` that measure wrote", Destination: &o.out},
				},
			},
			{
				Name: "document", Usage: "write the document anew, out of what was measured",
				Flags:  []cli.Flag{&cli.StringFlag{Name: "out", Value: "../docs", Usage: "`DIR` with clients.json", Destination: &o.out}},
				Action: func(context.Context, *cli.Command) error { return atlas.Write(o.out, nil) },
			},
			{Name: "cell", Hidden: true, Action: inCell},
		},
	}
}

// list prints the programs.
func list(_ context.Context, c *cli.Command) error {
	for _, p := range program.All {
		if _, err := fmt.Fprintf(c.Root().Writer, "%-16s %s\n", p.Name, p.Title); err != nil {
			return err
		}
	}
	return nil
}

// named are the programs that arguments name, all without any.
func named(c *cli.Command) (programs []*program.Program, err error) {
	for _, name := range c.Args().Slice() {
		found, err := program.ByName(name)
		if err != nil {
			return nil, err
		}
		programs = append(programs, found...)
	}
	if len(programs) == 0 {
		programs = program.All
	}
	return programs, nil
}

// place is where programs are installed that Debian does not have.
func place(p *program.Program) (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "ttlfloor-clients", p.Name), err
}

func install(ctx context.Context, c *cli.Command) error {
	programs, err := named(c)
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range programs {
		dir, err := place(p)
		if err == nil {
			err = p.Get(ctx, dir, c.Root().ErrWriter)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.Name, err))
		}
	}
	return errors.Join(errs...)
}

// entries measures programs, several beside each other.
func (o *options) entries(ctx context.Context, c *cli.Command) ([]atlas.Entry, error) {
	programs, err := named(c)
	if err != nil {
		return nil, err
	}
	entries := make([]atlas.Entry, len(programs))
	g := newGate(o.cells)
	var all sync.WaitGroup
	for i, p := range programs {
		all.Go(func() { entries[i] = o.entry(ctx, p, g) })
	}
	all.Wait()
	return entries, ctx.Err()
}

// gate lets some measurements through at a time, and one after the other: some programs take a
// processor to start.
type gate struct {
	cells  chan struct{}
	starts <-chan time.Time
}

func newGate(cells int) gate { return gate{make(chan struct{}, cells), time.Tick(time.Second / 2)} }

func (g gate) pass(do func()) {
	g.cells <- struct{}{}
	<-g.starts
	do()
	<-g.cells
}

// check compares a measurement with the document.
func (o *options) check(ctx context.Context, c *cli.Command) error {
	known, err := atlas.Read(o.out)
	if err != nil {
		return err
	}
	o.repeats = 1
	entries, err := o.entries(ctx, c)
	if err != nil {
		return err
	}
	var errs []error
	for i := range entries {
		e := &entries[i]
		if err := e.Same(known); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.Client, err), atlas.Text(c.Root().ErrWriter, e))
			continue
		}
		if _, err := fmt.Fprintf(c.Root().Writer, "ok  %s %s\n", e.Client, e.Version); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// measure measures programs, and each several times.
func (o *options) measure(ctx context.Context, c *cli.Command) error {
	entries, err := o.entries(ctx, c)
	if err != nil {
		return err
	}
	var missing []error
	for i := range entries {
		if err := atlas.Text(c.Root().Writer, &entries[i]); err != nil {
			return err
		}
		missing = append(missing, entries[i].Missing()...)
	}
	if o.out != "" {
		if err := atlas.Write(o.out, entries); err != nil {
			return err
		}
	}
	return errors.Join(missing...)
}

// entry measures a program.
func (o *options) entry(ctx context.Context, p *program.Program, g gate) atlas.Entry {
	results := make([]atlas.Result, o.repeats)
	var all sync.WaitGroup
	in := func(do func()) { all.Go(func() { g.pass(do) }) }
	for i := range results {
		in(func() { results[i] = inOne[atlas.Result](ctx, atlas.Alone+atlas.Used+p.Longer, "measure", p.Name, "") })
	}
	all.Wait()
	e := atlas.NewEntry(p, results)
	if !o.fleets || !e.Conclusion.Itself {
		return e
	}
	fleets := map[string][]atlas.Fleet{}
	for treatment := range atlas.With {
		some := make([]atlas.Fleet, o.repeats)
		fleets[treatment] = some
		for i := range some {
			in(func() { some[i] = inOne[atlas.Fleet](ctx, atlas.FleetLength, "fleet", p.Name, treatment) })
		}
	}
	all.Wait()
	e.AddFleets(fleets)
	return e
}

// startup is how long a program may take to start.
var startup = 20 * time.Second

// inOne does a measurement in a cell of its own.
func inOne[T any](ctx context.Context, length time.Duration, what, name, treatment string) (result T) {
	ctx, cancel := context.WithTimeout(ctx, length+startup)
	defer cancel()
	var out, log bytes.Buffer
	err := cell.Run(ctx, []string{"cell", what, name, treatment}, &out, &log)
	w := wrapped[T]{}
	if e := json.Unmarshal(out.Bytes(), &w); err == nil {
		err = e
	}
	if err != nil && w.Error == "" {
		w.Error = err.Error()
	}
	if w.Error != "" {
		w.Error += ": " + tail(log.Bytes())
	}
	if r, ok := any(&w.Result).(interface{ Fail(why string) }); ok && w.Error != "" {
		r.Fail(w.Error)
	}
	return w.Result
}

// wrapped is what a cell writes.
type wrapped[T any] struct {
	Result T
	Error  string
}

// tail is the end of what a program wrote, in one line.
func tail(b []byte) string {
	return strings.Join(strings.Fields(string(b[max(0, len(b)-500):])), " ")
}

// inCell is what runs in a cell. It writes a result.
func inCell(ctx context.Context, c *cli.Command) error {
	dir, ok := cell.Inside()
	args := c.Args().Slice()
	if !ok || len(args) != 3 {
		return errors.New("this command is for clients itself")
	}
	found, err := program.ByName(args[1])
	if err != nil {
		return err
	}
	p := found[0]
	if err := cell.Enter(dir); err != nil {
		return err
	}
	installed, err := place(p)
	if err != nil {
		return err
	}
	log, out := c.Root().ErrWriter, json.NewEncoder(c.Root().Writer)
	why := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	if args[0] == "fleet" {
		f, err := atlas.MeasureFleet(ctx, p, dir, installed, args[2], log)
		return out.Encode(wrapped[atlas.Fleet]{f, why(err)})
	}
	r, err := atlas.Measure(ctx, p, dir, installed, log)
	return out.Encode(wrapped[atlas.Result]{r, why(err)})
}
