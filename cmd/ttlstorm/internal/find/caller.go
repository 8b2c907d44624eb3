package find

import "time"

const (
	milli     = 1e3   // microseconds
	atOnce    = 250   // milliseconds, within which a client that asks again has not waited
	spinning  = 10    // times in a row that a client asks again at once and spins; retries are fewer
	pause     = 800   // milliseconds without a query, after which the next one begins another burst
	coarse    = 1.5e3 // the same where times are in whole seconds
	waits     = 12    // the last ones that are kept
	timeout   = 5e6   // microseconds that resolvers wait for an answer
	fewWaits  = 3     // that tell whether a client is regular
	fewBursts = 3     // that tell whether a client asks in bursts
	burstSize = 5     // queries of a burst in the mean; retries are fewer
	spinBurst = 30    // the same of one that spins in bursts; jobs and pools of connections are fewer
)

// caller is what is known of a client that asks one question. It asks in bursts, most of
// which are a single query.
type caller struct {
	last    int64  // query, in microseconds as all points in time
	start   int64  // of the last burst
	n       uint32 // queries
	bursts  uint32
	busy    uint32        // milliseconds that the bursts took
	idle    uint32        // and that were between them
	short   uint32        // queries that came at once after the one before
	early   uint32        // of those, that came in less than half the usual time
	usual   float32       // microseconds that those take
	run     uint32        // of those in a row
	longest uint32        // run
	gaps    [waits]uint32 // milliseconds between the starts of the last bursts, in a ring
	ngaps   uint32        // that there were
	older   uint32        // of those, from before the clock went back
	kept    uint32        // waits that were as long as the TTL
	broken  uint32        // and that were not
	told    uint32        // the TTL that it was told last, in seconds
	epoch   uint16
	knows   bool   // told is known
	took    uint32 // microseconds from the last query to its answer; 0 if that is not known
}

// ask notes a query. whole tells that times are in seconds.
func (c *caller) ask(at int64, took time.Duration, epoch uint16, whole bool) {
	answer := uint32(min(max(took.Microseconds(), 0), 1<<31)) // #nosec G115 -- in range
	c.n++
	if c.n == 1 || epoch != c.epoch {
		c.last, c.start, c.epoch, c.knows, c.took = at, at, epoch, false, answer
		c.bursts++
		c.older = c.ngaps
		return
	}
	gap := at - c.last
	if gap < 0 { // out of order, by less than a minute
		if gap > -atOnce*milli {
			c.short++
			c.run++
		}
		return
	}
	waited := gap // since the answer, if it did not ask before that
	if answered := gap - int64(c.took); answered > 0 {
		waited = answered
	}
	c.last, c.took = at, answer
	silence := int64(pause * milli)
	if whole {
		silence = coarse * milli
	}
	switch {
	case waited < atOnce*milli && (!whole || gap == 0):
		c.again(float32(gap))
		return
	case c.run >= 2 && gap > timeout-50*milli && gap < timeout+50*milli: // an answer was lost
		return
	case gap < silence:
		c.run = 0
		return
	}
	c.run = 0
	c.busy += uint32((at - gap - c.start) / milli) // #nosec G115 -- wraps after 49 days
	c.idle += uint32(gap / milli)                  // #nosec G115 -- the same
	gap = (at - c.start) / milli
	c.start = at
	c.bursts++
	if gap > maxPeriod.Milliseconds() {
		c.older = c.ngaps
		return
	}
	if c.knows {
		c.judge(gap)
	}
	c.gaps[c.ngaps%waits] = uint32(gap) // #nosec G115 -- below maxPeriod
	c.ngaps++
}

// answered notes when an answer went out.
func (c *caller) answered(at int64) {
	if took := at - c.last; took > 0 && took < 1<<31 {
		c.took = uint32(took) // #nosec G115 -- in range
	}
}

// again notes that it asked again at once.
func (c *caller) again(gap float32) {
	if c.short > 0 && gap < c.usual/2 {
		c.early++
	}
	c.usual += (gap - c.usual) / float32(min(c.short+1, 32))
	c.short++
	c.run++
	c.longest = max(c.longest, c.run)
}

// judge tells whether a wait was as long as the TTL.
func (c *caller) judge(gap int64) {
	c.knows = false
	wait := int64(c.told) * 1e3
	switch {
	case gap >= wait-200 && gap <= wait+2e3:
		c.kept++
	case gap > wait && wait > 0 && multiple(float64(gap), float64(wait), 0.05): // it may have asked another server
	case gap >= 5e3+atOnce || gap > wait: // resolvers ask again after 5 s at most
		c.broken++
	}
}

// since is how many milliseconds ago a client was seen, a long time if the clock went back since.
func (c *caller) since(f *Finder) int64 {
	if c.epoch != f.epoch {
		return 1 << 40
	}
	return (f.to - c.last) / milli
}

// spins tells whether a client asks again as soon as it has an answer: many times in a
// row, and nearly always but for answers that are lost.
func (c *caller) spins() bool {
	return c.longest >= spinning && 3*c.short >= 2*c.n && (!c.bursty() || c.n >= spinBurst*c.bursts)
}

// bursty tells whether a client asks many times within a short time, and then not for a
// longer one.
func (c *caller) bursty() bool {
	return c.bursts >= fewBursts && c.n >= burstSize*c.bursts && c.ngaps > 0 && c.busy < c.idle
}

// rate is how many times a second a client asks while it does.
func (c *caller) rate() float64 {
	busy := float64(c.busy)
	if !c.bursty() {
		busy += float64(c.idle)
	}
	busy += float64(c.last-c.start) / milli // of the last burst
	return float64(c.n) * 1e3 / max(busy, 1)
}

// size is how many clients are behind the address of one that asks in bursts.
func (c *caller) size() int {
	if !c.bursty() {
		return 1
	}
	return int((c.n + c.bursts/2) / c.bursts)
}

// recent are the waits that are kept, the last one first.
func (c *caller) recent() []uint32 { return c.back(min(c.ngaps, waits)) }

func (c *caller) back(n uint32) []uint32 {
	out := make([]uint32, 0, n)
	for i := range n {
		out = append(out, c.gaps[(c.ngaps-1-i)%waits])
	}
	return out
}

// misses tells whether a client comes less often than its period, as where it asks other
// servers in between.
func (c *caller) misses(period time.Duration) bool {
	for _, g := range c.recent() {
		if float64(g) > 1.8*float64(period.Milliseconds()) {
			return true
		}
	}
	return false
}

// follows tells whether a client keeps to the TTLs that it is told, where they are known.
// One that asks at other times, too, has a period that is the TTL.
func (c *caller) follows(period time.Duration) bool {
	late := period - time.Duration(c.told)*time.Second
	is := period > 0 && c.told > 0 && late > -200*time.Millisecond && late < 2*time.Second
	return is && (c.broken == 0 || c.kept >= 2) || c.kept >= 2 && c.kept >= 3*c.broken
}

// arrivals are the starts of its last bursts, as far as its waits go back, the last one
// first.
func (c *caller) arrivals() []int64 {
	at := c.start
	out := append(make([]int64, 0, waits+1), at)
	for _, g := range c.back(min(c.ngaps-c.older, waits)) {
		at -= int64(g) * milli
		out = append(out, at)
	}
	return out
}
