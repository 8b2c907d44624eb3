package ttlfloor

import (
	"math"
	"math/bits"
	"sync"
	"time"
)

const (
	// horizon is how many seconds ahead appointments are kept: a little over
	// an hour, since longer TTLs do not make a storm.
	horizon = 4096
	// choices is how many seconds of a window are looked at.
	choices = 64
)

// schedule arranges when the clients of a rule come back. It is safe for concurrent use.
//
// A client that follows TTLs comes back when its own has run out, so a TTL is an
// appointment. By Little's law N clients that come back after T seconds bring N/T queries
// a second, and that is the fair share of every second.
// A response takes a second of its window that has less than its share.
//
// An appointment is only worth what it will be kept. So clients are remembered: those
// who keep theirs are arranged among each other, those who came back at another time
// around them, and new ones around both. Who comes too early is answered by chance.
type schedule struct {
	epoch time.Time             // tick 0, on the clock that does not go back
	draw  func(n uint32) uint32 // a number below n
	seed  uint64                // of the hashes of clients

	mu      sync.Mutex
	clients clients
	others  siblings
	asked   [512]question // by the hash of name and type
	rings   rings         // of the section that a client acts on
	lower   rings         // of other sections
	turn    uint32        // where the search for the emptiest second starts
	smear   smear
}

func newSchedule(draw func(n uint32) uint32) *schedule {
	s := &schedule{epoch: time.Now(), draw: draw}
	s.seed = uint64(draw(math.MaxUint32))<<32 | uint64(draw(math.MaxUint32))
	s.turn = draw(choices) // or replicas would send clients to the same seconds
	return s
}

// question is what is known of a name and type whose TTLs are chosen. Ticks are modulo 2^32.
type question struct {
	hash     uint32
	received uint32 // TTL that it came with last, in seconds
	hi       uint32 // end of its last window, in seconds; 0 if there was none
	counts   uint32 // tick until which its TTLs are taken to count down
	roams    uint32 // tick until which its windows are taken to change
}

// rings are for windows that reach equally far, by the octave of their end: those that
// reach farther would take what is left for those who come to it later.
type rings [13]*ring

// roamers is the ring of names whose windows change, as behind a cache that counts
// down: their clients meet again in windows of all lengths.
const roamers = 0

// ringOf returns the number of the ring for a choice for a name and type, by their hash,
// and whether its TTLs count down.
func (s *schedule) ringOf(hash uint32, now int64, c choice) (ring uint8, counts bool) {
	const settled = 600 * ticks // for how long it has to stay the same
	tick := uint32(now)         // #nosec G115 -- modulo 2^32
	q := &s.asked[hash%uint32(len(s.asked))]
	if q.hash != hash || q.hi == 0 {
		*q = question{hash: hash, received: c.received, hi: c.hi, counts: tick, roams: tick}
	}
	if q.received != c.received {
		q.received, q.counts = c.received, tick+settled
	}
	if q.hi != c.hi {
		q.hi, q.roams = c.hi, tick+settled
	}
	counts = int32(q.counts-tick) > 0 // #nosec G115 -- modulo 2^32
	if int32(q.roams-tick) > 0 {      // #nosec G115 -- modulo 2^32
		return roamers, counts
	}
	return uint8(bits.Len32(c.hi)), counts // #nosec G115 -- few
}

// choice is what a TTL is chosen from, in seconds.
type choice struct {
	lo, hi   uint32 // both included
	slid     bool   // nothing was low, so that it only takes away, and costs queries
	lower    bool   // for records of another section than what the client acts on
	received uint32 // least TTL of the records as they came
}

// visit is a query whose response goes out.
type visit struct {
	client  uint64        // its hash
	name    uint32        // hash of the name and type
	meter   uint32        // the meter's number
	waited  time.Duration // since it came
	observe bool          // the response goes out as it came
	smear   time.Duration // for which it may be held
}

// now is the tick that it is.
func (s *schedule) now() int64 { return int64(time.Since(s.epoch) / (time.Second / ticks)) }

