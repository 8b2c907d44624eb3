package capture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"time"

	"github.com/dnstap/golang-dnstap"
	"github.com/farsightsec/golang-framestream"
	"google.golang.org/protobuf/proto"
)

// longestFrame is that of a frame of dnstap, in octets: two messages of 64 KiB, and as
// much again.
const longestFrame = 256 << 10

// frames reads files of Frame Streams, one after the other. One may begin with the
// handshake of a sender.
func (in *input) frames(r *bufio.Reader) error {
	buf := make([]byte, longestFrame)
	for {
		if head, _ := r.Peek(12); isFrames(head) && head[11] == framestream.CONTROL_READY {
			var ready framestream.ControlFrame
			if err := ready.DecodeTypeEscape(r, framestream.CONTROL_READY); err != nil {
				return unexpected(err)
			}
		}
		// It reads from r itself, and so leaves there what comes after the last frame.
		frames, err := framestream.NewReader(r, &framestream.ReaderOptions{ContentTypes: [][]byte{dnstap.FSContentType}})
		if err != nil {
			return handshake(err)
		}
		for err == nil {
			var n int
			if n, err = frames.ReadFrame(buf); err == nil && in.frame(buf[:n]) {
				in.emit()
			}
		}
		if !errors.Is(err, io.EOF) {
			return framing(err)
		}
		if _, err := r.Peek(1); err != nil {
			return err
		}
	}
}

// handshake says what is wrong with the beginning of a stream.
func handshake(err error) error {
	switch {
	case errors.Is(err, framestream.ErrContentTypeMismatch):
		return fmt.Errorf("frame streams of something else, where %q is accepted", dnstap.FSContentType)
	case errors.Is(err, framestream.ErrDecode):
		return errors.New("broken control frame of frame streams")
	}
	return unexpected(err)
}

// framing says what is wrong with a frame.
func framing(err error) error {
	if errors.Is(err, framestream.ErrDataFrameTooLarge) {
		return fmt.Errorf("frame of more than %d octets", longestFrame)
	}
	return err
}

// unexpected is err where the end may not be.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// frame reads a frame of dnstap into the message.
func (in *input) frame(b []byte) bool {
	var tap dnstap.Dnstap
	if err := proto.Unmarshal(b, &tap); err != nil {
		in.ignore("a frame that is not of dnstap", nil)
		return false
	}
	t := tap.GetMessage()
	in.m.reset()
	var message []byte
	var sec uint64
	var nsec uint32
	switch t.GetType() {
	case dnstap.Message_CLIENT_QUERY:
		message, sec, nsec = t.GetQueryMessage(), t.GetQueryTimeSec(), t.GetQueryTimeNsec()
	case dnstap.Message_CLIENT_RESPONSE:
		message, sec, nsec = t.GetResponseMessage(), t.GetResponseTimeSec(), t.GetResponseTimeNsec()
	default:
		in.ignore(t.GetType().String()+", where CLIENT_QUERY and CLIENT_RESPONSE are read", nil)
		return false
	}
	switch {
	case len(message) == 0:
		in.ignore(t.GetType().String()+` without a message, which dnstap sends with "full" in the Corefile`, nil)
		return false
	case !in.message(message, &in.m) || in.m.Answer != (t.GetType() == dnstap.Message_CLIENT_RESPONSE):
		in.ignore(t.GetType().String()+" with another message", nil)
		return false
	}
	if sec > 0 && sec <= math.MaxInt64/2 {
		in.m.At = time.Unix(int64(sec), int64(nsec)).UTC()
	}
	if addr, ok := netip.AddrFromSlice(t.GetQueryAddress()); ok {
		in.m.Client = addr.Unmap()
	}
	return true
}
