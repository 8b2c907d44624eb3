package ttlfloor

import (
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/ttlfloor/ttlfloor/internal/records"
)

// The sections of a message that hold records.
const (
	answer = iota
	authority
	additional
)

func sections(m *dns.Msg) [3][]dns.RR {
	return [...][]dns.RR{answer: m.Answer, authority: m.Ns, additional: m.Extra}
}

// reading is what a message says about its RRsets.
type reading struct {
	sets   []rrset
	plain  bool   // each section has one TTL and counts as one RRset
	of     [3]int // the one of a section in sets, where plain
	denial bool   // NXDOMAIN, or NODATA (RFC 2308 section 2)

	chains [64]uint16 // by hash of the owner, the RRset that was added last, plus one
}

// read reads a message that goes out now, in answer to a query for qtype. The RRsets
// go into the room that sets has, as far as they fit. Nothing is written to the message.
func (r *reading) read(m *dns.Msg, qtype uint16, now func() time.Time) {
	if r.plain = m.Rcode == dns.RcodeSuccess && r.readSections(m); r.plain {
		return
	}
	r.sets = r.sets[:0]
	soa, answered := r.readRRsets(m, qtype, now().Unix())
	r.denial = m.Rcode == dns.RcodeNameError || m.Rcode == dns.RcodeSuccess && soa && !answered
	referral := m.Rcode == dns.RcodeSuccess && !soa && len(r.sets) > 0 && r.sets[0].section != answer
	for i := range r.sets {
		s := &r.sets[i]
		s.assign(r.denial, soa, referral)
		s.out = s.received
	}
}

// readSections reads an answer in which each section has one TTL: what comes out
// of *cache*, and most that does not. Then owners and types need not be looked at, and
// hundreds of addresses cost little. It returns false where they matter: for a
// signature, a SOA in the authority section, and a type that stands in two sections,
// which may be one RRset.
func (r *reading) readSections(m *dns.Msg) bool {
	var before uint64
	for i, section := range sections(m) {
		var types uint64 // modulo 64; if two types share a bit, that costs only time
		var s *rrset
		for j, rr := range section {
			h := header(rr)
			if h == nil {
				continue
			}
			if s == nil {
				r.of[i] = len(r.sets)
				s = r.add(i, j, len(section))
				s.received, s.highest = serial(h.Ttl), h.Ttl
			}
			if h.Ttl != s.highest || h.Rrtype == dns.TypeRRSIG || i == authority && h.Rrtype == dns.TypeSOA {
				return false
			}
			types |= 1 << (h.Rrtype & 63)
		}
		if types&before != 0 {
			return false
		}
		before |= types
	}
	if len(r.sets) == 0 || r.sets[0].section != answer {
		return false
	}
	r.sets[0].role = primary
	return true
}

// readRRsets sorts the records into RRsets, at a Unix time. It tells whether the
// authority section has a SOA, and whether the answer section has a record of the
// type that was asked for.
func (r *reading) readRRsets(m *dns.Msg, qtype uint16, now int64) (soa, answered bool) {
	for i, section := range sections(m) {
		for j, rr := range section {
			h := header(rr)
			if h == nil {
				continue
			}
			s := r.find(m, i, rr, h)
			if s == nil {
				s = r.add(i, j, len(section))
				s.rrtype, s.hash = covered(rr, h), hash(h.Name)
				chain := &r.chains[s.hash%64]
				s.next, *chain = *chain, uint16(len(r.sets)) // #nosec G115 -- a message has no more records
			}
			s.take(rr, h, i, now)
			soa = soa || s.soa
			answered = answered || i == answer && (h.Rrtype == qtype || qtype == dns.TypeANY)
		}
	}
	return soa, answered
}

// find returns the RRset of a record, or nil.
func (r *reading) find(m *dns.Msg, section int, rr dns.RR, h *dns.RR_Header) *rrset {
	if r.plain {
		return &r.sets[r.of[section]]
	}
	rrtype, sum := covered(rr, h), hash(h.Name)
	for i := r.chains[sum%64]; i > 0; i = r.sets[i-1].next {
		if s := &r.sets[i-1]; s.hash == sum && s.rrtype == rrtype {
			if first := sections(m)[s.section][s.first].Header(); first.Class == h.Class && strings.EqualFold(first.Name, h.Name) {
				return s
			}
		}
	}
	return nil
}

// add adds the RRset of record j of the n in a section, with room for those of the
// records that follow. It appends by hand, since with append the compiler takes
// the room that read was given to the heap.
func (r *reading) add(section, j, n int) *rrset {
	last := len(r.sets)
	if last == cap(r.sets) {
		more := make([]rrset, last+n-j)
		copy(more, r.sets)
		r.sets = more[:last]
	}
	r.sets = r.sets[:last+1]
	r.sets[last] = rrset{section: section, first: j, received: maxTTL, ceiling: maxTTL, minimum: maxTTL}
	return &r.sets[last]
}

