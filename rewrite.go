package ttlfloor

import "github.com/miekg/dns"

// reading is what a message says about TTLs before any is rewritten. TTLs are
// in seconds. Nothing here writes to the message.
type reading struct {
	*policy
	msg *dns.Msg

	denial   bool   // a negative answer: NXDOMAIN or NODATA
	hasSOA   bool   // in the authority section
	soaFixed bool   // a signature covers that SOA, and so its MINIMUM
	proof    uint32 // base of the records that deny, if there is a SOA
	signed   uint32 // ceiling of DNSSEC
	ceiling  uint32 // the lesser of that and the rule's max

	empty  bool   // no record has a TTL
	even   bool   // all records that have one have the same
	lowest uint32 // least TTL that a client would act on
	base   uint32 // lowest base of the message
	least  uint32 // floor that applies to it
	raised bool   // some TTL is below its base
	capped bool   // some TTL or floor is above the ceiling
}

// The sections of a message that hold records.
const (
	answer = iota
	authority
	additional
)

func sections(m *dns.Msg) [3][]dns.RR {
	return [...][]dns.RR{answer: m.Answer, authority: m.Ns, additional: m.Extra}
}

// read reads a message that goes out now, in Unix time, in answer to a query
// for qtype. It looks at a record once, since the answers of a large service have hundreds.
//
// Negative answers are NXDOMAIN, and NOERROR with no record of the asked type
// and a SOA in the authority section (RFC 2308 section 2). DNSSEC has a ceiling
// because a validator keeps no record for longer than the Original TTL of its
// signature nor beyond its expiration (RFC 4035 section 5.3.3), and because the
// MINIMUM of a signed SOA can't be raised.
func (p *policy) read(m *dns.Msg, qtype uint16, now int64) reading {
	r := reading{policy: p, msg: m, signed: maxTTL}
	var plain, proof span
	answered, negative, minimum := false, uint32(maxTTL), uint32(maxTTL)
	for i, section := range sections(m) {
		for _, rr := range section {
			h := header(rr)
			if h == nil {
				continue
			}
			if sig, ok := rr.(*dns.RRSIG); ok {
				r.signed = min(r.signed, serial(sig.OrigTtl), untilExpiration(sig, now))
				r.soaFixed = r.soaFixed || i == authority && sig.TypeCovered == dns.TypeSOA
			}
			if i != authority || !denies(rr, h) {
				plain.add(h.Ttl)
				answered = answered || i == answer && (h.Rrtype == qtype || qtype == dns.TypeANY)
				continue
			}
			proof.add(h.Ttl)
			if soa, ok := rr.(*dns.SOA); ok {
				r.hasSOA = true
				negative, minimum = min(negative, negativeTTL(soa)), min(minimum, serial(soa.Minttl))
			}
		}
	}

	r.denial = m.Rcode == dns.RcodeNameError || m.Rcode == dns.RcodeSuccess && r.hasSOA && !answered
	if r.denial && r.soaFixed {
		r.signed = min(r.signed, minimum)
	}
	r.ceiling = min(r.signed, r.max)
	r.conclude(plain, proof, negative)
	return r
}

// conclude finds the lowest base of the message: of the plain records, of
// those that deny, and of a negative TTL.
func (r *reading) conclude(plain, proof span, negative uint32) {
	r.capped = max(plain.highest, proof.highest) > r.max
	if !r.denial || !r.hasSOA { // not proof of anything
		plain, proof = plain.with(proof), span{}
	}
	r.empty = plain.empty() && proof.empty()
	r.even = proof.empty() && plain.even()
	r.lowest, r.base = maxTTL, maxTTL
	if !plain.empty() {
		r.lowest, r.base, r.least = plain.least(), plain.base(r.policy, r.signed), r.floor
		r.raised = r.lowest < r.policy.base(r.lowest, r.signed)
	}
	if !proof.empty() {
		r.proof = r.negativeBase(negative, r.signed)
		lowest := min(negative, proof.least())
		r.lowest, r.raised = min(r.lowest, lowest), r.raised || lowest < r.proof
		switch {
		case r.proof < r.base:
			r.base, r.least = r.proof, r.negative
		case r.proof == r.base:
			r.least = max(r.least, r.negative)
		}
	}
	r.capped = r.capped || r.least > r.ceiling
}

// span is what is to be known of the TTLs of records whose base is that of
// policy.base: it grows with the TTL, but for a TTL of 0.
type span struct {
	zero            bool   // some TTL is 0
	large           bool   // some TTL has the high bit set
	lowest, highest uint32 // of those that are not 0, 0 if there are none
}

