package ttlfloor

import (
	"math/bits"
	"net"
	"net/netip"
)

const (
	segments   = 256          // of the table of clients
	perBucket  = 8            // clients
	mostBucket = 256          // buckets of a segment
	memory     = 1800 * ticks // for how long a client is remembered after its TTL ran out

	// onTime is how many ticks late a client may be that keeps its appointment.
	onTime = 2 * ticks
	// retry is within how many ticks a query is one for the same answer: resolvers
	// ask again after 5 s at most, and at once over TCP where it did not fit.
	retry = 5*ticks + 2
	// drift is how many ticks a client may be late and keep its part of the second.
	// The round trip moves a fleet along, and it should not be torn on the way.
	drift = 2
	// trusted is the trust in a client that kept its appointment.
	trusted = 3
)

// comeback is how a client came back.
type comeback uint8

const (
	kept      comeback = iota // when its TTL ran out
	early                     // before
	late                      // after
	fresh                     // it was not seen before
	comebacks                 // how many there are
	again                     // for the same answer, which says nothing
)

var comebackNames = [comebacks]string{"kept", "early", "late", "new"}

// client is what is known of one that asks for a name and type. It is told from
// others by a hash, and nothing else is known of it. Times are in ticks, modulo 2^32.
type client struct {
	tag    uint32   // rest of the hash
	told   uint32   // when it was answered last
	booked uint32   // its appointment
	meter  uint32   // number of the one that counts it
	ttl    uint16   // what it was told, in seconds
	lower  uint16   // the same for records of another section that run out before; 0 if there are none
	of     standing // of its appointment
	ring   uint8    // that has its appointment: see rings
	trust  int8     // above 0: it is a follower
	used   bool
	last   comeback // before it came again at once; early has no appointment, and stays until one is kept
	again  bool     // it came again at once, last
	fixed  bool     // a delay does not move it
	moment uint8    // of its second in which it is to come back, plus one, if its last response was held
}

// clients is a table of clients, by hash. It grows with them up to half a million, in
// small parts, so that no query waits for a large one. A full one forgets those that
// were seen once before those that came back, and the oldest first.
type clients [segments][]client

// find returns a client, and whether it was there. A new one takes the place of the
// one that is missed least. It is valid until the next call.
func (c *clients) find(hash uint64, now uint32) (*client, bool) {
	segment, tag := &c[hash%segments], uint32(hash>>32) // #nosec G115 -- the high half
	if len(*segment) == 0 {
		*segment = make([]client, perBucket)
	}
	for {
		b := bucket(*segment, tag)
		least := &b[0]
		for i := range b {
			e := &b[i]
			if e.tag == tag && !e.gone(now) {
				return e, true
			}
			if e.less(least, now) {
				least = e
			}
		}
		if least.gone(now) || len(*segment) == perBucket*mostBucket {
			*least = client{tag: tag, used: true, of: stranger, last: fresh}
			return least, false
		}
		double(segment)
	}
}

// bucket is the part of a segment that has a tag. Its number is the tag's low bits.
func bucket(segment []client, tag uint32) []client {
	i := int(tag) & (len(segment)/perBucket - 1) * perBucket
	return segment[i : i+perBucket]
}

// double makes a segment twice as long. A client keeps its place in its bucket, or in the
// one that takes half of it.
func double(segment *[]client) {
	longer := make([]client, 2*len(*segment)) // and no longer, as it is with append
	for i, e := range *segment {
		if e.used {
			bucket(longer, e.tag)[i%perBucket] = e
		}
	}
	*segment = longer
}

// gone tells whether nothing needs to be known of a client any more.
func (e *client) gone(now uint32) bool { return !e.used || now-e.told > memory+uint32(e.ttl)*ticks }

// less tells whether a client is missed less than another.
func (e *client) less(o *client, now uint32) bool {
	if a, b := e.gone(now), o.gone(now); a != b {
		return a
	}
	if a, b := e.trust > 0, o.trust > 0; a != b {
		return b
	}
	return now-e.told > now-o.told
}

// since is how many ticks ago a client was answered, 0 if that is still to come.
func (e *client) since(now uint32) int32 { return max(int32(now-e.told), 0) } // #nosec G115 -- modulo 2^32

