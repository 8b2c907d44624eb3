package capture

import (
	"bytes"
	"net/netip"
	"strconv"
	"time"

	"github.com/miekg/dns"
)

// stock reads a line of the log plugin in its default format, or in {combined}, which has
// the opcode after it:
//
//	{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" {rcode} {>rflags} {rsize} {duration}
//
// m has the time of the line, if it has one.
func stock(b []byte, p *parser, m *Message) bool {
	s := scanner{b: b, ok: true}
	var host []byte
	if len(b) > 0 && b[0] == '[' {
		s.lit("[")
		host = s.until(']')
		s.lit("]:")
	} else {
		host = s.until(':')
		s.lit(":")
	}
	s.digits()
	s.lit(" - ")
	s.digits()
	s.lit(` "`)
	typ, class, name := s.word(), s.word(), s.name()
	s.word() // protocol
	s.digits()
	s.lit(" ")
	s.word() // DO
	s.digits()
	s.lit(`" `)
	rcode := s.word()
	s.until(' ') // flags, of which there may be none
	s.lit(" ")
	s.digits()
	s.lit(" ")
	duration := s.b
	if i := bytes.IndexByte(s.b, ' '); i >= 0 {
		duration, s.b = s.b[:i], s.b[i:]
		s.lit(` "`)
		if opcode := s.until('"'); len(opcode) != 1 || opcode[0] != '0' {
			return false
		}
		s.lit(`"`)
		s.ok = s.ok && len(s.b) == 0
	}
	return s.ok && p.fields(m, fields{host: host, typ: typ, class: class, name: name, rcode: rcode, duration: duration})
}

// scanner goes through a line. Once something is missing, ok is false.
type scanner struct {
	b  []byte
	ok bool
}

func (s *scanner) lit(want string) {
	if s.ok = s.ok && len(s.b) >= len(want) && string(s.b[:len(want)]) == want; s.ok {
		s.b = s.b[len(want):]
	}
}

// until takes what is before c.
func (s *scanner) until(c byte) (word []byte) {
	i := bytes.IndexByte(s.b, c)
	if s.ok = s.ok && i >= 0; s.ok {
		word, s.b = s.b[:i], s.b[i:]
	}
	return word
}

// word takes what is before a blank, which is something, and the blank.
func (s *scanner) word() []byte {
	word := s.until(' ')
	s.ok = s.ok && len(word) > 0
	s.lit(" ")
	return word
}

func (s *scanner) digits() {
	i := 0
	for i < len(s.b) && s.b[i] >= '0' && s.b[i] <= '9' {
		i++
	}
	s.ok = s.ok && i > 0
	s.b = s.b[i:]
}

// name takes a name, in which a blank is escaped, and the blank after it.
func (s *scanner) name() []byte {
	for i := 0; i < len(s.b); i++ {
		switch s.b[i] {
		case '\\':
			i++
		case ' ':
			name := s.b[:i]
			s.b = s.b[i+1:]
			return name
		}
	}
	s.ok = false
	return nil
}

// fields are what a line says. Those that a format lacks are nil.
type fields struct{ host, typ, class, name, rcode, duration, opcode []byte }

// fields makes m of f.
func (p *parser) fields(m *Message, f fields) (ok bool) {
	if f.class != nil && string(f.class) != "IN" || f.opcode != nil && string(f.opcode) != "0" {
		return false
	}
	if m.Type, ok = typeOf(f.typ); !ok {
		return false
	}
	if m.Name, ok = p.logged(f.name); !ok {
		return false
	}
	if f.host != nil && string(f.host) != "-" {
		if m.Client, ok = p.address(f.host); !ok {
			return false
		}
	}
	m.Rcode = rcodeOf(f.rcode)
	if f.duration != nil {
		d, ok := durationOf(f.duration)
		if !ok {
			return false
		}
		m.answered(d)
	}
	return true
}

// answered notes how long the server took until the time of a line.
func (m *Message) answered(took time.Duration) {
	m.Took = took
	if !m.At.IsZero() {
		m.At = m.At.Add(-took)
	}
}

// typeOf reads a type, which without a name is as in RFC 3597, section 5.
func typeOf(b []byte) (uint16, bool) {
	if t, ok := dns.StringToType[string(b)]; ok {
		return t, true
	}
	if rest, ok := bytes.CutPrefix(b, []byte("TYPE")); ok {
		n, err := strconv.ParseUint(string(rest), 10, 16)
		return uint16(n), err == nil
	}
	return 0, false
}

// rcodeOf is -1 if b has none.
func rcodeOf(b []byte) int {
	if rcode, ok := dns.StringToRcode[string(b)]; ok {
		return rcode
	}
	if n, err := strconv.ParseUint(string(b), 10, 12); err == nil {
		return int(n) // #nosec G115 -- 12 bits
	}
	return -1
}

// durationOf reads seconds with a fraction of any length, as "0.000123s".
func durationOf(b []byte) (d time.Duration, ok bool) {
	b, ok = bytes.CutSuffix(b, []byte("s"))
	whole, fraction, _ := bytes.Cut(b, []byte("."))
	if !ok || len(whole) == 0 || len(whole) > 9 {
		return 0, string(b) == "-"
	}
	for _, c := range whole {
		if c < '0' || c > '9' {
			return 0, false
		}
		d = 10*d + time.Duration(c-'0')*time.Second
	}
	unit := time.Second
	for _, c := range fraction {
		if c < '0' || c > '9' {
			return 0, false
		}
		unit /= 10
		d += time.Duration(c-'0') * unit
	}
	return d, true
}

// logged reads a name that the log plugin wrote, which is escaped already.
func (p *parser) logged(b []byte) (string, bool) {
	if len(b) == 0 || b[len(b)-1] != '.' || len(b) > 4*255 {
		return "", false
	}
	s := p.scratch[:0]
	for _, c := range b {
		switch {
		case c <= ' ' && c != ' ' || c > '~':
			return "", false
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		s = append(s, c)
	}
	p.scratch = s
	return p.names.intern(s), true
}

// address reads one, which is in brackets in formats other than the stock ones.
func (p *parser) address(b []byte) (netip.Addr, bool) {
	if addr, ok := address4(b); ok {
		return addr, true
	}
	if n := len(b); n > 1 && b[0] == '[' && b[n-1] == ']' {
		b = b[1 : n-1]
	}
	if len(b) > 64 {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(p.names.intern(b))
	return addr.Unmap().WithZone(""), err == nil
}

// address4 reads an IPv4 address.
func address4(b []byte) (netip.Addr, bool) {
	var a [4]byte
	i := 0
	for k := range a {
		n, start := 0, i
		for i < len(b) && i-start < 3 && b[i] >= '0' && b[i] <= '9' {
			n = 10*n + int(b[i]-'0')
			i++
		}
		if i == start || n > 255 {
			return netip.Addr{}, false
		}
		a[k] = byte(n)
		if k < 3 {
			if i >= len(b) || b[i] != '.' {
				return netip.Addr{}, false
			}
			i++
		}
	}
	return netip.AddrFrom4(a), i == len(b)
}
