package capture

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"io"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/ulikunitz/xz"
)

// pump reads, and decompresses, in a goroutine of its own. So a reader that blocks keeps
// nobody from stopping, and one core decompresses while another understands.
type pump struct {
	ctx  context.Context
	full chan chunk
	free chan []byte
	kind atomic.Pointer[string] // what it decompresses
	last []byte                 // the buffer that is read from
	rest []byte                 // what is left of it
	err  error                  // that comes after it
}

type chunk struct {
	b   []byte
	err error
}

func newPump(ctx context.Context, r io.Reader) *pump {
	p := &pump{ctx: ctx, full: make(chan chunk, 4), free: make(chan []byte, 4)}
	for range cap(p.free) {
		p.free <- make([]byte, 128<<10)
	}
	go p.run(r)
	return p
}

func (p *pump) run(r io.Reader) {
	r, closer, err := p.decompress(r)
	defer closer()
	for {
		select {
		case <-p.ctx.Done():
			return
		case b := <-p.free:
			n := 0
			if err == nil {
				n, err = r.Read(b)
			}
			select {
			case <-p.ctx.Done():
				return
			case p.full <- chunk{b[:n], err}:
			}
			if err != nil {
				return
			}
		}
	}
}

// decompress tells by the first octets what r is compressed with, if it is.
func (p *pump) decompress(r io.Reader) (io.Reader, func(), error) {
	in := bufio.NewReaderSize(r, 128<<10)
	head, _ := in.Peek(6) // less is none of these, and an error comes again
	kind, nothing := "", func() {}
	p.kind.Store(&kind)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		kind = " in gzip"
		z, err := gzip.NewReader(in)
		return z, nothing, unexpected(err) // a header that ends early is io.EOF
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		kind = " in zstd"
		return newZstd(in)
	case bytes.HasPrefix(head, []byte("BZh")):
		kind = " in bzip2"
		return bzip2.NewReader(in), nothing, nil
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		kind = " in xz"
		if head, _ := in.Peek(64); dictionary(head) > widestWindow {
			return in, nothing, tooWide("xz -dc")
		}
		z, err := xz.NewReader(in)
		return z, nothing, err
	}
	return in, nothing, nil
}

// compression is what it decompresses, as " in gzip", or empty.
func (p *pump) compression() string {
	if kind := p.kind.Load(); kind != nil {
		return *kind
	}
	return ""
}

func (p *pump) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.last != nil {
			p.free <- p.last[:cap(p.last)]
			p.last = nil
		}
		if p.err != nil {
			return 0, p.err
		}
		select {
		case c := <-p.full:
			p.last, p.rest, p.err = c.b, c.b, c.err
		case <-p.ctx.Done():
			return 0, p.ctx.Err()
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}
