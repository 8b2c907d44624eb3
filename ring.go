package ttlfloor

import "math"

const (
	// ticks is how many parts a second has. TTLs are whole seconds and leave a client
	// where it was within the second, so that only what is even in each part is even
	// from any offset.
	ticks = 5
	// perSecond is a rate of 1/s in fixed point.
	perSecond = 1 << 32
)

// standing is how much a client's appointment is worth. One that is worth more is
// made without regard to those that are worth less.
type standing uint8

const (
	follower  standing = iota // keeps its appointments
	returner                  // came back, but not when it was told to
	stranger                  // was not seen before
	standings                 // how many there are
)

// ring holds appointments, by tick, for as many seconds ahead as it is long. It is
// made when the first one is, and grows.
type ring struct {
	slots  []slot                   // around the end; a power of two of seconds
	next   int64                    // least tick that is still to come
	booked uint32                   // how many were made since the last tick
	counts [ticks][standings]uint32 // sums of slot.counts, for each part of a second
	shares [ticks][standings]uint64 // sums of slot.rates, for each part of a second
}

// slot is what stands in a ring for one tick.
type slot struct {
	counts [standings]uint32
	rates  [standings]uint64 // what the appointments bring to the queries per second
}

func (r *ring) slot(tick int64) *slot { return &r.slots[tick%int64(len(r.slots))] }

// grow makes it long enough for appointments in up to so many seconds.
func (r *ring) grow(seconds uint32) {
	n := len(r.slots)
	for n < int(seconds)*ticks {
		n = max(2*n, ticks)
	}
	if n == len(r.slots) {
		return
	}
	longer := make([]slot, n)
	for i := range int64(len(r.slots)) {
		longer[(r.next+i)%int64(n)] = *r.slot(r.next + i)
	}
	r.slots = longer
}

// pass takes off the appointments up to a tick, those of that tick included: their
// clients are on their way in.
func (r *ring) pass(now int64) {
	if r.next <= now {
		r.booked = 0
	}
	r.next = max(r.next, now+1-int64(len(r.slots))) // all of them; the loop would go round for nothing
	for ; r.next <= now; r.next++ {
		s, part := r.slot(r.next), r.next%ticks
		for of := range standings {
			r.counts[part][of] -= s.counts[of]
			r.shares[part][of] -= s.rates[of]
		}
		*s = slot{}
	}
}

// add makes an appointment, which brings a rate to its part of the second.
func (r *ring) add(tick int64, of standing, rate uint64) {
	s := r.slot(tick)
	s.counts[of]++
	s.rates[of] += rate
	r.counts[tick%ticks][of]++
	r.shares[tick%ticks][of] += rate
	r.booked++
}

// remove takes back an appointment, if it is still to come.
func (r *ring) remove(tick int64, of standing) {
	if tick < r.next || tick >= r.next+int64(len(r.slots)) {
		return
	}
	s := r.slot(tick)
	if s.counts[of] == 0 {
		return
	}
	rate := s.rates[of] / uint64(s.counts[of])
	s.counts[of]--
	s.rates[of] -= rate
	r.counts[tick%ticks][of]--
	r.shares[tick%ticks][of] -= rate
}

// view is a ring as a client of some standing sees it, at a part of the second.
type view struct {
	ring   *ring
	of     standing
	shares [standings]uint32 // whole appointments that are fair in a tick
	share  uint32            // sum of them
	far    bool              // of seconds that are equally empty, the far ones come first
}

// view rounds the sum of the shares: replicas that know nothing of each other have
// small ones, and each rounded up would add up to too much. It rounds down where more
// than that would cost queries. There the far seconds are better too, unless the window
// has to break up a crowd, or hardly anybody asks.
func (r *ring) view(part int64, of standing, c choice) view {
	v := view{ring: r, of: of}
	sum := uint64(perSecond / 2)
	if c.slid {
		sum = 0
	}
	rate := c.rate()
	for i := range of + 1 {
		sum += r.share(part, i, rate)
		v.shares[i] = uint32(min(sum/perSecond, math.MaxUint32)) - v.share // #nosec G115 -- in range
		v.share += v.shares[i]
	}
	v.far = c.slid && r.busy() && r.booked <= 2*v.share
	return v
}

// share is what the appointments of a standing bring to a part of the second, as seen from
// a window in which one brings a rate. Clients with much shorter windows will get long ones
// too. Until then their share would fill the near end of this window. So they count as if
// they were in it already.
func (r *ring) share(part int64, of standing, rate uint64) uint64 {
	share, alike := r.shares[part][of], uint64(r.counts[part][of])*rate
	if share/2 > alike {
		return alike
	}
	return share
}

// busy tells whether a client comes in every other second at least.
func (r *ring) busy() bool {
	sum := uint64(0)
	for part := range r.shares {
		for _, share := range r.shares[part] {
			sum += share
		}
	}
	return sum >= perSecond/2
}

// load is how full a tick is or will be. Those who are surer to come have their share
// in it whether or not they have booked it yet.
func (v *view) load(tick int64) uint32 {
	if tick < v.ring.next {
		return 0
	}
	s := v.ring.slot(tick)
	n := s.counts[v.of]
	for i := range v.of {
		n += max(s.counts[i], v.shares[i])
	}
	return n
}

// fair is how full the tick at step i of n may be by now, rounded up.
func (v *view) fair(i, n uint32) uint32 {
	all := uint64(v.share)
	return uint32(min(all, (all*uint64(11*n-10*i)+uint64(10*n-1))/uint64(10*n))) // #nosec G115 -- no more than all
}
