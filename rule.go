package ttlfloor

const (
	week   = 7 * 24 * 60 * 60 // seconds; cap of a TTL with the high bit set, RFC 8767 section 4
	maxTTL = 1<<31 - 1        // seconds; RFC 2181 section 8
)

// rule is one ttlfloor directive.
type rule struct {
	policy
	at      string // file and line
	zones   []string
	types   []uint16 // empty: all
	except  zones
	observe bool // decide and count, and change nothing

	jitter    jitter
	positives schedule // apart, since one schedule for windows of different lengths does worse
	negatives schedule
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
	negative uint32 // least TTL of a negative answer, 1 to week; 0 leaves them alone
	max      uint32 // greatest TTL that goes out
	low      int64  // per cent added to the base at the window's start, above -100
	high     int64  // per cent added to the base at the window's end
	spread   bool   // whether there is a window at all
}

// serial reads a TTL field: one with the high bit set is a large positive
// number, not a negative one (RFC 8767 section 4).
func serial(ttl uint32) uint32 {
	if ttl > maxTTL {
		return week
	}
	return ttl
}

// base is the TTL that a record's new one starts from. signed is the ceiling
// of DNSSEC, which no TTL is raised above.
func (p *policy) base(ttl, signed uint32) uint32 {
	if ttl == 0 {
		return min(p.zero, signed, p.max)
	}
	return min(max(serial(ttl), min(p.floor, signed)), p.max)
}

// negativeBase is the same for ttl, a negative TTL.
func (p *policy) negativeBase(ttl, signed uint32) uint32 {
	return min(max(ttl, min(p.negative, signed)), p.max)
}

// window is where the TTL of a message with the lowest base m may lie, both
// ends included: at least one second wide and not below floor. Under a ceiling
// that it reaches above, which capped tells, it slides down, keeping its width
// as far as the floor lets it. A ceiling below the floor wins.
func (p *policy) window(m, floor, ceiling uint32) (lo, hi uint32, capped bool) {
	l, h, f, c := int64(m), int64(m), int64(floor), int64(ceiling)
	if p.spread {
		l = max(l*(100+p.low)/100, f)
		h = max((h*(100+p.high)+99)/100, l+1)
	}
	if capped = h > c; capped {
		l, h = max(l-(h-c), min(f, c)), c
	}
	return uint32(l), uint32(h), capped // #nosec G115 -- 0 <= l <= h <= maxTTL
}
