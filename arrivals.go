package ttlfloor

import "sync/atomic"

// observed is how many whole seconds the ratios look back.
const observed = 60

// arrivals counts queries per second. It takes no lock and is safe for
// concurrent use; a second's slot is told from a stale one by its number.
type arrivals struct {
	since int64             // first second that is counted
	slots [64]atomic.Uint64 // the low half of a second's number, and its count
}

func (a *arrivals) count(second int64) {
	slot, stamp := &a.slots[second%64], uint64(second)<<32 // #nosec G115 -- the low half will do
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

// ratios returns the index of dispersion (variance over mean) and the busiest
// second over the mean of the last 60 whole seconds before now, or of as many
// as there have been. Both are 0 where no query came.
func (a *arrivals) ratios(now int64) (dispersion, peak float64) {
	from := max(now-observed, a.since)
	var sum, squares, busiest float64
	for s := from; s < now; s++ {
		v := a.slots[s%64].Load()
		if v>>32 == uint64(s)&(1<<32-1) { // #nosec G115 -- the low half will do
			n := float64(v & (1<<32 - 1))
			sum += n
			squares += n * n
			busiest = max(busiest, n)
		}
	}
	if sum == 0 {
		return 0, 0
	}
	n := float64(now - from)
	mean := sum / n
	return (squares/n - mean*mean) / mean, busiest / mean
}
