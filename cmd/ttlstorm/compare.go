package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/client"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
	"github.com/urfave/cli/v3"
)

// The names that compare asks for are those of Linkerd's control plane.
var linkerd = []question{
	{name: "linkerd-dst-headless.linkerd.svc.cluster.local."}, {name: "linkerd-policy.linkerd.svc.cluster.local."},
}

// comparing is a run of the command.
type comparing struct {
	load
	files
	ttl, floor int
	change     time.Duration
	treatments string
}

// compareCommand boots CoreDNS with one treatment after the other, and asks it.
func compareCommand() *cli.Command {
	o := comparing{load: newLoad(oneLength)}
	return &cli.Command{
		Name: "compare", Usage: "show the storm and the herd on this machine, without ttlfloor and with it",
		UsageText: "ttlstorm compare [flags]",
		Description: fmt.Sprintf(`It starts CoreDNS in itself, once for each treatment, and asks it as "run" does. There are two
scenes, which take less than two minutes:

   The storm, %.0f s for each treatment: the source has TTL 0. What counts is how many queries there are.
   The herd, %.0f s for all treatments: the source has TTL %d. What counts is how evenly they come: the busiest
   second over the mean is 1 where they are even.

-ttl, -floor, -treatments or -for choose one scene instead. A small one has its treatments at the same time,
and a large one, or one with TTL 0 or 1, one after the other.`, theStorm.length.Seconds(), theHerd.length.Seconds(), theHerd.ttl),
		Flags: slices.Concat([]cli.Flag{
			&cli.IntFlag{Name: "ttl", Value: oneTTL, Destination: &o.ttl, Category: treatedCategory, Usage: "seconds, of the source's records, 0 to 3600"},
			&cli.IntFlag{Name: "floor", Value: oneFloor, Destination: &o.floor, Category: treatedCategory,
				Usage: "seconds, of ttlfloor and those that have one, 1 to 3600"},
			&cli.DurationFlag{Name: "change", Value: 45 * time.Second, Destination: &o.change, Category: treatedCategory,
				Usage: "between changes of the endpoints; 0s is never"},
			&cli.StringFlag{Name: "treatments", Value: oneTreatments, Destination: &o.treatments, Category: treatedCategory,
				Usage: "those to compare, with semicolons between; \"all\" are " + strings.Join(treatmentNames(), "; ")},
		}, o.load.flags(), o.files.flags()),
		Action: o.do,
	}
}

func (o *comparing) do(ctx context.Context, c *cli.Command) error {
	model, err := o.check()
	switch {
	case err != nil:
		return err
	case c.NArg() > 0:
		return usagef("%q: compare has names of its own", c.Args().First())
	case o.ttl < 0 || o.ttl > 3600:
		return usagef("-ttl %d: it can be 0 to 3600", o.ttl)
	case o.floor < 1 || o.floor > 3600:
		return usagef("-floor %d: it can be 1 to 3600", o.floor)
	case o.change < 0 || o.change > 0 && o.change < time.Second:
		return usagef("-change %v: it can be 0s, or 1s and more", o.change)
	}
	if _, err := chooseTreatments(o.treatments, o.floor); err != nil {
		return err
	}
	scenes := []scene{theStorm, theHerd}
	if slices.ContainsFunc([]string{"ttl", "floor", "treatments", "for"}, c.IsSet) {
		scenes = []scene{{titleOf(o.ttl, o.floor), o.ttl, o.floor, o.length, o.treatments}}
	}
	stdout, stderr := c.Root().Writer, c.Root().ErrWriter
	out, err := o.open(stdout, stderr)
	if err != nil {
		return err
	}
	defer out.close()
	if err := quiet(); err != nil {
		return err
	}
	why := oneAddress(netip.MustParseAddr(loopback))
	if why != "" {
		_, _ = fmt.Fprintf(stderr, oneLine, why)
	}
	var reports []storm.Report
	for _, s := range scenes {
		more, err := o.play(ctx, s, model, why == "", stderr)
		if err != nil {
			return err
		}
		if reports = append(reports, more...); ctx.Err() != nil {
			break
		}
	}
	return out.write(reports)
}

// play runs the treatments of a scene, at once or one after the other.
func (o *comparing) play(ctx context.Context, s scene, model *client.Model, own bool, progress io.Writer) (reports []storm.Report, err error) {
	treatments, err := chooseTreatments(s.treatments, s.floor)
	if err != nil {
		return nil, err
	}
	turns := slices.Collect(slices.Chunk(treatments, 1))
	if s.atOnce(&o.load, len(treatments)) {
		turns = [][]storm.Treatment{treatments}
	}
	for _, turn := range turns {
		more, err := o.turn(ctx, s, turn, model, own, progress)
		if err != nil {
			return nil, err
		}
		if reports = append(reports, more...); ctx.Err() != nil {
			break
		}
	}
	return reports, nil
}

// turn runs treatments at once, each with a server and a source of its own.
func (o *comparing) turn(ctx context.Context, s scene, treatments []storm.Treatment, model *client.Model, own bool, progress io.Writer) ([]storm.Report, error) {
	loads := make([]*live, 0, len(treatments))
	for _, t := range treatments {
		l := &live{
			load: o.load, transport: transport{proto: protocols[0]}, name: t.Name, model: model, own: own, questions: linkerd,
			source:  &storm.Source{TTL: uint32(s.ttl), Change: o.change},                                     // #nosec G115 -- at most 3600
			compare: &storm.Comparison{Scene: s.title, TTL: uint32(s.ttl), Floor: s.floor, Change: o.change}, // #nosec G115 -- the same
		}
		l.length, l.start = s.length, min(o.start, s.length)
		server, stop, err := serve(t, l.source)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.Name, err)
		}
		defer stop()
		l.server = server
		if err := l.probe(ctx, server, linkerd[0]); err != nil {
			return nil, fmt.Errorf("%s: %w", t.Name, err)
		}
		loads = append(loads, l)
	}
	for _, l := range loads {
		l.source.Start()
	}
	label := s.title
	if len(treatments) == 1 {
		label = treatments[0].Name
	}
	return together(ctx, progress, label, loads), nil
}
