package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/capture"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/find"
	"github.com/urfave/cli/v3"
)

// Limits of find.
const (
	maxInputs  = 256  // files
	maxReplays = 100  // findings
	maxFloor   = 3600 // seconds
)

// finding is what find takes.
type finding struct {
	files
	options capture.Options
	ports   []int
	servers []string
	least   string   // FLOOR of the rules
	floor   int      // the same in seconds
	replays int      // findings, at most
	inputs  []string // files
	listen  string   // for dnstap: network and address
}

// findCommand looks for storms and herds in what a CoreDNS gives.
func findCommand() *cli.Command {
	n := finding{replays: 20}
	const category = "Input: what is not in it"
	return &cli.Command{
		Name: "find", Usage: "find storms and herds in the log, dnstap or packets of a CoreDNS",
		UsageText: "ttlstorm find [flags] FILE...",
		Description: `FILE has lines of the log plugin, dnstap, or packets as pcap or pcapng, each as it is or in gzip,
zstd, bzip2 or xz; - is standard input. The kind is detected. Give the files of all servers of a cluster: they are read
side by side, in the order of time. So is a file in which the log of one server stands behind that of another.

In a storm a client asks again as soon as it has an answer. In a herd 16 clients or more ask in the same second, and
again after each period. A short TTL is one of which FLOOR is twice as much or more, so that clients that follow it ask
several times a second. The input has to last for four periods. Times without a zone are those of this machine.

   kubectl -n kube-system logs -l k8s-app=kube-dns --timestamps --since=10m --tail=-1 > coredns.log
   ttlstorm find coredns.log
   tcpdump -w - port 53 | ttlstorm find -html storm.html -

It says which names are asked again at once, and which by many clients in step; who keeps TTLs and who does not, and
with what period; the rule to write; and what that would do to these clients, by running as many through CoreDNS in
virtual time. An interrupt prints what there is so far.

Memory does not grow with the input: some 100 MB for what is known of 400,000 clients, and up to 128 MB more to
decompress. Only names that make up a thousandth of the queries or more are found.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "floor", Value: "30s", Usage: fmt.Sprintf("FLOOR of the rules, in `SECONDS`; 1 to %d", maxFloor), Destination: &n.least},
			&cli.IntFlag{Name: "replays", Value: n.replays, Usage: fmt.Sprintf("`FINDINGS` that are run through the rule, the most harmful ones; 0 to %d", maxReplays), Destination: &n.replays},
			&cli.StringFlag{Name: "format", Usage: "`FORMAT` of the lines, where log has one of its own in the Corefile", Destination: &n.options.LogFormat, Category: category},
			&cli.IntSliceFlag{Name: "port", Usage: "`PORT` of the server besides 53, for packets", Destination: &n.ports, Category: category},
			&cli.StringSliceFlag{Name: "address", Usage: "`ADDRESS` of the server, for packets; those to and from others do not count", Destination: &n.servers, Category: category},
			&cli.StringFlag{Name: "listen", Usage: "`SOCKET` for dnstap to connect to, unix:PATH or tcp:ADDRESS:PORT, until an interrupt", Destination: &n.listen, Category: category},
			&cli.StringFlag{Name: "json", Usage: "`FILE` for all that was found", Destination: &n.json, TakesFile: true, Category: filesCategory},
			&cli.StringFlag{Name: "html", Usage: "`FILE` for a page with pictures", Destination: &n.html, TakesFile: true, Category: filesCategory},
		},
		Action: n.do,
	}
}

func (n *finding) do(ctx context.Context, c *cli.Command) error {
	if err := misplaced(c); err != nil {
		return err
	}
	n.inputs = c.Args().Slice()
	if err := n.check(); err != nil {
		return err
	}
	stdout, stderr := c.Root().Writer, c.Root().ErrWriter
	inputs, size, err := n.open(ctx, c.Root().Reader)
	if err != nil {
		return err
	}
	out, err := n.files.open(stdout, stderr)
	if err != nil {
		return err
	}
	defer out.close()
	r, err := n.look(inputs, size, stderr)
	if err != nil {
		return err
	}
	if err := r.Text(out.table); err != nil {
		return err
	}
	for _, f := range out.files {
		b, e := rendered(f.flag, &r)
		if e == nil {
			e = f.put(b)
		}
		if e != nil && err == nil { // the others are still worth having
			err = fmt.Errorf("-%s: %w", f.flag, e)
		}
	}
	return err
}

// check completes the options.
func (n *finding) check() error {
	var err error
	n.floor, err = strconv.Atoi(strings.TrimSuffix(n.least, "s"))
	switch {
	case len(n.inputs) == 0 && n.listen == "":
		return usagef("nothing to read; name files of log lines, dnstap or pcap, or - for standard input")
	case len(n.inputs) > 0 && n.listen != "":
		return usagef("-listen %q goes without files: it lasts until an interrupt, and they would wait for it; give one of the two", n.listen)
	case len(n.inputs) > maxInputs:
		return usagef("%d files: there can be 1 to %d at once", len(n.inputs), maxInputs)
	case err != nil || n.floor < 1 || n.floor > maxFloor:
		return usagef("-floor %s: it can be 1 to %d seconds, as in 30 or 30s", n.least, maxFloor)
	case n.replays < 0 || n.replays > maxReplays:
		return usagef("-replays %d: it can be 0 to %d findings", n.replays, maxReplays)
	}
	if err := n.distinct(); err != nil {
		return err
	}
	if n.listen != "" {
		network, address, ok := strings.Cut(n.listen, ":")
		if !ok || address == "" || network != "unix" && network != "tcp" {
			return usagef("-listen %q: it can be unix:PATH or tcp:ADDRESS:PORT", n.listen)
		}
	}
	for _, p := range n.ports {
		if p < 1 || p > 65535 {
			return usagef("-port %d: it can be 1 to 65535", p)
		}
		n.options.Ports = append(n.options.Ports, uint16(p)) // #nosec G115 -- in range
	}
	for _, s := range n.servers {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return usagef("-address %s: not an address such as 10.96.0.10 or fd00::a", s)
		}
		n.options.Servers = append(n.options.Servers, a.Unmap())
	}
	n.options.Progress = new(capture.Progress)
	if err := n.options.Check(); err != nil {
		return usagef("-format: %v", err)
	}
	return nil
}

// distinct refuses a file that is there twice, or that would be written over, under
// whatever name.
func (n *finding) distinct() error {
	infos := make([]os.FileInfo, len(n.inputs)) // of regular files
	for i, name := range n.inputs {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && name != "-" {
			infos[i] = info
		}
		for _, path := range []string{n.json, n.html} {
			if out, err := os.Stat(path); err == nil && path != "-" && infos[i] != nil && os.SameFile(infos[i], out) {
				return usagef("%q is to be read and to be written; -json and -html name the files that are written", name)
			}
		}
		for k, other := range n.inputs[:i] {
			if name == other || infos[i] != nil && infos[k] != nil && os.SameFile(infos[i], infos[k]) {
				return usagef("%q is there twice; its queries would count twice", name)
			}
		}
	}
	return nil
}

// look reads the inputs and tells what is in them. When they end early, it tells what
// there was so far.
func (n *finding) look(inputs []*input, size int64, stderr io.Writer) (find.Report, error) {
	bar := bytesBar(stderr, size)
	f := find.New()
	merge(inputs, f.Add, func() { _ = bar.Set64(n.options.Progress.Bytes.Load()) })
	_ = bar.Finish()
	if err := tell(inputs, stderr); err != nil {
		return find.Report{}, err
	}
	r := f.Report(n.floor)
	for _, in := range joined(inputs) {
		r.Inputs = append(r.Inputs, in.name)
	}
	return r, r.Predict(n.floor, n.replays)
}

// rendered is a report in the format that a flag stands for.
func rendered(flag string, r *find.Report) ([]byte, error) {
	var b bytes.Buffer
	if flag == "html" {
		err := r.HTML(&b)
		return b.Bytes(), err
	}
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	err := e.Encode(r)
	return b.Bytes(), err
}