// take takes a record into its RRset.
func (s *rrset) take(rr dns.RR, h *dns.RR_Header, section int, now int64) {
	s.received, s.highest = min(s.received, serial(h.Ttl)), max(s.highest, h.Ttl)
	switch rr := rr.(type) {
	case *dns.RRSIG:
		s.signed, s.ceiling = true, min(s.ceiling, ceiling(rr, now))
	case *dns.SOA:
		s.soa, s.minimum = s.soa || section == authority, min(s.minimum, rr.Minttl)
	}
}

// assign gives an RRset its role: primary is what the client acts on. soa tells
// whether the authority section has a SOA, and referral whether an NS RRset
// there makes the response one.
func (s *rrset) assign(denial, soa, referral bool) {
	switch {
	case denial && s.soa:
		s.role, s.received = primary, min(s.received, s.minimum) // RFC 2308 section 5
		if s.signed {
			s.ceiling = min(s.ceiling, s.minimum)
		}
		if s.signed && s.minimum == 0 {
			s.role = alone
		}
	case denial && soa && s.section == authority && (s.rrtype == dns.TypeNSEC || s.rrtype == dns.TypeNSEC3):
		s.role = proof // RFC 9077 section 3
	case s.section == answer && (!denial || !soa), s.section == authority && s.rrtype == dns.TypeNS && referral:
		s.role = primary
	}
}

// ttls returns the lowest TTL as it came and as it goes out, and the greatest that
// goes out, if there is one.
func (r *reading) ttls() (received, served, greatest uint32, ok bool) {
	received, served = maxTTL, maxTTL
	for i := range r.sets {
		s := &r.sets[i]
		received, served, greatest = min(received, s.received), min(served, s.out), max(greatest, s.out)
	}
	return received, served, greatest, len(r.sets) > 0
}

// write returns the message with the TTLs that were decided. What changes is
// copied, the message itself to out, since *cache* and *file* keep the records
// that they hand out.
func (r *reading) write(m, out *dns.Msg) *dns.Msg {
	records.Message(out, m)
	var copies records.Copier
	for i, into := range sections(out) {
		section := sections(m)[i]
		for j, n := 0, 1; j < len(section); j, n = j+n, 1 {
			h := header(section[j])
			if h == nil {
				continue
			}
			s := r.find(m, i, section[j], h)
			soa, _ := section[j].(*dns.SOA)
			raise := soa != nil && s.soa && r.denial && !s.signed && soa.Minttl < s.out
			if s.role == alone || s.out == h.Ttl && !raise {
				continue
			}
			most := 1
			if r.plain {
				most = len(section) - j
			}
			n = copies.Copy(into[j:], section[j:], most, s.out)
			if raise {
				into[j].(*dns.SOA).Minttl = s.out
			}
		}
	}
	return out
}

// header returns the header of a record whose TTL field is a TTL, and nil for
// others: that of OPT holds flags (RFC 6891 section 6.1.3), and the records of
// transactions belong to the message that they came with.
func header(rr dns.RR) *dns.RR_Header {
	if rr == nil {
		return nil
	}
	h := rr.Header()
	switch h.Rrtype {
	case dns.TypeOPT, dns.TypeTSIG, dns.TypeSIG, dns.TypeTKEY:
		return nil
	}
	return h
}

// covered is the type of the RRset that a record is a member of: a signature is a
// member of the one that it covers.
func covered(rr dns.RR, h *dns.RR_Header) uint16 {
	if sig, ok := rr.(*dns.RRSIG); ok {
		return sig.TypeCovered
	}
	return h.Rrtype
}

// ceiling is the greatest TTL that a signature allows: its Original TTL or the
// time until it expires (RFC 4035 section 5.3.3), and 0 while it is not valid.
// Times are serial numbers (RFC 4034 section 3.1.5).
func ceiling(sig *dns.RRSIG, now int64) uint32 {
	left, since := int32(sig.Expiration-uint32(now)), int32(uint32(now)-sig.Inception) // #nosec G115 -- modulo 2^32
	if left < 0 || since < 0 {
		return 0
	}
	return min(sig.OrigTtl, uint32(left)) // #nosec G115 -- not negative
}

// hash hashes a name without regard to case (FNV-1a).
func hash(name string) uint32 {
	sum := uint32(2166136261)
	for i := range len(name) {
		sum = (sum ^ uint32(name[i]|0x20)) * 16777619
	}
	return sum
}
