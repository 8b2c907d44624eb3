package find

import (
	"math"
	"slices"
	"time"
)

const (
	manyWaits = 5    // that tell the period of a client that asks other servers in between
	leastWait = 3e3  // milliseconds; one that asks again sooner may ask twice each time
	tolerance = 0.2  // by which the waits of a regular client differ
	slack     = 0.06 // of a period, by which a client that asks at other times, too, is early or late
	lag       = 100  // milliseconds, on top of that
	apart     = 4    // periods between two of its queries, at most
	regular   = 0.5  // least part of its queries, and of its periods, that are in step with each other
)

// period is what a regular client waits between its queries, and 0 for one that is not
// regular.
func (c *caller) period() time.Duration {
	gaps := c.recent()
	if len(gaps) < fewWaits {
		return 0
	}
	p := even(gaps)
	if p == 0 {
		p = underneath(gaps)
	}
	return time.Duration(p) * time.Millisecond
}

// even is the period of waits that are about as long as each other: three quarters of
// them are within a fifth of the median. Or nearly all are multiples of the least one, as
// where the client asks other servers in between.
func even(gaps []uint32) float64 {
	count := func(in func(gap float64) bool) (n int) {
		for _, g := range gaps {
			if in(float64(g)) {
				n++
			}
		}
		return n
	}
	m, least := float64(median(gaps)), float64(slices.Min(gaps))
	if near := count(func(g float64) bool { return math.Abs(g/m-1) <= tolerance }); 4*near >= 3*len(gaps) {
		return m
	}
	if near := count(func(g float64) bool { return multiple(g, least, 0.1) }); len(gaps) >= manyWaits && least >= leastWait && near >= len(gaps)-1 {
		return least
	}
	return 0
}

// underneath is the period of a client that asks at other times, too, or some of whose
// queries are missing. Half of its queries or more are a period apart, or a few.
func underneath(gaps []uint32) float64 {
	at := make([]float64, 1, waits+1) // counted back from the last
	for _, g := range gaps {
		at = append(at, at[len(at)-1]+float64(g))
	}
	best, period := 0., 0.
	for i := range at {
		for j := i + 1; j < len(at) && j <= i+3; j++ {
			p := at[j] - at[i]
			s := longest(at, p)
			if part := float64(s.n) / float64(len(at)) * float64(s.links) / s.periods; s.links >= fewWaits && part >= regular && part > best {
				best, period = part, s.length/s.periods
			}
		}
	}
	return period
}

// series are queries of which each comes a period after the one before, or a few. One that
// comes twice counts twice.
type series struct {
	n, links int
	periods  float64 // from the first to the last
	length   float64 // of those
}

// longest returns the longest series in the times.
func longest(at []float64, period float64) (best series) {
	var room [waits + 1]series
	ending := room[:0] // in each
	for j := range at {
		end := series{n: 1}
		for i := range j {
			times := math.Round((at[j] - at[i]) / period)
			if times > apart || math.Abs(at[j]-at[i]-times*period) > slack*period+lag {
				continue
			}
			s := ending[i]
			s.n++
			s.periods += times
			s.length += at[j] - at[i]
			if times > 0 {
				s.links++
			}
			if s.more(end) {
				end = s
			}
		}
		ending = append(ending, end)
		if end.more(best) {
			best = end
		}
	}
	return best
}

func (s series) more(than series) bool {
	return s.n > than.n || s.n == than.n && s.periods < than.periods
}

// fits tells whether a client that has come too few times for a period of its own comes
// with that of others: each wait is as long.
func (c *caller) fits(period time.Duration) bool {
	if c.ngaps == 0 || c.ngaps >= fewWaits {
		return false
	}
	p := float64(period.Milliseconds())
	for _, g := range c.recent() {
		if math.Abs(float64(g)-p) > slack*p+lag {
			return false
		}
	}
	return true
}

// multiple tells whether a wait is a multiple of another, up to a part of the latter.
func multiple(gap, of, tolerance float64) bool {
	times := math.Round(gap / of)
	return times >= 1 && times <= 20 && math.Abs(gap/of-times) <= tolerance
}

// median returns the one in the middle.
func median(gaps []uint32) uint32 {
	sorted := slices.Sorted(slices.Values(gaps))
	return sorted[len(sorted)/2]
}
