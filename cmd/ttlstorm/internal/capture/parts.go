package capture

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"time"
)

const (
	longestFront = 256             // octets in which the time of a line is looked for
	untimedLines = 1000            // after which a file has no times
	setBack      = 5 * time.Second // by more than that lines are not out of order
)

// Parts returns where the parts of a file begin that are in the order of time: the first
// one at 0, and another one where the clock goes back by more than five seconds. So it does
// where the logs of several pods stand behind each other. If there are more parts than
// most, if r has other than lines, or if ctx is done, there is one.
//
// It looks at the times in front of the lines alone, and so is much faster than Read.
func Parts(ctx context.Context, r io.ReaderAt, most int) []int64 {
	whole := []int64{0}
	file := bufio.NewReaderSize(io.NewSectionReader(r, 0, math.MaxInt64), 256<<10)
	if head, _ := file.Peek(512); bytes.IndexByte(head, 0) >= 0 {
		return whole
	}
	parts, s := whole, parting{clock: clock{now: time.Now}}
	inside := false // a line that is longer than the buffer
	for at, n := int64(0), 0; ; n++ {
		line, err := file.ReadSlice('\n')
		if !inside && s.back(line) {
			parts = append(parts, at)
		}
		at += int64(len(line))
		switch inside = errors.Is(err, bufio.ErrBufferFull); {
		case err != nil && !inside:
			return parts
		case len(parts) > most, n > untimedLines && s.latest.IsZero(), n%1024 == 0 && ctx.Err() != nil:
			return whole
		}
	}
}

// parting goes through the times of lines.
type parting struct {
	clock
	latest time.Time // of the part
	place  int       // where the last line has its time
	begun  [19]byte  // and how that begins, mostly up to the second
}

// back says whether the clock goes back at this line.
func (s *parting) back(line []byte) bool {
	line = line[:min(len(line), longestFront)]
	end := s.place + len(s.begun)
	if end <= len(line) && string(line[s.place:end]) == string(s.begun[:]) {
		return false
	}
	at, place := s.time(line)
	if at.IsZero() {
		return false
	}
	if place+len(s.begun) <= len(line) {
		s.place = place
		copy(s.begun[:], line[place:])
	}
	if back := at.Before(s.latest.Add(-setBack)); back || at.After(s.latest) {
		s.latest = at
		return back
	}
	return false
}

// time returns the time in front of a line, and where it is.
func (s *parting) time(line []byte) (time.Time, int) {
	if at, n := s.stamp(line); n > 0 {
		return at, 0
	}
	i := bytes.Index(line, level)
	if i < 0 {
		i = bytes.Index(line, object)
	}
	switch {
	case i < 0:
		return time.Time{}, 0
	case i == 0: // JSON has it inside
		i = min(len(line), len(`{"time":"2006-01-02T15:04:05.999999999+00:00"`))
	}
	at, place, _ := s.next(line[:i], 0)
	return at, place
}
