package capture

import (
	"bytes"
	"strings"
	"time"
)

// clock reads the times that others put in front of lines.
type clock struct {
	now      func() time.Time // when it is, and where times without a zone are from
	last     time.Time        // the last one without a year
	date     [10]byte         // the last one with a year, as it was written
	midnight time.Time        // when that began
}

// stamp reads the time that b begins with, and returns how many octets it has, or 0.
func (c *clock) stamp(b []byte) (at time.Time, n int) {
	switch {
	case len(b) < len("Jan  2 15:04:05"):
		return at, 0
	case b[4] == '-' || b[4] == '/':
		at, n = c.dated(b)
	case b[3] == ' ':
		at, n = c.yearless(b)
	case b[10] == '.':
		at, n = unix(b)
	}
	if n == 0 || n < len(b) && (isWord(b[n]) || strings.IndexByte("+-.", b[n]) >= 0) { // there is more of it
		return time.Time{}, 0
	}
	return at.UTC(), n
}

// find looks for a time in what is in front of a line: the first one with a fraction of a
// second, or else the first one.
func (c *clock) find(front []byte) (at time.Time) {
	for t, i, n := c.next(front, 0); n > 0; t, i, n = c.next(front, i+n) {
		if t.Nanosecond() != 0 {
			return t
		}
		if at.IsZero() {
			at = t
		}
	}
	return at
}

// next looks for a time from an octet on. It returns where it is, and how many octets it
// has, or 0.
func (c *clock) next(b []byte, from int) (at time.Time, i, n int) {
	for i = from; i < len(b); i++ {
		if i > 0 && isWord(b[i-1]) || !isWord(b[i]) {
			continue
		}
		if at, n = c.stamp(b[i:]); n > 0 {
			break
		}
	}
	return at, i, n
}

func isWord(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// dated reads a date and a time, as in RFC 3339, and much like it: with a blank in
// between, with slashes, without the colon of the offset, and without an offset.
func (c *clock) dated(b []byte) (time.Time, int) {
	const date = len("2006-01-02")
	if len(b) < len("2006-01-02T15:04:05") || b[date] != 'T' && b[date] != ' ' {
		return time.Time{}, 0
	}
	since, n := ofDay(b[date+1:])
	if n == 0 || !c.begin(b[:date]) {
		return time.Time{}, 0
	}
	n += date + 1
	offset, digits := offsetOf(b[n:])
	if digits > 0 {
		return c.midnight.Add(since - offset), n + digits
	}
	year, month, day := c.midnight.Date()
	at, _ := dayIn(year, month, day, since, c.now().Location())
	return at, n
}

// begin reads a date, which mostly is the one before, and says whether there is such a
// day.
func (c *clock) begin(date []byte) (ok bool) {
	if string(date) == string(c.date[:]) {
		return true
	}
	year, month, day := number(date[:4]), number(date[5:7]), number(date[8:])
	if date[7] != date[4] || year < 0 || month < 1 || month > 12 {
		return false
	}
	midnight, ok := dayIn(year, time.Month(month), day, 0, time.UTC)
	if ok {
		c.midnight = midnight
		copy(c.date[:], date)
	}
	return ok
}

// yearless reads a month, a day and a time, as in RFC 3164.
func (c *clock) yearless(b []byte) (time.Time, int) {
	const months = "JanFebMarAprMayJunJulAugSepOctNovDec"
	month := strings.Index(months, string(b[:3]))
	tens, ones := b[4], b[5]
	if tens == ' ' {
		tens = '0'
	}
	day := number([]byte{tens, ones})
	since, n := ofDay(b[7:])
	if month < 0 || month%3 != 0 || b[6] != ' ' || n == 0 {
		return time.Time{}, 0
	}
	at, ok := c.latest(time.Month(month/3+1), day, since)
	if !ok {
		return time.Time{}, 0
	}
	return at, n + len("Jan  2 ")
}

// ahead is how far in the future a time without a year may be. Clocks differ, and so do
// zones.
const ahead = 24 * time.Hour

// latest gives a day its year: the last one in which it is not in the future. Over new
// year it goes on, however long ago that is.
func (c *clock) latest(month time.Month, day int, since time.Duration) (time.Time, bool) {
	now := c.now()
	limit := now.Add(ahead)
	for year := limit.Year(); year > limit.Year()-9; year-- { // leap days can be eight years apart
		at, ok := dayIn(year, month, day, since, now.Location())
		if !ok || at.After(limit) {
			continue
		}
		if next, ok := dayIn(year+1, month, day, since, now.Location()); ok && c.last.Sub(at) > 180*24*time.Hour {
			at = next
		}
		c.last = at
		return at, true
	}
	return time.Time{}, false
}

// dayIn is a time of a day, if there is such a day.
func dayIn(year int, month time.Month, day int, since time.Duration, where *time.Location) (time.Time, bool) {
	s, ns := int(since/time.Second), int(since%time.Second)
	at := time.Date(year, month, day, 0, 0, s, ns, where)
	return at, day >= 1 && (day <= 28 || day <= daysIn(year, month))
}

func daysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// ofDay reads a time of the day, with or without a fraction, and returns how many octets
// it has, or 0.
func ofDay(b []byte) (since time.Duration, n int) {
	const shape = "15:04:05"
	if len(b) < len(shape) || b[2] != ':' || b[5] != ':' {
		return 0, 0
	}
	h, m, s := number(b[:2]), number(b[3:5]), number(b[6:8])
	if h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 59 {
		return 0, 0
	}
	part, digits := fraction(b[len(shape):])
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second + part, len(shape) + digits
}

// fraction reads that of a second, from the point on, and returns how many octets it has.
// Those beyond nanoseconds do not count.
func fraction(b []byte) (part time.Duration, n int) {
	if len(b) < 2 || b[0] != '.' && b[0] != ',' || !isDigit(b[1]) {
		return 0, 0
	}
	unit := time.Second
	for n = 1; n < len(b) && isDigit(b[n]); n++ {
		unit /= 10
		part += unit * time.Duration(b[n]-'0')
	}
	return part, n
}

// offsetOf reads an offset, and returns how many octets it has.
func offsetOf(b []byte) (offset time.Duration, n int) {
	switch {
	case len(b) > 0 && b[0] == 'Z':
		return 0, 1
	case bytes.HasPrefix(b, []byte(" UTC ")):
		return 0, len(" UTC")
	case len(b) < len("+00") || b[0] != '+' && b[0] != '-':
		return 0, 0
	}
	hours, minutes := number(b[1:3]), 0
	n = len("+00")
	rest := b[n:]
	if len(rest) > 0 && rest[0] == ':' {
		rest = rest[1:]
		n++
	}
	if len(rest) >= 2 && isDigit(rest[0]) {
		minutes = number(rest[:2])
		n += 2
	}
	if hours < 0 || hours > 23 || minutes < 0 || minutes > 59 {
		return 0, 0
	}
	offset = time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if b[0] == '-' {
		offset = -offset
	}
	return offset, n
}

// unix reads seconds since 1970, with a fraction.
func unix(b []byte) (time.Time, int) {
	seconds := number(b[:10])
	part, n := fraction(b[10:])
	if seconds < 0 || n == 0 {
		return time.Time{}, 0
	}
	return time.Unix(int64(seconds), int64(part)), 10 + n
}

// number reads digits, and returns -1 if something else is there.
func number(b []byte) (n int) {
	for _, c := range b {
		if !isDigit(c) {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	return n
}
