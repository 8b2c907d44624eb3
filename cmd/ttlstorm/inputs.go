package main

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/capture"
	"golang.org/x/term"
)

// batchSize is how many messages go from a reader to the analysis at once.
const batchSize = 1024

// tell says what was not understood. It is an error where that is so of all inputs.
func tell(inputs []*input, stderr io.Writer) error {
	inputs = joined(inputs)
	var errs []error
	for _, in := range inputs {
		if in.err != nil {
			errs = append(errs, in.err)
			continue
		}
		if in.parts > 1 {
			_, _ = fmt.Fprintf(stderr, "ttlstorm: %q: the clock went back %s; its %d parts are read side by side, as the logs of so many servers\n",
				in.name, times(in.parts-1), in.parts)
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

// times says how often something was.
func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// input is a file that is read beside others, or a part of one.
type input struct {
	name    string
	more    bool // it is of the same file as the one before
	parts   int  // of a file that was joined
	batches chan []capture.Message
	batch   []capture.Message // that is looked at now
	counts  capture.Counts
	err     error // both are set before batches is closed
}

func newInput(name string) *input {
	return &input{name: name, batches: make(chan []capture.Message, 4)}
}

// maxParts is how many parts of files are read side by side, of all files.
const maxParts = 64

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
	left := maxParts
	for i, f := range files {
		if f == nil {
			in := newInput(n.inputs[i])
			inputs = append(inputs, in)
			go in.read(func(do func(*capture.Message)) (capture.Counts, error) {
				return capture.Read(ctx, "standard input", stdin, n.options, do)
			})
			continue
		}
		parts := n.start(ctx, f, left)
		inputs = append(inputs, parts...)
		left -= len(parts) - 1
	}
	if n.listen != "" {
		network, address, _ := strings.Cut(n.listen, ":")
		in := newInput(n.listen)
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

// start has a file read, and those of its parts side by side in which the clock begins
// anew.
func (n *finding) start(ctx context.Context, f *os.File, most int) (inputs []*input) {
	parts := []int64{0}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
		parts = capture.Parts(ctx, f, most)
	}
	ends := slices.Concat(parts[1:], []int64{math.MaxInt64})
	var reading sync.WaitGroup
	for i, from := range parts {
		in := newInput(f.Name())
		in.more = i > 0
		var r io.Reader = f
		if len(parts) > 1 {
			r = io.NewSectionReader(f, from, ends[i]-from)
		}
		inputs = append(inputs, in)
		reading.Go(func() {
			in.read(func(do func(*capture.Message)) (capture.Counts, error) {
				return capture.Read(ctx, in.name, r, n.options, do)
			})
		})
	}
	go func() {
		reading.Wait()
		_ = f.Close()
	}()
	return inputs
}

// joined has one input for each file, with what was in all of its parts.
func joined(inputs []*input) (files []*input) {
	for _, in := range inputs {
		if !in.more {
			file := *in
			file.parts = 1
			files = append(files, &file)
			continue
		}
		files[len(files)-1].join(in)
	}
	return files
}

// join adds what was in another part. A file has no error if a part has none.
func (in *input) join(part *input) {
	in.parts++
	c, p := &in.counts, part.counts
	c.Ignored += p.Ignored
	if c.FirstIgnored == "" {
		c.FirstIgnored = p.FirstIgnored
	}
	if p.Truncated {
		c.Truncated, c.Why = true, p.Why
	}
	if part.err == nil {
		in.err = nil
	}
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