func (s *span) add(ttl uint32) {
	if ttl == 0 {
		s.zero = true
		return
	}
	s.large = s.large || ttl > maxTTL
	ttl = serial(ttl)
	if s.lowest == 0 || ttl < s.lowest {
		s.lowest = ttl
	}
	s.highest = max(s.highest, ttl)
}

// least returns the lowest TTL.
func (s *span) least() uint32 {
	if s.zero {
		return 0
	}
	return s.lowest
}

// even tells whether all TTL fields are the same.
func (s *span) even() bool {
	return s.lowest == s.highest && !s.large && (!s.zero || s.lowest == 0)
}

func (s *span) empty() bool { return !s.zero && s.lowest == 0 }

// base returns the lowest base.
func (s *span) base(p *policy, signed uint32) uint32 {
	switch {
	case !s.zero:
		return p.base(s.lowest, signed)
	case s.lowest == 0:
		return p.base(0, signed)
	}
	return min(p.base(s.lowest, signed), p.base(0, signed))
}

// with returns the span of the records of both.
func (s span) with(o span) span {
	if o.lowest > 0 {
		s.add(o.lowest)
		s.add(o.highest)
	}
	s.zero, s.large = s.zero || o.zero, s.large || o.large
	return s
}

// denies tells whether rr, in the authority section, is a SOA record or one of
// the NSEC and NSEC3 records that follow it in a negative answer (RFC 9077
// section 3), or signs one of them.
func denies(rr dns.RR, h *dns.RR_Header) bool {
	rrtype := h.Rrtype
	if sig, ok := rr.(*dns.RRSIG); ok {
		rrtype = sig.TypeCovered
	}
	return rrtype == dns.TypeSOA || rrtype == dns.TypeNSEC || rrtype == dns.TypeNSEC3
}

// rewrite returns the message with ttl on the records of the lowest base and
// their base, or ttl if that is greater, on the others: the records of an
// RRset stay equal (RFC 2181 section 5.2), and a chain of CNAMEs expires at
// once. A message that is so already is returned as it is. Otherwise what
// changes is copied, to out, since *cache* and *file* keep the records that they
// hand out.
func (r *reading) rewrite(ttl uint32, out *dns.Msg) *dns.Msg {
	if r.even && r.lowest == ttl {
		return r.msg
	}
	var into [3][]dns.RR
	var copies copier
	changed := false
	for i, section := range sections(r.msg) {
		for j, n := 0, 1; j < len(section); j, n = j+n, 1 {
			h := header(section[j])
			if h == nil {
				continue
			}
			t, minimum := r.newTTL(section[j], h, i, ttl)
			if t == h.Ttl && !minimum {
				continue
			}
			if !changed {
				copyMsg(out, r.msg)
				into, changed = sections(out), true
			}
			most := len(section) - j
			if i == authority {
				most = 1 // records that are alike may differ in what they prove
			}
			n = copies.copy(into[i][j:], section[j:], most, t)
			if minimum {
				into[i][j].(*dns.SOA).Minttl = t
			}
		}
	}
	if !changed {
		return r.msg
	}
	return out
}

// newTTL returns the TTL that a record of a section gets, ttl being that of the
// lowest base, and whether it is a SOA with a MINIMUM that would keep clients
// from using it and that may be raised.
func (r *reading) newTTL(rr dns.RR, h *dns.RR_Header, section int, ttl uint32) (t uint32, minimum bool) {
	if section != authority || !r.denial || !r.hasSOA || !denies(rr, h) {
		if base := r.policy.base(h.Ttl, r.signed); base != r.base {
			return max(base, ttl), false
		}
		return ttl, false
	}
	t = ttl
	if r.proof != r.base {
		t = max(r.proof, ttl)
	}
	soa, ok := rr.(*dns.SOA)
	if !ok { // it follows the SOA, but not above the ceiling
		t = min(t, max(serial(h.Ttl), r.signed))
	}
	return t, ok && !r.soaFixed && serial(soa.Minttl) < t
}

// outcome is what was done to a message that was rewritten; windowCapped tells
// whether its window was cut.
func (r *reading) outcome(windowCapped bool) outcome {
	switch {
	case windowCapped || r.capped:
		return capped
	case r.raised:
		return raised
	}
	return jittered
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

// negativeTTL is how long a client keeps a negative answer with this SOA (RFC
// 2308 section 5).
func negativeTTL(soa *dns.SOA) uint32 {
	return min(serial(soa.Hdr.Ttl), serial(soa.Minttl))
}

// untilExpiration is how many seconds a signature is still valid for, 0 if it
// is not, in serial number arithmetic (RFC 4034 section 3.1.5).
func untilExpiration(sig *dns.RRSIG, now int64) uint32 {
	left := int32(sig.Expiration - uint32(now)) // #nosec G115 -- modulo 2^32 as the RFC has it
	return uint32(max(left, 0))                 // #nosec G115 -- not negative
}
