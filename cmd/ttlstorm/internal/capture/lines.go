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

var level, object = []byte("[INFO] "), []byte(`{"`)

// line reads one into the message.
func (in *input) line(b []byte) bool {
	if rest, ok := bytes.CutPrefix(b, level); ok && in.text(time.Time{}, rest) {
		return true // as most of them
	}
	at, rest, marked := in.head(b)
	if marked && in.text(at, rest) {
		return true
	}
	if plain := in.uncoloured(b); len(plain) < len(b) {
		at, rest, _ = in.head(plain)
	}
	return in.behind(at, rest)
}

// behind reads a line that may have something else in front, such as the journal of
// systemd. What CoreDNS wrote begins with the level, or is JSON.
func (in *input) behind(at time.Time, b []byte) bool {
	if bytes.HasPrefix(b, object) && in.text(at, b) { // it may have the level in it
		return true
	}
	if i := bytes.Index(b, level); i >= 0 && in.text(in.better(at, b[:i]), b[i+len(level):]) {
		return true
	}
	if in.text(at, b) {
		return true
	}
	i := bytes.Index(b, object)
	return i > 0 && in.text(in.better(at, b[:i]), b[i:])
}

// better is the time in front of a line, or a more precise one that is there, too.
func (in *input) better(at time.Time, front []byte) time.Time {
	if at.Nanosecond() != 0 {
		return at
	}
	if t := in.find(front); at.IsZero() || t.Nanosecond() != 0 {
		return t
	}
	return at
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
// level, if it comes next.
func (c *clock) head(b []byte) (at time.Time, rest []byte, marked bool) {
	for {
		switch {
		case bytes.HasPrefix(b, level):
			return at, b[len(level):], true
		case bytes.HasPrefix(b, []byte("[pod/")): // kubectl logs --prefix
			i := bytes.Index(b, []byte("] "))
			if i < 0 {
				return at, b, false
			}
			b = b[i+2:]
		default:
			t, n := c.stamp(b)
			if n == 0 || n == len(b) || b[n] != ' ' {
				return at, b, false
			}
			if at.IsZero() { // CoreDNS before 1.4 has a second one, without fraction
				at = t
			}
			if b = b[n+1:]; bytes.HasPrefix(b, level) {
				return at, b[len(level):], true
			}
			if bytes.HasPrefix(b, []byte("stdout F ")) || bytes.HasPrefix(b, []byte("stderr F ")) { // CRI
				b = b[len("stdout F "):]
			}
		}
	}
}