// siblings tells whether other replicas answer the clients, too. If there are none, one
// that keeps its appointment has kept the one before as well. The other way round it
// would be wrong at first, when only those that kept theirs are back.
type siblings struct{ kept, before uint32 }

// note counts a client that kept its appointment. Old ones count less and less.
func (s *siblings) note(before comeback) {
	s.kept++
	if before == kept {
		s.before++
	}
	if s.kept == 1024 {
		s.kept, s.before = s.kept/2, s.before/2
	}
}

// none tells whether there are no other replicas, as far as is known.
func (s *siblings) none() bool { return s.before >= 32 && 4*s.before > 3*s.kept }

// judge tells how a client came back at a tick, and what is to be thought of it. lo is
// the least that it may be told now.
func (e *client) judge(arrived uint32, lo uint32, others *siblings) comeback {
	since, wait := e.since(arrived), int32(e.ttl)*ticks
	first := wait
	if e.lower > 0 {
		first = min(first, int32(e.lower)*ticks)
	}
	on := func(wait int32) bool { return since >= wait-1 && since <= wait+onTime }
	tooEarly := since < first
	if tooEarly && since <= retry && e.last != early && !e.again && !on(first) {
		e.again = true
		return again
	}
	e.again = false
	came, before := late, e.last
	switch {
	case on(wait) || on(first):
		e.trust, e.last, came = trusted, kept, kept
	case tooEarly:
		e.trust, e.last, came = 0, early, early
	case e.last == early: // its time had come long before
	case since >= 2*int32(lo)*ticks && !others.none(): // #nosec G115 -- below horizon; another replica may have told it to
		e.trust, e.last = min(e.trust+1, trusted), late
	default:
		e.trust, e.last = -2, late
	}
	if came == kept {
		others.note(before)
	}
	return came
}

// standing is that of a client that came back so.
func (e *client) standing(came comeback) standing {
	switch {
	case e.trust > 0:
		return follower
	case came == fresh || e.last == early:
		return stranger
	}
	return returner
}

// left is what is left of a TTL that the client was told, if it may be told that.
func (e *client) left(ttl uint16, now int64, c choice) (uint32, bool) {
	left := (int32(ttl)*ticks - e.since(uint32(now)) + ticks - 1) / ticks   // #nosec G115 -- modulo 2^32
	return uint32(max(left, 0)), left >= int32(c.lo) && left <= int32(c.hi) // #nosec G115 -- below horizon
}

// appointment is the tick of the client's appointment.
func (e *client) appointment(now int64) int64 {
	return now + int64(int32(e.booked-uint32(now))) // #nosec G115 -- modulo 2^32
}

// align is the tick that a client is booked from, which is in its part of the second.
func (e *client) align(now int64) int64 {
	if late := (now - e.appointment(now)) % ticks; late >= 0 && late <= drift {
		return now - late
	}
	return now
}

// clientHash is the hash of a client that asks for a name and type, from a seed. It is
// false where the address is not of IP: then there may be many clients behind it.
func clientHash(seed uint64, addr net.Addr, name uint32) (uint64, bool) {
	ip, ok := addrOf(addr)
	if !ok {
		return 0, false
	}
	b := ip.As16() // the same for IPv4 and IPv4 within IPv6
	h := seed
	for i := 0; i < len(b); i += 8 {
		var word uint64
		for _, octet := range b[i : i+8] {
			word = word<<8 | uint64(octet)
		}
		h = mix(h ^ word)
	}
	return mix(h ^ uint64(name)), true
}

// mix is a folded multiplication, as in wyhash.
func mix(v uint64) uint64 {
	hi, lo := bits.Mul64(v^0xa0761d6478bd642f, 0xe7037ed1a0b428db)
	return hi ^ lo
}

// addrOf returns the IP address of a client.
func addrOf(addr net.Addr) (ip netip.Addr, ok bool) {
	switch a := addr.(type) {
	case *net.UDPAddr:
		ip, ok = netip.AddrFromSlice(a.IP)
	case *net.TCPAddr:
		ip, ok = netip.AddrFromSlice(a.IP)
	}
	return ip, ok
}
