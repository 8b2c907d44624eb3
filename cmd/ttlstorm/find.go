package main

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/capture"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/find"
	"github.com/urfave/cli/v3"
	"golang.org/x/term"
)

// Limits of find.
const (
	batchSize  = 1024 // messages that go from a reader to the analysis at once
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
zstd, bzip2 or xz; - is standard input. The kind is detected. Several files are read side by side, in the order of
time: give those of all servers of a cluster.

In a storm a client asks again as soon as it has an answer. In a herd 20 clients or more ask in the same second, and
again after each period. The input has to last for four periods.

   kubectl -n kube-system logs --timestamps --since=10m coredns-1 > coredns-1.log
   ttlstorm find coredns-1.log coredns-2.log
   tcpdump -w - port 53 | ttlstorm find -html storm.html -

It says which names are asked again at once, and which by many clients in step; how many clients follow TTLs, and
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
	r := f.Report()
	r.Write(n.floor)
	return r, r.Predict(n.floor, n.replays)
}

// tell says what was not understood. It is an error where that is so of all inputs.
func tell(inputs []*input, stderr io.Writer) error {
	var errs []error
	for _, in := range inputs {
		if in.err != nil {
			errs = append(errs, in.err)
			continue
		}
		if in.counts.Truncated {
			_, _ = fmt.Fprintf(stderr, "ttlstorm: %q ends in the middle (%s); what came before counts\n", in.name, in.counts.Why)
		}
		if in.counts.Ignored > 0 {
			_, _ = fmt.Fprintf(stderr, "ttlstorm: %q: passed over %d of something else, of which the first begins with %s\n",
				in.name, in.counts.Ignored, in.counts.FirstIgnored)
		}
	}
	var last error
	if len(errs) == len(inputs) {
		errs, last = errs[:len(errs)-1], errs[len(errs)-1]
	}
	for _, err := range errs {
		_, _ = fmt.Fprintf(stderr, "ttlstorm: %v\n", err)
	}
	return last
}

// input is a file that is read beside others.
type input struct {
	name    string
	batches chan []capture.Message
	batch   []capture.Message // that is looked at now
	counts  capture.Counts
	err     error // both are set before batches is closed
}

// open opens the inputs, and has each read on its own.
func (n *finding) open(ctx context.Context, stdin io.Reader) (inputs []*input, size int64, err error) {
	var files []*os.File
	fail := func(err error) ([]*input, int64, error) {
		for _, f := range files {
			_ = f.Close()
		}
		return nil, 0, err
	}
	for _, name := range n.inputs {
		if name == "-" {
			files = append(files, nil)
			size = -1
			continue
		}
		f, err := os.Open(name) // #nosec G304 -- named by the user
		if err != nil {
			return fail(fmt.Errorf("%q: cannot be read (%w); name files of log lines, dnstap or pcap, or - for standard input", name, errors.Unwrap(err)))
		}
		files = append(files, f)
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && size >= 0 {
			size += info.Size()
		} else {
			size = -1
		}
	}
	for i, f := range files {
		in := &input{name: n.inputs[i], batches: make(chan []capture.Message, 4)}
		inputs = append(inputs, in)
		go in.read(func(do func(*capture.Message)) (capture.Counts, error) {
			if f == nil {
				return capture.Read(ctx, "standard input", stdin, n.options, do)
			}
			defer func() { _ = f.Close() }()
			return capture.Read(ctx, in.name, f, n.options, do)
		})
	}
	if n.listen != "" {
		network, address, _ := strings.Cut(n.listen, ":")
		in := &input{name: n.listen, batches: make(chan []capture.Message, 4)}
		inputs, size = append(inputs, in), -1
		go in.read(func(do func(*capture.Message)) (capture.Counts, error) {
			counts, err := capture.Listen(ctx, network, address, n.options, do)
			if err != nil {
				err = fmt.Errorf("-listen %q: %w; name a path where nothing is, in a directory that exists, or an address of this machine", n.listen, err)
			}
			return counts, err
		})
	}
	return inputs, size, nil
}

// read hands on what is read, in batches, until it ends.
func (in *input) read(all func(func(*capture.Message)) (capture.Counts, error)) {
	batch := make([]capture.Message, 0, batchSize)
	in.counts, in.err = all(func(m *capture.Message) {
		batch = append(batch, *m)
		if len(batch) == batchSize {
			in.batches <- batch
			batch = make([]capture.Message, 0, batchSize)
		}
	})
	if len(batch) > 0 {
		in.batches <- batch
	}
	close(in.batches)
}

// merge reads the inputs side by side, in the order of time, so that the servers of a
// cluster are seen as one. It calls often from time to time.
func merge(inputs []*input, do func(*capture.Message), often func()) {
	var open byTime
	for _, in := range inputs {
		if in.next() {
			open = append(open, in)
		}
	}
	heap.Init(&open)
	for n := 0; len(open) > 0; n++ {
		in := open[0]
		do(&in.batch[0])
		in.batch = in.batch[1:]
		if len(in.batch) == 0 && !in.next() {
			heap.Pop(&open)
			continue
		}
		if len(open) > 1 {
			heap.Fix(&open, 0)
		}
		if n%10_000 == 0 {
			often()
		}
	}
}

// next gets the next batch, and tells whether there is one.
func (in *input) next() bool {
	var ok bool
	in.batch, ok = <-in.batches
	return ok
}

type byTime []*input

func (b byTime) Len() int           { return len(b) }
func (b byTime) Less(i, j int) bool { return b[i].batch[0].At.Before(b[j].batch[0].At) }
func (b byTime) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
func (b *byTime) Push(x any)        { *b = append(*b, x.(*input)) }
func (b *byTime) Pop() any {
	old := *b
	last := old[len(old)-1]
	*b = old[:len(old)-1]
	return last
}

// bytesBar shows how far reading is, on a terminal only. size is -1 if it is not known.
func bytesBar(stderr io.Writer, size int64) *progressbar.ProgressBar {
	w := io.Discard
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		w = stderr
	}
	return progressbar.NewOptions64(size, progressbar.OptionSetWriter(w), progressbar.OptionShowBytes(true),
		progressbar.OptionSetDescription("reading"), progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionClearOnFinish())
}

// rendered is a report in the format that a flag stands for.
func rendered(flag string, r *find.Report) ([]byte, error) {
	var b bytes.Buffer
	var err error
	switch flag {
	case "json":
		e := json.NewEncoder(&b)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	case "html":
		err = r.HTML(&b)
	default:
		err = r.Text(&b)
	}
	return b.Bytes(), err
}
