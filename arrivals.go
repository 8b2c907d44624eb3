package ttlfloor

import (
	"sync/atomic"
	"time"
)

// observed is how many seconds the gauges look at.
const observed = 60

// arrivals counts queries per second since an epoch. It takes no lock and is safe
// for concurrent use; a second's slot is told from a stale one by its number.
type arrivals struct {
	epoch   time.Time         // second 1, on the clock that does not go back
	expires atomic.Int64      // second in which the last of the TTLs that went out ends
	slots   [64]atomic.Uint64 // a second's number, modulo 2^32, and its count
}

func second(since time.Duration) int64 { return int64(since/time.Second) + 1 }

// count counts a query at a time since the epoch.
func (a *arrivals) count(since time.Duration) {
	now := second(since)
	slot, stamp := &a.slots[now&63], uint64(now)<<32 // #nosec G115 -- the low half will do
	for {
		old := slot.Load()
		next := stamp + 1
		if old&^(1<<32-1) == stamp {
			next = old + 1
		}
		if slot.CompareAndSwap(old, next) {
			return
		}
	}
}

// serve notes the greatest TTL of the response to a query that came at a time since
// the epoch. One beyond the horizon of the schedule says nothing of a herd.
func (a *arrivals) serve(since time.Duration, ttl uint32) {
	for end := second(since) + int64(min(ttl, horizon)); ; {
		if old := a.expires.Load(); end <= old || a.expires.CompareAndSwap(old, end) {
			return
		}
	}
}

// spread is how even the queries of a minute were.
type spread struct {
	dispersion float64 // variance over mean of the queries per second
	ratio      float64 // the busiest second over the mean second
	peak       float64 // queries in the busiest second
}

// spread looks at the 60 seconds up to the last query before now, a time since the
// epoch, or at as many as there have been. The seconds after that query may be the
// pause of a herd or the end of the traffic. The traffic is over once the minute is
// past and every TTL that went out has run out; then all is 0.
func (a *arrivals) spread(since time.Duration) (s spread) {
	now, last := second(since), int64(0)
	for i := range a.slots {
		if second := int64(a.slots[i].Load() >> 32); second < now { // #nosec G115 -- 32 bits
			last = max(last, second)
		}
	}
	if last == 0 || max(a.expires.Load(), last+observed) < now {
		return s
	}
	from := max(last-observed, 0) + 1
	var sum, squares float64
	for second := from; second <= last; second++ {
		if v := a.slots[second&63].Load(); int64(v>>32) == second { // #nosec G115 -- 32 bits
			n := float64(v & (1<<32 - 1))
			sum += n
			squares += n * n
			s.peak = max(s.peak, n)
		}
	}
	if sum == 0 { // a new query took the last slot
		return s
	}
	n := float64(last - from + 1)
	mean := sum / n
	s.dispersion, s.ratio = (squares/n-mean*mean)/mean, s.peak/mean
	return s
}
