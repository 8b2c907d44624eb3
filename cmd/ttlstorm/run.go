package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/urfave/cli/v3"
)

// runLength is how long a run takes by default.
const runLength = 40 * time.Second

// runCommand asks a server that there is.
func runCommand() *cli.Command {
	r := asking{load: newLoad(runLength)}
	return &cli.Command{
		Name: assumed, Usage: "ask a server",
		UsageText: "ttlstorm [run] -server ADDRESS:PORT [flags] [TYPE] NAME...",
		Description: `A TYPE is for the names behind it or, where a name comes first, for those before it. Without one
the model decides. ttlstorm prints queries, how evenly they came, TTLs and latency.`,
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "server", Usage: "`ADDRESS:PORT`, such as 127.0.0.1:1053", Destination: &r.server},
			&cli.BoolFlag{Name: "remote", Usage: "ask a server that is not on this machine, too", Destination: &r.remote},
			&cli.StringFlag{Name: "names", Destination: &r.names, TakesFile: true,
				Usage: fmt.Sprintf("`FILE` of names, or - for standard input: [TYPE] NAME or NAME [TYPE] in a line, and comments behind #. "+
					"There can be %d; with all of -clients for each there can be %d, which take some %d KiB each", maxNames, maxResolvers, resolverSize>>10)},
		}, r.transport.flags(), r.load.flags(), r.files.flags()),
		Action: r.do,
	}
}

// asking is a run of the command.
type asking struct {
	load
	files
	transport
	server, names string
	remote        bool
}

func (r *asking) do(ctx context.Context, c *cli.Command) error {
	if err := misplaced(c); err != nil {
		return err
	}
	model, err := r.load.check()
	if err != nil {
		return err
	}
	if r.server == "" && c.NArg() > 0 {
		return usagef("%q is no command, and there is no server to ask for it; give -server ADDRESS:PORT, or a command of ttlstorm -h", c.Args().First())
	}
	if r.server, err = checkServer(r.server, r.remote); err != nil {
		return err
	}
	if err := r.transport.check(); err != nil {
		return err
	}
	questions, err := r.questions(c.Args().Slice(), c.Root().Reader)
	if err != nil {
		return err
	}
	stdout, stderr := c.Root().Writer, c.Root().ErrWriter
	out, err := r.open(stdout, stderr)
	if err != nil {
		return err
	}
	defer out.close()
	if err := r.probe(ctx, r.server, questions[0]); err != nil {
		return err
	}
	why := oneAddress(netip.MustParseAddrPort(r.server).Addr())
	if why != "" {
		_, _ = fmt.Fprintf(stderr, oneLine, why)
	}
	l := &live{load: r.load, transport: r.transport, model: model, server: r.server, own: why == "", questions: questions, name: r.server}
	return out.write(together(ctx, stderr, r.server, []*live{l}))
}

// questions are those of the arguments, and of the file of names behind them.
func (r *asking) questions(args []string, stdin io.Reader) (out []question, err error) {
	if len(args) > 0 || r.names == "" {
		if out, err = parseQuestions(args); err != nil {
			return nil, err
		}
	}
	if r.names != "" {
		more, err := namesOf(r.names, stdin)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	switch {
	case len(out) > maxNames:
		return nil, usagef("%d names: there can be 1 to %d", len(out), maxNames)
	case len(out)*r.clients > maxResolvers:
		return nil, usagef("%d names for each of %d clients: there can be %d in all; take fewer -clients", len(out), r.clients, maxResolvers)
	}
	return out, nil
}

// checkServer returns the address of a server that may be asked.
func checkServer(server string, remote bool) (string, error) {
	if server == "" {
		return "", usagef("no server; give -server ADDRESS:PORT, such as 127.0.0.1:1053, or a command of ttlstorm -h")
	}
	addr, err := netip.ParseAddrPort(server)
	if err != nil {
		return "", usagef("-server %q: not an address and port such as 127.0.0.1:1053 or [::1]:1053", server)
	}
	if !addr.Addr().IsLoopback() && !remote {
		return "", usagef("-server %s is not on this machine, and a storm there harms those who depend on it; -remote says that you may", server)
	}
	return addr.String(), nil
}