// book makes an appointment for a client. It returns the TTL for it, for how long the
// response is to be held, and how the client came back. 1 <= lo <= hi < horizon.
func (s *schedule) book(v visit, c choice) (ttl uint32, delay time.Duration, came comeback) {
	s.mu.Lock()
	defer s.mu.Unlock()

	now := s.now()
	e, found := s.clients.find(v.client, uint32(now)) // #nosec G115 -- modulo 2^32
	if c.lower {
		return s.bookLower(e, now, v, c), 0, again
	}
	came = fresh
	from, booked := now, now
	if found {
		came = e.judge(uint32(now-int64(v.waited/(time.Second/ticks))), c.lo, &s.others) // #nosec G115 -- modulo 2^32
		if ttl, ok := e.left(e.ttl, now, c); ok && came == again {
			return ttl, 0, again
		}
		if r := s.rings[e.ring]; r != nil {
			r.remove(e.appointment(now), e.of)
		}
		from = e.align(now)
	}
	of := e.of
	if came != again {
		of = e.standing(came)
	}
	if came == early {
		ttl = c.lo + s.draw(c.hi-c.lo+1)
	} else {
		ring, counts := s.ringOf(v.name, now, c)
		e.ring, c.slid = ring, c.slid && !counts
		ttl = s.take(e.ring, c, of, now, from)
		booked = from + int64(ttl)*ticks
		delay = s.delay(v, e, came, ttl)
	}
	e.told, e.booked = uint32(now), uint32(booked) // #nosec G115 -- modulo 2^32
	e.of, e.meter, e.ttl, e.lower = of, v.meter, v.told(ttl, c), 0
	return ttl, delay, came
}

// bookLower makes an appointment for records of another section, which run out before
// those that were booked for the same response.
func (s *schedule) bookLower(e *client, now int64, v visit, c choice) uint32 {
	if ttl, ok := e.left(e.lower, now, c); ok {
		return ttl
	}
	if e.last == early {
		return c.lo + s.draw(c.hi-c.lo+1)
	}
	ttl := s.take(uint8(bits.Len32(c.hi)), c, e.of, now, now)     // #nosec G115 -- few
	e.lower = v.told(ttl, c) + uint16(e.since(uint32(now))/ticks) // #nosec G115 -- modulo 2^32; seconds at most
	return ttl
}

// told is the TTL that the client gets.
func (v *visit) told(ttl uint32, c choice) uint16 {
	if v.observe {
		ttl = c.received
	}
	return uint16(min(ttl, math.MaxUint16)) // #nosec G115 -- in range
}

// take books a second of a window in a ring, counted from a tick, for a client of some
// standing, and returns how many seconds away it is.
func (s *schedule) take(number uint8, c choice, of standing, now, from int64) uint32 {
	rings := &s.rings
	if c.lower {
		rings = &s.lower
	}
	r := rings[number]
	if r == nil {
		r = new(ring)
		rings[number] = r
	}
	r.grow(c.hi)
	r.pass(now)

	v := r.view(from%ticks, of, c)
	ttl := s.choose(&v, c, from)
	r.add(from+int64(ttl)*ticks, of, c.rate())
	return ttl
}

// choose looks at every second of a window, or at 64 even steps of a wider one. It
// takes the first with less than what is fair, and the emptiest where there is none,
// which is how a herd is broken up.
//
// A second fills up while it draws nearer: at the far end of the window it takes a
// tenth of its share, at the near end all of it. So it gets clients that come from many
// seconds, and is full in the end.
func (s *schedule) choose(v *view, c choice, from int64) uint32 {
	width := c.hi - c.lo + 1
	n := min(width, choices)
	shift := uint32(0) // of the steps, so that they do not leave seconds out
	if width > n {
		shift = s.draw(width)
	}
	ttl := func(i uint32) uint32 { return c.lo + (i*width+shift)/n }

	for i := range n {
		if v.load(from+int64(ttl(i))*ticks) < v.fair(i, n) {
			return ttl(i)
		}
	}
	s.turn++ // so that equals take turns
	near := uint32(0)
	if v.far {
		near = n / 3
	}
	emptiest, least := uint32(0), uint32(math.MaxUint32)
	for i := range n {
		if i < n-near {
			i = near + (i+s.turn)%(n-near)
		} else {
			i = (i + s.turn) % near
		}
		if load := v.load(from + int64(ttl(i))*ticks); load < least {
			emptiest, least = i, load
		}
	}
	return ttl(emptiest)
}

// rate is what an appointment brings to the queries per second: one in the time that
// lies at three fifths of its window. Were it one in its own time, a fleet could
// settle at either end, where it can be moved in one direction only. A window that was
// slid down costs queries, so its clients are sent to three quarters of it.
func (c choice) rate() uint64 {
	at := 12 * (c.hi - c.lo)
	if c.slid {
		at = 15 * (c.hi - c.lo)
	}
	return 20 * perSecond / uint64(20*c.lo+at)
}

// followers counts the clients that are expected to come back when they were told to,
// by the number of their meter.
func (s *schedule) followers(count func(meter uint32)) {
	now := uint32(s.now()) // #nosec G115 -- modulo 2^32
	for i := range s.clients {
		s.mu.Lock()
		for j := range s.clients[i] {
			if e := &s.clients[i][j]; e.trust > 0 && e.since(now) <= int32(e.ttl)*ticks+onTime {
				count(e.meter)
			}
		}
		s.mu.Unlock()
	}
}
