package ttlfloor

import "sync"

const (
	// horizon is how many seconds ahead appointments are kept: a little over
	// an hour, since longer TTLs do not make a storm.
	horizon = 4096
	// choices is how many seconds of a window are looked at.
	choices = 64
	// ticks is how many parts a second has. TTLs are whole seconds and leave a
	// client where it was within the second, so calendar seconds that are even
	// need not be so half a second later. It is odd, so that a second can be
	// centred on a tick.
	ticks = 5
	half  = ticks / 2
	// length is how many ticks are kept.
	length = horizon * ticks
	// perSecond is a rate of 1/s in fixed point, so that what an appointment
	// adds to a sum is taken off again to the last bit.
	perSecond = 1 << 32
)

// schedule holds the appointments of clients that were handed a TTL: one that
// follows TTLs comes back when its own has run out. The zero value is an empty
// schedule; it is safe for concurrent use.
type schedule struct {
	mu   sync.Mutex
	ring *ring  // made for the first appointment
	next int64  // least second that is not yet taken off the sum
	rate uint64 // sum over the outstanding appointments of perSecond/TTL
	turn uint32 // where the search for the emptiest second starts
	// loads is room for those of a window. It is not on the stack, which would
	// have to grow with it.
	loads [choices]uint64
}

// ring is time modulo horizon.
type ring struct {
	around [length]uint32  // appointments in the second around each tick
	rates  [horizon]uint64 // what those of each second added to the sum
}

// book makes an appointment from lo to hi seconds after now and returns how
// many seconds after now it is. now is in ticks, on a clock that does not go
// back, and 1 <= lo <= hi < horizon unless both are 0.
//
// By Little's law the outstanding appointments bring the sum of 1/TTL queries
// a second as long as their clients go on, so that is the fair share of every
// second. The earliest one with less than that, rounded to whole
// appointments, is taken, and the emptiest where there is none, which is how a
// herd is broken up. Rounding matters to replicas that know nothing of each
// other: their shares are small, and rounded up they would add up to too much.
func (s *schedule) book(now int64, lo, hi uint32) uint32 {
	if hi == 0 { // back at once: nothing to arrange
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()

	now = s.pass(now)
	ttl := s.choose(now, lo, hi)

	at, rate := now+int64(ttl)*ticks, perSecond/uint64(ttl)
	s.ring.rates[at/ticks%horizon] += rate
	s.rate += rate
	for tick := max(at-half, s.next*ticks); tick <= at+half; tick++ {
		s.ring.around[uint64(tick)%length]++ // #nosec G115 -- not negative
	}
	return ttl
}

// pass takes the appointments up to the second of now off the sum, those of
// that second included: their clients are on their way in. It returns the time
// that the schedule is at, which is later than now if another caller was.
func (s *schedule) pass(now int64) int64 {
	second := now / ticks
	if s.ring == nil {
		s.ring, s.next = new(ring), second
	}
	if second-s.next >= horizon { // all of them; the loop would go round for nothing
		*s.ring, s.rate, s.next = ring{}, 0, second
	}
	for ; s.next <= second; s.next++ {
		i := s.next % horizon
		s.rate -= s.ring.rates[i]
		s.ring.rates[i] = 0
		clear(s.ring.around[i*ticks : (i+1)*ticks])
	}
	return max(now, (s.next-1)*ticks)
}

// choose looks at every second of the window, or at 64 even steps of a wider
// one.
func (s *schedule) choose(now int64, lo, hi uint32) uint32 {
	width := hi - lo + 1
	n, scale := min(width, choices), max(width, choices)
	step := func(i uint32) uint32 { return lo + i*scale/choices }

	share := (s.rate + perSecond/2) / perSecond
	at := now % length
	for i := range n {
		ttl := step(i)
		middle, fullest := s.load(at, ttl)
		if 3*middle+fullest < 4*share {
			return ttl
		}
		s.loads[i] = middle + 2*fullest
	}

	s.turn++ // so that equals take turns
	first := s.turn % n
	emptiest := first
	for i := first; i < n; i++ {
		if s.loads[i] < s.loads[emptiest] {
			emptiest = i
		}
	}
	for i := range first {
		if s.loads[i] < s.loads[emptiest] {
			emptiest = i
		}
	}
	return step(emptiest)
}

// load returns how full it is around an appointment in ttl seconds: the second
// that has it in its middle, and the fullest second that it would be part of. The
// former alone lets clients that start over time fall out of step by fractions of
// a second, the latter alone is disturbed where a herd lies across two ticks; so
// both count, the middle more for whether there is room, the fullest more for
// where there is most of it. The weights are those that did best over 40 runs.
//
// now is modulo length.
func (s *schedule) load(now int64, ttl uint32) (middle, fullest uint64) {
	i := now + int64(ttl)*ticks - half // below 2 lengths, since ttl < horizon
	if i >= length {
		i -= length
	}
	if i > length-ticks { // around the end
		var w [ticks]uint32
		for tick := range int64(ticks) {
			w[tick] = s.ring.around[(i+tick)%length]
		}
		return both(&w)
	}
	return both((*[ticks]uint32)(s.ring.around[i:]))
}

func both(w *[ticks]uint32) (middle, fullest uint64) {
	return uint64(w[half]), uint64(max(w[0], w[1], w[2], w[3], w[4]))
}
