package main

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/capture"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/find"
	"golang.org/x/term"
)

// finding is what find takes.
type finding struct {
	options capture.Options
	floor   int // seconds, of the rules
	replay  int // findings, at most
	files   []string
	listen  string // for dnstap: network and address
	stdin   io.Reader
}

// look reads all inputs and tells what is in them. When ctx is done it tells what there
// was so far.
func (n *finding) look(ctx context.Context, stderr io.Writer) (find.Report, error) {
	n.options.Progress = new(capture.Progress)
	if err := n.options.Check(); err != nil {
		return find.Report{}, usagef("-format: %v", err)
	}
	inputs, size, err := n.open(ctx)
	if err != nil {
		return find.Report{}, err
	}
	bar := bytesBar(stderr, size)
	f := find.New()
	merge(inputs, func(m *capture.Message) { f.Add(m) }, func() { _ = bar.Set64(n.options.Progress.Bytes.Load()) })
	_ = bar.Finish()
	if err := n.tell(inputs, stderr); err != nil {
		return find.Report{}, err
	}
	r := f.Report()
	r.Write(n.floor)
	if err := r.Predict(n.floor, n.replay); err != nil {
		return find.Report{}, err
	}
	return r, nil
}

// tell says what was not understood. It is an error where that is so of all inputs.
func (n *finding) tell(inputs []*input, stderr io.Writer) error {
	understood := false
	var errs []error
	for _, in := range inputs {
		if in.err != nil {
			errs = append(errs, in.err)
			continue
		}
		understood = true
		if in.counts.Truncated {
			_, _ = fmt.Fprintf(stderr, "ttlstorm: %s ends in the middle (%s); what came before counts\n", in.name, in.counts.Why)
		}
		if in.counts.Ignored > 0 {
			_, _ = fmt.Fprintf(stderr, "ttlstorm: %s: %d of something else were passed over, the first of which begins with %s\n",
				in.name, in.counts.Ignored, in.counts.FirstIgnored)
		}
	}
	if !understood {
		return errors.Join(errs...)
	}
	for _, err := range errs {
		_, _ = fmt.Fprintf(stderr, "ttlstorm: %v\n", err)
	}
	return nil
}

// input is a file that is read beside others.
type input struct {
	name    string
	batches chan []capture.Message
	batch   []capture.Message // that is looked at now
	counts  capture.Counts
	err     error // both are set before batches is closed
}

const (
	batchSize = 1024 // messages that go from a reader to the analysis at once
	maxInputs = 256  // files
)

// open opens the inputs, and has each read on its own.
func (n *finding) open(ctx context.Context) (inputs []*input, size int64, err error) {
	if len(n.files) > maxInputs {
		return nil, 0, usagef("%d files: there can be 1 to %d at once", len(n.files), maxInputs)
	}
	var files []*os.File
	fail := func(err error) ([]*input, int64, error) {
		for _, f := range files {
			_ = f.Close()
		}
		return nil, 0, err
	}
	for _, name := range n.files {
		if name == "-" {
			files = append(files, nil)
			size = -1
			continue
		}
		f, err := os.Open(name) // #nosec G304 -- named by the user
		if err != nil {
			return fail(fmt.Errorf("%s: cannot be read (%w); name files of log lines, dnstap or pcap, or - for standard input", name, errors.Unwrap(err)))
		}
		files = append(files, f)
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && size >= 0 {
			size += info.Size()
		} else {
			size = -1
		}
	}
	for i, f := range files {
		in := &input{name: n.files[i], batches: make(chan []capture.Message, 4)}
		inputs = append(inputs, in)
		go in.read(func(do func(*capture.Message)) (capture.Counts, error) {
			if f == nil {
				return capture.Read(ctx, "standard input", n.stdin, n.options, do)
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
			return capture.Listen(ctx, network, address, n.options, do)
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

// show renders a report in the format that a flag stands for.
func show(flag string, r *find.Report) ([]byte, error) {
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
