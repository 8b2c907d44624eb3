package find

import (
	"slices"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
)

// beat is how evenly clients come, over their last rounds.
type beat struct {
	rate       float64 // queries a second
	second     int     // queries in the busiest second of the calendar
	offset     int     // and in the busiest by any offset
	dispersion float64 // variance over mean of the queries per second of the calendar
	chance     float64 // that independent clients would be as uneven
	seconds    []int   // queries in each
	starts     []time.Duration
}

const (
	herdClients = 16 // fewer are no herd; of 20 some may be missing in the input
	fullHerd    = 20
	herdRatio   = 2    // nor is what has a busiest second below so many times the mean
	byChance    = 1e-7 // nor is what independent clients may come to
	rounds      = 4    // the last ones that are looked at
	second      = 1e6  // microseconds
	perSecond   = 10   // slots, for the busiest second by any offset
	slot        = second / perSecond
)

// timeline is when clients came, in slots from a whole second of the calendar on.
type timeline struct {
	from, round int64
	slots       []int
}

func newTimeline(period time.Duration, end int64) timeline {
	round := max(period.Microseconds(), second)
	to := end - end%second + second
	from := to - rounds*((round+second/2)/second)*second // whole rounds, so that none counts more than another
	return timeline{from, round, make([]int, (to-from)/slot)}
}

// visits calls f for each query of a member in the timeline. The clients behind one
// address come evenly over its usual burst.
func (t *timeline) visits(m member, f func(at int64)) {
	size := int64(m.size())
	length := int64(m.busy/m.bursts) * milli
	for _, at := range m.arrivals() {
		for i := range size {
			if at := at + i*length/size; at >= t.from && at < t.from+int64(len(t.slots))*slot {
				f(at)
			}
		}
	}
}

// measure counts when members came, in the last rounds.
func measure(members []member, period time.Duration, end int64) (b beat) {
	t := newTimeline(period, end)
	n, squares := 0, 0
	for _, m := range members {
		squares += m.size() * m.size()
		first := int64(0)
		t.visits(m, func(at int64) {
			t.slots[(at-t.from)/slot]++
			n++
			first = at
		})
		for range m.size() {
			b.starts = append(b.starts, time.Duration(max(first-t.from, 0)%t.round)*time.Microsecond)
		}
	}
	b.rate = float64(n*perSecond) / float64(len(t.slots))
	b.chance = 1
	alike := float64(squares) / float64(max(size(members), 1))
	for shift := range perSecond {
		busiest, dispersion := spread(t.slots[shift:], b.rate)
		if shift == 0 {
			b.second, b.dispersion = busiest, dispersion
			for s := range slices.Chunk(t.slots, perSecond) {
				b.seconds = append(b.seconds, sum(s))
			}
		}
		b.offset = max(b.offset, busiest)
		// A round is like the one before, so that all of them say no more than one.
		// The sum of squares over the mean is chi-squared then, but for small counts. Those
		// who share an address may be one program, which says as much as one client.
		free := max(float64(len(t.slots)/perSecond)/rounds-1, 1)
		b.chance = min(b.chance, perSecond*distuv.ChiSquared{K: free}.Survival(dispersion*free/alike))
	}
	return b
}

// spread returns the queries in the busiest second, and the variance over the mean.
func spread(slots []int, mean float64) (busiest int, dispersion float64) {
	squares, n := 0.0, 0
	for ; len(slots) >= perSecond; slots = slots[perSecond:] {
		queries := sum(slots[:perSecond])
		busiest = max(busiest, queries)
		squares += (float64(queries) - mean) * (float64(queries) - mean)
		n++
	}
	if n == 0 || mean == 0 {
		return busiest, 0
	}
	return busiest, squares / float64(n) / mean
}

func sum(ints []int) (total int) {
	for _, n := range ints {
		total += n
	}
	return total
}

// herd tells whether the members come in step: of addresses more than by chance, or those
// who are behind one.
func (g *group) herd() bool {
	n := size(g.clients)
	limit := float64(byChance)
	if n < fullHerd { // the sum is far from chi-squared for few
		limit = byChance * 1e-6
	}
	return n >= herdClients && float64(g.offset) >= herdRatio*g.rate && g.offset >= herdClients/4 &&
		(g.chance < limit || n >= herdClients*len(g.clients))
}

// peaks are the slots in which a herd comes.
type peaks struct {
	timeline
	busy   []bool
	narrow bool // they take a small part of the time, so that few others come in them by chance
}

// peaks are where there are more than usual in the second around a slot.
func (g *group) peaks() peaks {
	t := newTimeline(g.period, g.end)
	for _, m := range g.clients {
		t.visits(m, func(at int64) { t.slots[(at-t.from)/slot]++ })
	}
	around := make([]int, len(t.slots))
	for i := range around {
		around[i] = sum(t.slots[max(i-perSecond/2, 0):min(i+perSecond/2+1, len(t.slots))])
	}
	sorted := slices.Sorted(slices.Values(around))
	usual, most := sorted[len(sorted)/3], sorted[len(sorted)-1]
	p := peaks{timeline: t, busy: make([]bool, len(around))}
	n := 0
	for i, queries := range around {
		if p.busy[i] = queries > 2*usual && 10*queries > most; p.busy[i] {
			n++
		}
	}
	p.narrow = 5*n <= len(around)
	return p
}

// part returns which part of its queries a member has in the peaks, and in which part of
// the rounds it has one there.
func (p *peaks) part(m member) (queries, visited float64) {
	var in [rounds]float64
	all, busy := 0, 0
	p.visits(m, func(at int64) {
		all++
		if i := (at - p.from) / slot; p.busy[i] {
			busy++
			in[min(int((at-p.from)/p.round), rounds-1)] = 1
		}
	})
	for _, v := range in {
		visited += v / rounds
	}
	if all == 0 { // which says nothing against it
		return 1, 0
	}
	return float64(busy) / float64(all), visited
}

// step returns those of a herd who come when it does, and of the others of the question
// those who do so as well, though they have no period that can be told. What is left of the
// herd has its period, and comes at any time.
func (g *group) step(others []member) []member {
	p := g.peaks()
	var in []member
	for _, m := range g.clients {
		if queries, _ := p.part(m); queries >= 0.4 {
			in = append(in, m)
		}
	}
	if !p.narrow {
		return in
	}
	for _, m := range others {
		if queries, visited := p.part(m); queries >= 0.3 && visited >= 0.75 {
			in = append(in, m)
		}
	}
	return in
}
