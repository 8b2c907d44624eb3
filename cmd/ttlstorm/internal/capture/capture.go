// Package capture reads what a stock CoreDNS leaves behind of the queries of its
// clients: lines of the log plugin, dnstap, and packets of its host. All become the same
// stream of messages.
//
// Memory has bounds, whatever the input. A line has up to 64 KiB, a frame of dnstap up
// to 256 KiB, and longer ones are no messages. 64 connections are read at once. 8,192
// directions of TCP connections are followed; they hold up to 64 MiB of messages that
// have begun, and 8 MiB of segments that came too early. Between two packets of pcapng
// may be 64 MiB of other blocks. Of names, the last 16,384 or fewer are remembered, so
// that a name that comes again costs nothing. To decompress takes up to 128 MiB: what
// asks for more, as "zstd --ultra --long=31" and "xz --lzma2=dict=1GiB" make it, is refused.
package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Message is a query of a client, or the answer to one, as a capture has it. Its class is
// IN, and its opcode QUERY: others are ignored, where the input has them.
type Message struct {
	// At is when a query came to the server, or an answer went out. It is zero if the
	// input has no times.
	At time.Time
	// Took is how long the server took for the answer that a line of a log is about. It is
	// zero if that is not known.
	Took time.Duration
	// Client is its address, without zone, and never IPv4 in IPv6. It is zero if the input
	// has none.
	Client netip.Addr
	// Name is that of the question, fully qualified, in lower case, and escaped as
	// miekg/dns does it in a master file. All of it is printable ASCII.
	Name string
	Type uint16
	// Answer says that it is one. A line of a log is a query.
	Answer bool
	// Rcode is that of an answer, or of the answer that a line of a log is about. It is
	// -1 for other queries, and if it is unknown.
	Rcode int
	// TTL is how many seconds an answer may be kept: the least TTL of its answer section,
	// and in a denial not more than the TTL and the MINIMUM of its SOA (RFC 2308,
	// section 5). It is -1 for queries, and if nothing says.
	TTL int64
}

// reset makes m a query of which nothing is known.
func (m *Message) reset() { *m = Message{Rcode: -1, TTL: -1} }

// Options say what the input does not say itself. The zero value is for a CoreDNS that
// listens on port 53, and logs in a format of its own.
type Options struct {
	// LogFormat is that of the log plugin as it stands in the Corefile. It is for formats
	// other than the default, {combined} and JSON, which are known.
	LogFormat string
	// Ports are where the server listens besides 53. They are for packets.
	Ports []uint16
	// Servers are the addresses of the server. Packets to and from others, such as the
	// queries of the server to its upstreams, are ignored. Without any, all servers count.
	Servers []netip.Addr
	// Progress is kept current while it reads, if it is not nil.
	Progress *Progress

	now func() time.Time // for times without a year or zone; time.Now if it is nil
}

// Check says what is wrong with o.
func (o Options) Check() error {
	_, err := newFormat(o.LogFormat)
	return err
}

// hint says what may be wrong with a file of which no line was understood.
func (o Options) hint(kind string) string {
	switch {
	case !strings.HasPrefix(kind, "text"):
		return ""
	case o.LogFormat != "":
		return fmt.Sprintf("; no line has -format %+q, which is what stands after log in the Corefile, behind the zones", o.LogFormat)
	}
	return "; if log has a format of its own in the Corefile, -format FORMAT says which"
}

// Progress says how far reading is. It may be shared by several inputs, and read at any
// time.
type Progress struct {
	Bytes    atomic.Int64 // as in Counts
	Messages atomic.Int64
}

// Counts say what was in an input.
type Counts struct {
	Bytes    int64  // that were read, as they are stored: before they are decompressed
	Messages int64  // that were handed out
	Ignored  int64  // lines, frames and packets of something else
	Repeated int64  // packets that were captured more than once, as on several interfaces
	Format   string // of the input, such as "pcapng in gzip"
	// FirstIgnored shows the first that was ignored, shortened, in printable ASCII.
	FirstIgnored string
	// Truncated says that the input ends in the middle, or is broken there. What comes
	// before counts. Why says what was found, in printable ASCII.
	Truncated bool
	Why       string
}

// ErrNothing is wrapped by the errors about an input in which no message was found.
var ErrNothing = errors.New("no message in it")

const accepted = "accepted are lines of the log plugin of CoreDNS, dnstap, pcap and pcapng, each also in gzip, zstd, bzip2 or xz"

// Read reads an input until it ends, or ctx is done, which is not an error. It calls f for
// each message, in the order of the input; TCP segments that came too early wait for those
// before them. The Message is f's until it returns, but for the Name. What the input is
// shows in its first bytes; name is for errors.
//
// An error means that there was no message, but for ctx. When ctx is done while r.Read
// blocks, Read returns, and leaves r to a goroutine that ends with that call.
func Read(ctx context.Context, name string, r io.Reader, o Options, f func(*Message)) (Counts, error) {
	in, err := newInput(o, f)
	if err != nil {
		return Counts{}, err
	}
	if isDirectory(r) {
		return Counts{}, fmt.Errorf("%q: it is a directory; name the files in it, as in %s", name, strconv.Quote(name+"/*"))
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	err = in.read(newPump(inner, in.counted(r)))
	c := in.snapshot()
	switch {
	case ctx.Err() != nil:
		return c, nil
	case c.Messages > 0:
		if err != nil {
			c.Truncated, c.Why = true, shorten([]byte(err.Error()))
		}
		return c, nil
	case err != nil:
		return c, fmt.Errorf("%q: it is %s: %w", name, c.Format, err)
	case c.Bytes == 0:
		return c, fmt.Errorf("%q: %w: it is empty; %s", name, ErrNothing, accepted)
	case c.FirstIgnored != "":
		return c, fmt.Errorf("%q: %w: it is %s, and begins with %s%s; %s", name, ErrNothing, c.Format, c.FirstIgnored, o.hint(c.Format), accepted)
	}
	return c, fmt.Errorf("%q: %w: it is %s; %s", name, ErrNothing, c.Format, accepted)
}
