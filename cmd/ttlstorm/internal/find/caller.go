package find

import (
	"math"
	"slices"
	"time"
)

const (
	atOnce    = 250 // milliseconds, within which a client that asks again has not waited
	spinning  = 10  // times in a row that a client asks again at once and spins; retries are fewer
	pause     = 1e3 // milliseconds, below which a gap is not a wait but a retry or a spin
	waits     = 8   // the last ones that are kept
	fewWaits  = 3   // that tell whether a client is regular
	manyWaits = 5   // that tell it of one that asks other servers in between
	tolerance = 0.2 // by which the waits of a regular client differ
)

// caller is what is known of a client that asks one question. Times are in milliseconds.
type caller struct {
	last    int64
	n       uint32 // queries
	short   uint32 // that came at once after the one before
	run     uint32 // of those in a row
	longest uint32
	gaps    [waits]uint32 // the last waits, in a ring
	ngaps   uint32        // that there were
	kept    uint32        // waits that were as long as the TTL
	broken  uint32        // and that were not
	told    uint32        // the TTL that it was told last, in seconds
	epoch   uint16
	knows   bool // told is known
}

// ask notes a query.
func (c *caller) ask(at int64, epoch uint16) {
	c.n++
	gap := at - c.last
	if c.n == 1 || epoch != c.epoch {
		c.last, c.epoch, c.knows = at, epoch, false
		return
	}
	if gap < 0 { // out of order, by less than a minute
		return
	}
	c.last = at
	if gap < atOnce {
		c.short++
		c.run++
		c.longest = max(c.longest, c.run)
		return
	}
	c.run = 0
	if gap < pause || gap > maxPeriod.Milliseconds() {
		return
	}
	if c.knows {
		wait := int64(c.told) * 1e3
		switch {
		case gap >= wait-200 && gap <= wait+2e3:
			c.kept++
		case gap > wait && wait > 0 && multiple(float64(gap), float64(wait), 0.05): // it may have asked another server
		case gap >= 5e3+atOnce || gap > wait: // resolvers ask again after 5 s at most
			c.broken++
		}
		c.knows = false
	}
	c.gaps[c.ngaps%waits] = uint32(gap) // #nosec G115 -- below maxPeriod
	c.ngaps++
}

// since is how long ago a client was seen, a long time if the clock went back since.
func (c *caller) since(f *Finder) int64 {
	if c.epoch != f.epoch {
		return 1 << 40
	}
	return f.to - c.last
}

// spins tells whether a client asks again as soon as it has an answer: many times in a
// row, and nearly always.
func (c *caller) spins() bool { return c.longest >= spinning && 5*c.short >= 4*c.n }

// recent are the waits that are kept, the last one first.
func (c *caller) recent() []uint32 {
	n := min(c.ngaps, waits)
	out := make([]uint32, 0, n)
	for i := range n {
		out = append(out, c.gaps[(c.ngaps-1-i)%waits])
	}
	return out
}

// period is what a regular client waits between its queries, and 0 for one that is not
// regular. Three quarters of its waits are within a fifth of each other, or nearly all
// are multiples of the least one, as where it asks other servers in between.
func (c *caller) period() time.Duration {
	gaps := c.recent()
	if len(gaps) < fewWaits {
		return 0
	}
	slices.Sort(gaps)
	count := func(in func(gap float64) bool) (n int) {
		for _, g := range gaps {
			if in(float64(g)) {
				n++
			}
		}
		return n
	}
	median, least := float64(gaps[len(gaps)/2]), float64(gaps[0])
	if near := count(func(g float64) bool { return math.Abs(g/median-1) <= tolerance }); 4*near >= 3*len(gaps) {
		return time.Duration(median) * time.Millisecond
	}
	if near := count(func(g float64) bool { return multiple(g, least, 0.1) }); len(gaps) >= manyWaits && near >= len(gaps)-1 {
		return time.Duration(least) * time.Millisecond
	}
	return 0
}

// multiple tells whether a wait is a multiple of another, up to a part of the latter.
func multiple(gap, of, tolerance float64) bool {
	times := math.Round(gap / of)
	return times >= 1 && times <= 20 && math.Abs(gap/of-times) <= tolerance
}

// misses tells whether a client comes less often than its period, as where it asks other
// servers in between.
func (c *caller) misses(period time.Duration) bool {
	return c.ngaps > 0 && float64(slices.Max(c.recent())) > 1.8*float64(period.Milliseconds())
}

// follows tells whether a client keeps to the TTLs that it is told, where they are known.
func (c *caller) follows() bool { return c.kept >= 2 && c.kept >= 3*c.broken }

// arrivals are its last queries, as far as its waits go back, the last one first.
func (c *caller) arrivals() []int64 {
	at := c.last
	out := append(make([]int64, 0, waits+1), at)
	for _, g := range c.recent() {
		at -= int64(g)
		out = append(out, at)
	}
	return out
}
