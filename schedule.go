package ttlfloor

import "sync"

const (
	// horizon is how many seconds ahead appointments are kept: a little over
	// an hour, since longer TTLs do not make a storm.
	horizon = 4096
	// choices is how many seconds of a window are looked at.
	choices = 64
	// perSecond is a rate of 1/s in fixed point, so that what an appointment
	// adds to a sum is taken off again to the last bit.
	perSecond = 1 << 32
)

// schedule holds the appointments of clients that were handed a TTL: one that
// follows TTLs comes back when its own has run out. The zero value is an empty
// schedule; it is safe for concurrent use.
type schedule struct {
	mu    sync.Mutex
	slots *[horizon]slot // by second modulo horizon; made for the first appointment
	next  int64          // least second that is not yet taken off the sum
	rate  uint64         // sum over the outstanding appointments of perSecond/TTL
	turn  uint32         // where the search for the emptiest second starts
}

// slot is one second of a schedule.
type slot struct {
	appointments uint64
	rate         uint64 // what they added to the sum
}

// book makes an appointment from lo to hi seconds after now and returns how
// many seconds after now it is. Seconds are counted on a clock that does not
// go back, and lo <= hi < horizon.
//
// By Little's law the outstanding appointments bring the sum of 1/TTL queries
// a second as long as their clients go on, so that is the fair share of every
// second. The earliest second with less than that, rounded to whole
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

	at, rate := s.slot(now, ttl), perSecond/uint64(ttl)
	at.appointments++
	at.rate += rate
	s.rate += rate
	return ttl
}

// pass takes the appointments up to now off the sum, those of this second
// included: their clients are on their way in. It returns the second that the
// schedule is at, which is later than now if another caller was.
func (s *schedule) pass(now int64) int64 {
	if s.slots == nil {
		s.slots, s.next = new([horizon]slot), now
	}
	if now-s.next >= horizon { // all of them; the loop would go round for nothing
		*s.slots, s.rate, s.next = [horizon]slot{}, 0, now
	}
	for ; s.next <= now; s.next++ {
		gone := s.slot(s.next, 0)
		s.rate -= gone.rate
		*gone = slot{}
	}
	return s.next - 1
}

// choose looks at every second of the window, or at 64 even steps of a wider
// one.
func (s *schedule) choose(now int64, lo, hi uint32) uint32 {
	width := hi - lo + 1
	n, scale := min(width, choices), max(width, choices)
	step := func(i uint32) uint32 { return lo + i*scale/choices }

	share := (s.rate + perSecond/2) / perSecond
	for i := range n {
		if ttl := step(i); s.slot(now, ttl).appointments < share {
			return ttl
		}
	}

	s.turn++ // so that equals take turns
	emptiest := step(s.turn % n)
	for i := range n {
		ttl := step((s.turn + i) % n)
		if s.slot(now, ttl).appointments < s.slot(now, emptiest).appointments {
			emptiest = ttl
		}
	}
	return emptiest
}

func (s *schedule) slot(now int64, ttl uint32) *slot {
	return &s.slots[uint64(now+int64(ttl))%horizon] // #nosec G115 -- not negative
}
