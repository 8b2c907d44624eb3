package capture

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/farsightsec/golang-framestream"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// longestLine is that of a line, in octets, with its end.
const longestLine = 64 << 10

// input is one that is read.
type input struct {
	Options
	parser
	clock
	f      func(*Message)
	m      Message // that f is called with
	counts Counts  // without the bytes
	bytes  atomic.Int64
	format *format
	plain  []byte // a line without its colours
}

func newInput(o Options, f func(*Message)) (*input, error) {
	format, err := newFormat(o.LogFormat)
	if err != nil {
		return nil, err
	}
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	if o.now == nil {
		o.now = time.Now
	}
	return &input{Options: o, clock: clock{now: o.now}, f: f, format: format}, nil
}

// emit hands out the message.
func (in *input) emit() {
	in.counts.Messages++
	in.Progress.Messages.Add(1)
	in.f(&in.m)
}

// ignore counts one that is no message: what it is, or its octets.
func (in *input) ignore(what string, b []byte) {
	if in.counts.Ignored++; in.counts.Ignored > 1 {
		return
	}
	if in.counts.FirstIgnored = what; b != nil {
		in.counts.FirstIgnored = strconv.QuoteToASCII(string(b[:min(len(b), 80)]))
	}
}

// snapshot is what was counted so far.
func (in *input) snapshot() Counts {
	c := in.counts
	c.Bytes = in.bytes.Load()
	return c
}

// shorten makes text of b that can be printed.
func shorten(b []byte) string {
	s := strconv.QuoteToASCII(string(b[:min(len(b), 200)]))
	return s[1 : len(s)-1]
}

// counted counts the octets of r.
func (in *input) counted(r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		in.bytes.Add(int64(n))
		in.Progress.Bytes.Add(int64(n))
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// isDirectory says whether r is one that was opened.
func isDirectory(r io.Reader) bool {
	file, ok := r.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.IsDir()
}

// read tells the format by the first octets, and reads the rest.
func (in *input) read(p *pump) error {
	r := bufio.NewReaderSize(p, longestLine)
	head, err := r.Peek(12)
	if len(head) == 0 {
		if in.counts.Format = "nothing" + p.compression(); !errors.Is(err, io.EOF) {
			in.counts.Format = "something" + p.compression()
			return err
		}
		return nil
	}
	switch {
	case isFrames(head):
		in.counts.Format = "dnstap"
		err = in.frames(r)
	case isPcap(head):
		in.counts.Format = "pcap"
		err = in.pcap(r)
	case bytes.HasPrefix(head, []byte{0x0a, 0x0d, 0x0d, 0x0a}): // a section header, in either byte order
		in.counts.Format = "pcapng"
		err = in.pcapng(r)
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), bytes.HasPrefix(head, []byte{0xfe, 0xff}), bytes.HasPrefix(head, []byte{0xef, 0xbb, 0xbf}):
		in.counts.Format = "text" // as PowerShell writes it
		err = in.lines(bufio.NewReaderSize(transform.NewReader(r, unicode.BOMOverride(transform.Nop)), longestLine))
	default:
		in.counts.Format = "text"
		head, _ = r.Peek(min(r.Buffered(), 512))
		if bytes.IndexByte(head, 0) >= 0 {
			in.counts.Format = "data"
			err = fmt.Errorf("%w: it begins with %s; %s", ErrNothing, strconv.QuoteToASCII(string(head[:min(len(head), 16)])), accepted)
			break
		}
		err = in.lines(r)
	}
	in.counts.Format += p.compression()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// isFrames says whether head is the beginning of Frame Streams: an escape, and the
// length and the type of a control frame.
func isFrames(head []byte) bool {
	return len(head) == 12 && bytes.HasPrefix(head, []byte{0, 0, 0, 0, 0, 0}) && bytes.HasPrefix(head[8:], []byte{0, 0, 0}) &&
		(head[11] == framestream.CONTROL_START || head[11] == framestream.CONTROL_READY)
}

// isPcap says whether head has the magic number of pcap, in either byte order, with
// micro- or nanoseconds.
func isPcap(head []byte) bool {
	for _, magic := range []string{"\xd4\xc3\xb2\xa1", "\xa1\xb2\xc3\xd4", "\x4d\x3c\xb2\xa1", "\xa1\xb2\x3c\x4d"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return false
}
