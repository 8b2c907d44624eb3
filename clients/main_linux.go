// Command clients measures what programs that resolve names do with TTLs.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ttlfloor/ttlfloor/clients/internal/atlas"
	"github.com/ttlfloor/ttlfloor/clients/internal/cell"
	"github.com/ttlfloor/ttlfloor/clients/internal/program"
	"github.com/urfave/cli/v3"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().Run(ctx, os.Args)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "clients:", err)
		os.Exit(1)
	}
}

func command() *cli.Command {
	return &cli.Command{
		Name: "clients", Usage: "measure what programs do with TTLs",
		Commands: []*cli.Command{
			{Name: "list", Usage: "the programs", Action: list},
			{Name: "install", Usage: "install programs", ArgsUsage: "[NAME...]", Action: install},
			{Name: "measure", Usage: "measure programs, and print what each does", ArgsUsage: "[NAME...]", Action: measure},
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
		p, err := program.ByName(name)
		if err != nil {
			return nil, err
		}
		programs = append(programs, p)
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

func measure(ctx context.Context, c *cli.Command) error {
	programs, err := named(c)
	if err != nil {
		return err
	}
	var results []atlas.Result
	for _, p := range programs {
		r := one(ctx, p)
		results = append(results, r)
		if err := atlas.Text(c.Root().Writer, &r); err != nil {
			return err
		}
	}
	var missing []error
	for _, r := range results {
		if r.Error != "" {
			missing = append(missing, fmt.Errorf("%s: %s", r.Client, r.Error))
		}
	}
	return errors.Join(missing...)
}

// longest is how long the measurement of a program may take.
const longest = atlas.Alone + atlas.Used + 20*time.Second

// one measures a program in a cell of its own.
func one(ctx context.Context, p *program.Program) atlas.Result {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	var out, log bytes.Buffer
	r := atlas.Result{Client: p.Name}
	err := cell.Run(ctx, []string{"cell", p.Name}, &out, &log)
	if e := json.Unmarshal(out.Bytes(), &r); err == nil {
		err = e
	}
	if err != nil && r.Error == "" {
		r.Error = err.Error()
	}
	if r.Error != "" {
		r.Error += ": " + tail(log.Bytes())
	}
	return r
}

// tail is the end of what a program wrote.
func tail(b []byte) string {
	return string(bytes.TrimSpace(b[max(0, len(b)-500):]))
}

// inCell is what runs in a cell. It writes a result.
func inCell(ctx context.Context, c *cli.Command) error {
	dir, ok := cell.Inside()
	if !ok {
		return errors.New("this command is for clients itself")
	}
	p, err := program.ByName(c.Args().First())
	if err != nil {
		return err
	}
	if err := cell.Enter(dir); err != nil {
		return err
	}
	installed, err := place(p)
	if err != nil {
		return err
	}
	var log io.Writer = c.Root().ErrWriter
	r, err := atlas.Measure(ctx, p, dir, installed, log)
	if err != nil {
		r.Error = err.Error()
	}
	return json.NewEncoder(c.Root().Writer).Encode(r)
}
