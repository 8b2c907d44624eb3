package capture

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"time"
)

// lines reads those of the log plugin, among others.
func (in *input) lines(r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			in.ignore("", line)
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = r.ReadSlice('\n')
			}
			if err != nil {
				return err
			}
			continue
		}
		ended := err == nil
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case in.line(line):
			in.emit()
		case !ended && len(line) > 0:
			in.ignore("", line)
			if errors.Is(err, io.EOF) && in.counts.Messages > 0 {
				return errors.New("the last line is no message, and has no end")
			}
		case len(line) > 0:
			in.ignore("", line)
		}
		if err != nil {
			return err
		}
	}
}

var level = []byte("[INFO] ")

// line reads one into the message.
func (in *input) line(b []byte) bool {
	at, rest := head(b)
	if in.text(at, rest) {
		return true
	}
	// Others put something else in front, such as the journal of systemd.
	i := bytes.Index(rest, level)
	return i >= 0 && in.text(at, rest[i+len(level):])
}

// text reads what CoreDNS wrote, without what is in front.
func (in *input) text(at time.Time, b []byte) bool {
	in.m.reset()
	in.m.At = at
	if in.format != nil && in.format.match(b, &in.parser, &in.m) {
		return true
	}
	if len(b) > 0 && b[0] == '{' {
		return in.json(b)
	}
	return stock(b, &in.parser, &in.m)
}

// head returns the time in front of a line, which is zero without one, and what comes
// after it, after what "kubectl logs" and container runtimes put there, and after the
// level.
func head(b []byte) (at time.Time, rest []byte) {
	for {
		switch {
		case bytes.HasPrefix(b, level):
			return at, b[len(level):]
		case bytes.HasPrefix(b, []byte("[pod/")): // kubectl logs --prefix
			i := bytes.Index(b, []byte("] "))
			if i < 0 {
				return at, b
			}
			b = b[i+2:]
		case len(b) > 20 && b[4] == '-' && b[10] == 'T':
			i := bytes.IndexByte(b, ' ')
			var t time.Time
			if i < 0 || t.UnmarshalText(b[:i]) != nil {
				return at, b
			}
			if at.IsZero() { // CoreDNS before 1.4 has a second one, without fraction
				at = t.UTC()
			}
			b = b[i+1:]
			if bytes.HasPrefix(b, []byte("stdout F ")) || bytes.HasPrefix(b, []byte("stderr F ")) { // CRI
				b = b[len("stdout F "):]
			}
		default:
			return at, b
		}
	}
}
