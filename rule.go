package ttlfloor

import (
	"math"
	"time"
)

const (
	week   = 7 * 24 * 60 * 60 // seconds; what a TTL with the high bit set is read as, RFC 8767 section 4
	maxTTL = math.MaxInt32    // seconds; RFC 2181 section 8
)

// rule is one ttlfloor directive.
type rule struct {
	policy
	at      string // file and line
	zones   []string
	types   []uint16 // empty: all
	except  zones
	observe bool          // decide and count, and send what came
	smear   time.Duration // for which a response may be held

	schedule *schedule
}

// jitter is how a TTL is chosen from its window.
type jitter int

const (
	scheduled jitter = iota
	random
	off
)

// policy is the arithmetic of a rule. TTLs are in seconds.
type policy struct {
	floor    uint32 // least TTL of a positive answer, 1 to week
	zero     uint32 // what a TTL of 0 starts from
	negative uint32 // least TTL of a denial, 1 to week; 0 leaves them alone
	max      uint32 // greatest TTL that goes out
	low      int64  // per cent added to the base at the window's start, above -100
	high     int64  // per cent added to the base at the window's end
	jitter   jitter
}

// rrset is what counts of an RRset, signatures included. TTLs are in seconds.
type rrset struct {
	section, first int    // where its first record stands
	hash           uint32 // of its owner
	next           uint16 // RRset whose owner has the same low bits in its hash, plus one
	rrtype         uint16
	role           role

	received uint32 // least TTL; in a denial's SOA at most MINIMUM
	highest  uint32 // greatest TTL field
	ceiling  uint32 // greatest TTL that its signatures allow it to be raised to
	minimum  uint32 // least MINIMUM of its SOA records
	soa      bool   // one of them is in the authority section
	signed   bool   // it has a signature

	base uint32 // what its new TTL starts from
	top  uint32 // greatest TTL that it may get
	free uint32 // what top would be without ceiling and max
	out  uint32 // the TTL that was decided
}

// role is what an RRset is in its response.
type role uint8

const (
	other   role = iota // of another section, and not lower
	primary             // what the client acts on
	lower               // of another section, with a base below all primary ones
	proof               // NSEC and NSEC3 of a denial, which follow its SOA
	alone               // stays as it came
)

// serial reads a TTL field: one with the high bit set is a large positive
// number, not a negative one (RFC 8767 section 4).
func serial(ttl uint32) uint32 {
	if ttl > maxTTL {
		return week
	}
	return ttl
}

// decide decides the TTL of every RRset of a response, and tells whether one
// changes. choose makes a choice.
func (p policy) decide(sets []rrset, denial bool, choose func(choice) uint32) (result outcome, changes bool) {
	if denial {
		p.floor, p.zero = p.negative, p.negative
	}
	cut, low, aboveMax := false, false, false
	first, second := noWindow, noWindow
	for i := range sets {
		s := &sets[i]
		cut = p.bound(s) || cut
		low = low || s.received < p.floor && s.role != alone
		aboveMax = aboveMax || s.highest > p.max
		if s.role == primary {
			first.add(s)
		}
	}
	if denial && (p.negative == 0 || p.jitter == off && !low && !aboveMax) {
		return unchanged, false
	}
	t := first.choose(&p, false, choose)
	for i := range sets {
		if s := &sets[i]; s.base < first.base && (s.role == other || s.role == proof && first == noWindow) {
			s.role = lower
			second.add(s)
		}
	}
	u := second.choose(&p, first != noWindow, choose)
	cut = cut || first.cut || second.cut

	for i := range sets {
		s := &sets[i]
		want := max(s.base, t)
		switch s.role {
		case alone:
			continue
		case primary:
			want = first.ttl(s.base, t)
		case lower:
			want = second.ttl(s.base, u)
		case proof: // RFC 9077 section 3
			want = max(min(p.floor, s.top), t)
		}
		s.out = min(want, s.top)
		cut = cut || s.out < min(want, s.free)
		changes = changes || s.out != s.received || s.out != s.highest
	}
	switch {
	case cut:
		return capped, changes
	case low:
		return raised, changes
	case changes:
		return jittered, changes
	}
	return unchanged, changes
}

// start is what a TTL becomes before it is bounded and spread.
func (p *policy) start(received uint32) uint32 {
	if received == 0 {
		return p.zero
	}
	return max(received, p.floor)
}

// end is the end of the window of a base, in whole seconds.
func (p *policy) end(base uint32) int64 { return (int64(base)*(100+p.high) + 99) / 100 }

// consent is the greatest TTL that the operator agreed to for one that came as
// received: zero at least for 0, and a second above the floor, or there would be no
// window.
func (p *policy) consent(received uint32) uint32 {
	start := p.start(min(received, p.floor))
	return clamp(max(int64(p.floor)+1, int64(start), p.end(start)))
}

// bound finds the base of an RRset and what it may get at most. It tells whether a
// ceiling or max keeps it lower than it would start.
func (p *policy) bound(s *rrset) bool {
	consent, start := p.consent(s.received), p.start(s.received)
	s.free = max(s.received, consent)
	s.top = min(p.max, max(s.received, min(consent, s.ceiling)))
	s.base = min(start, s.top)
	return s.base < start
}

// window is where a TTL may lie that several RRsets get: that of the lowest base,
// slid down under all of their tops, so that none of them runs out before the
// client comes back.
type window struct {
	base, received uint32 // of the RRset with the lowest base
	top, free      uint32 // the least of all
	cut            bool   // a ceiling or max took off its end
}

// noWindow is that of no RRset: its base is above all TTLs.
var noWindow = window{base: math.MaxUint32, top: maxTTL, free: maxTTL}

func (w *window) add(s *rrset) {
	if s.base < w.base || s.base == w.base && s.received > w.received {
		w.base, w.received = s.base, s.received
	}
	w.top, w.free = min(w.top, s.top), min(w.free, s.free)
}

// choose chooses a TTL from the window, 0 if there is none. The window keeps its
// width as far as the floor lets it.
func (w *window) choose(p *policy, lower bool, choose func(choice) uint32) uint32 {
	if *w == noWindow {
		return 0
	}
	lo, hi := int64(w.base), int64(w.base)
	if p.jitter != off && (w.base <= horizon || w.received < p.floor) {
		lo = max(lo*(100+p.low)/100, int64(p.floor))
		hi = max(p.end(w.base), lo+1)
		if w.base > p.consent(w.received) {
			lo = max(lo, hi-int64(w.base/2))
		}
	}
	w.cut = min(hi, int64(w.free)) > int64(w.top)
	over := hi - int64(w.top)
	if over > 0 { // what is not low is not raised: it slides down
		lo, hi = max(lo-over, int64(min(p.floor, w.top))), hi-over
	}
	return choose(choice{lo: clamp(lo), hi: clamp(hi), slid: over > 0, lower: lower, received: w.received})
}

// ttl is what an RRset of the window gets: the TTL that was chosen if its base is
// the lowest, and else its base, unless the one that was chosen is greater.
func (w *window) ttl(base, chosen uint32) uint32 {
	if base == w.base {
		return chosen
	}
	return max(base, chosen)
}

// clamp makes a TTL of a number that is not negative.
func clamp(n int64) uint32 { return uint32(min(n, maxTTL)) } // #nosec G115 -- in range
