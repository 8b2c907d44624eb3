package main

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/capture"
	"golang.org/x/term"
)

// batchSize is how many messages go from a reader to the analysis at once.
const batchSize = 1024

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
