package capture

import (
	"encoding/binary"
	"hash/maphash"
	"math"

	"github.com/miekg/dns"
)

// The octets of RFC 1035, section 4.1: a header, and a resource record of the root
// without data.
const (
	headerLength = 12
	fixedLength  = 10 // type, class, TTL and the length of the data
)

// parser makes messages of what DNS has on the wire. It does not allocate but for names
// that it has not seen lately.
type parser struct {
	names   names
	scratch []byte
}

// message reads b into m: the question, and in an answer also Rcode and TTL. It returns
// false unless b is a message with one question of the class IN. What is cut off after
// the question is unknown. The time and the client are left alone.
func (p *parser) message(b []byte, m *Message) bool {
	if len(b) < headerLength || binary.BigEndian.Uint16(b[4:]) != 1 || b[2]&0x78 != dns.OpcodeQuery<<3 {
		return false
	}
	name, off := p.name(b)
	if off == 0 || len(b)-off < 4 || binary.BigEndian.Uint16(b[off+2:]) != dns.ClassINET {
		return false
	}
	m.Name, m.Type = name, binary.BigEndian.Uint16(b[off:])
	m.Answer, m.Rcode, m.TTL = b[2]&0x80 != 0, -1, -1
	if m.Answer {
		m.Rcode = int(b[3] & 0x0f)
		walk(b, off+4, m)
	}
	return true
}

// name reads the name of the question, which is the first of the message, and has
// nothing before it that it could point to (RFC 1035, section 4.1.4). It returns where it
// ends, or 0.
func (p *parser) name(b []byte) (string, int) {
	s, off := p.scratch[:0], headerLength
	for {
		if off >= len(b) || b[off] > 63 {
			return "", 0
		}
		n := int(b[off])
		off++
		if n == 0 {
			break
		}
		if off+n >= len(b) || off+n-headerLength >= 255 {
			return "", 0
		}
		s = appendLabel(s, b[off:off+n])
		off += n
	}
	if len(s) == 0 {
		s = append(s, '.')
	}
	p.scratch = s
	return p.names.intern(s), off
}

// appendLabel writes a label as miekg/dns does, in lower case, and the dot after it.
func appendLabel(s, label []byte) []byte {
	for _, c := range label {
		switch {
		case c >= 'A' && c <= 'Z':
			s = append(s, c+'a'-'A')
		case c < ' ' || c > '~':
			s = append(s, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
		case c == '.' || c == ' ' || c == '\'' || c == '@' || c == ';' || c == '(' || c == ')' || c == '"' || c == '\\':
			s = append(s, '\\', c)
		default:
			s = append(s, c)
		}
	}
	return append(s, '.')
}

// walk goes through the records from off on, for the TTL of m, and the part of its Rcode
// that EDNS has (RFC 6891, section 6.1.3).
func walk(b []byte, off int, m *Message) {
	least, denial := int64(math.MaxInt64), true
	sections := [3]int{}
	for i := range sections {
		sections[i] = int(binary.BigEndian.Uint16(b[6+2*i:]))
	}
	for section, count := range sections {
		for range count {
			r, next := recordAt(b, off)
			if next == 0 {
				return // what is cut off may have a lower TTL
			}
			off = next
			switch {
			case section == 0:
				least = min(least, r.ttl)
				denial = denial && r.typ != m.Type && m.Type != dns.TypeANY
			case section == 1 && denial && r.typ == dns.TypeSOA && len(r.data) >= 22:
				least = min(least, r.ttl, seconds(r.data[len(r.data)-4:]))
			case section == 2 && r.typ == dns.TypeOPT:
				m.Rcode |= int(r.extended) << 4
			}
		}
		if section == 1 && least < math.MaxInt64 {
			m.TTL = least
		}
	}
}

// record is what walk wants to know of one.
type record struct {
	typ      uint16
	ttl      int64
	extended byte   // the first octet of the TTL
	data     []byte // of a SOA it ends with MINIMUM, whatever its names are compressed to
}

// recordAt reads the record at off, and returns where the next one is, or 0. Names are
// skipped: a pointer ends one, and is not followed.
func recordAt(b []byte, off int) (r record, next int) {
	for {
		if off >= len(b) {
			return r, 0
		}
		n := int(b[off])
		switch {
		case n == 0:
			off++
		case n <= 63:
			off += 1 + n
			continue
		case n >= 0xc0:
			off += 2
		default: // reserved
			return r, 0
		}
		break
	}
	if len(b)-off < fixedLength {
		return r, 0
	}
	fixed := b[off : off+fixedLength]
	off += fixedLength
	next = off + int(binary.BigEndian.Uint16(fixed[8:]))
	if next > len(b) {
		return r, 0
	}
	return record{binary.BigEndian.Uint16(fixed), seconds(fixed[4:]), fixed[4], b[off:next]}, next
}

// seconds reads a TTL. One with the first bit set is 0 (RFC 2181, section 8).
func seconds(b []byte) int64 {
	if ttl := binary.BigEndian.Uint32(b); ttl <= math.MaxInt32 {
		return int64(ttl)
	}
	return 0
}

// names remembers strings that came lately, so that one that comes again is not
// allocated again. It has as many places as strings, and each string has one of them.
type names struct {
	seed maphash.Seed
	slot []string
}

const slots = 1 << 14

func (n *names) intern(b []byte) string {
	if n.slot == nil {
		n.seed, n.slot = maphash.MakeSeed(), make([]string, slots)
	}
	s := &n.slot[maphash.Bytes(n.seed, b)%slots]
	if *s != string(b) {
		*s = string(b)
	}
	return *s
}
