package find

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
)

// group is clients of one question that wait for about as long as each other.
type group struct {
	clients []member
	period  time.Duration // median
	told    bool          // they are known to keep TTLs; otherwise they may have a period of their own
	queries int
	of      int  // each member stands for so many
	partly  bool // many of them come less often than that
	beat
}

type member struct {
	addr netip.Addr
	*caller
	period time.Duration
}

// beat is how evenly a group comes, over its last rounds.
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
	herdClients = 20   // fewer are no herd
	herdRatio   = 2    // nor is what has a busiest second below so many times the mean
	byChance    = 1e-7 // nor is what independent clients may come to
	rounds      = 4    // the last ones that are looked at
	slot        = 100  // milliseconds, of the busiest second by any offset
	wide        = 1.44 // the greatest wait of a group over the least
	narrow      = 1.1  // the same where most of them are so close
)

// groups sorts the regular clients of a question by what they wait for, the largest
// group first. Those that are known to keep TTLs are one group, however long the TTLs.
func (q *question) groups(f *Finder) (out []group) {
	var regular, follow []member
	for addr, c := range q.callers {
		switch p := c.period(); {
		case c.since(f) > maxPeriod.Milliseconds():
		case c.follows():
			follow = append(follow, member{addr, c, cmp.Or(p, mean(c.recent()))})
		case p > 0:
			regular = append(regular, member{addr, c, p})
		}
	}
	if len(follow) > 0 {
		g := newGroup(follow, q.one)
		g.told = true
		out = append(out, g)
	}
	slices.SortFunc(regular, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.period, b.period), a.addr.Compare(b.addr))
	})
	few := len(regular) / 100
	for len(regular) >= 2 {
		from, to := densest(regular, wide)
		if a, b := densest(regular[from:to], narrow); 5*(b-a) >= 2*(to-from) { // it may be two groups
			from, to = from+a, from+b
		}
		if to-from < max(5, few) {
			break
		}
		out = append(out, newGroup(slices.Clone(regular[from:to]), q.one))
		regular = slices.Delete(regular, from, to)
	}
	return out
}

// densest returns where the most members lie of which none waits more than so many
// times as long as another.
func densest(sorted []member, width float64) (from, to int) {
	lo := 0
	for hi := range sorted {
		for float64(sorted[hi].period) > width*float64(sorted[lo].period) {
			lo++
		}
		if hi+1-lo > to-from {
			from, to = lo, hi+1
		}
	}
	return from, to
}

func mean(gaps []uint32) time.Duration {
	sum := 0.0
	for _, g := range gaps {
		sum += float64(g)
	}
	return time.Duration(sum/float64(max(len(gaps), 1))) * time.Millisecond
}

// newGroup makes a group of those who still come.
func newGroup(members []member, one uint32) group {
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.period, b.period), a.addr.Compare(b.addr))
	})
	g := group{period: members[len(members)/2].period, of: int(one)}
	end := int64(math.MinInt64)
	for _, m := range members {
		end = max(end, m.last)
	}
	for _, m := range members {
		if end-m.last <= 2*max(m.period.Milliseconds(), g.period.Milliseconds(), int64(slices.Max(m.recent()))) {
			g.clients = append(g.clients, m)
			g.queries += int(m.n)
		}
	}
	missing := 0
	for _, m := range g.clients {
		if m.misses(g.period) {
			missing++
		}
	}
	g.partly = 4*missing > len(g.clients)
	g.beat = g.measure(end)
	return g
}

// measure counts when the members came, in the last rounds.
func (g *group) measure(end int64) (b beat) {
	round := max(g.period.Milliseconds(), pause)
	from := end - end%1e3 + 1e3 - rounds*((round+999)/1e3)*1e3 // whole seconds of the calendar
	slots := make([]int, (end-end%1e3+1e3-from)/slot)
	n := 0
	for _, m := range g.clients {
		first := int64(0)
		for _, at := range m.arrivals() {
			if at >= from {
				slots[(at-from)/slot]++
				n++
				first = at
			}
		}
		b.starts = append(b.starts, time.Duration(max(first-from, 0)%round)*time.Millisecond)
	}
	const perSecond = 1000 / slot
	b.rate = float64(n*perSecond) / float64(len(slots))
	b.chance = 1
	for shift := range perSecond {
		second, dispersion := spread(slots[shift:], perSecond, b.rate)
		if shift == 0 {
			b.second, b.dispersion = second, dispersion
			for i := range len(slots) / perSecond {
				b.seconds = append(b.seconds, sum(slots[i*perSecond:(i+1)*perSecond]))
			}
		}
		b.offset = max(b.offset, second)
		// A round is like the one before, so that all of them say no more than one.
		// The sum of squares over the mean is chi-squared then, but for small counts.
		free := max(float64(len(slots)/perSecond)/rounds-1, 1)
		b.chance = min(b.chance, perSecond*distuv.ChiSquared{K: free}.Survival(dispersion*free))
	}
	return b
}

// spread returns the queries in the busiest second, and the variance over the mean.
func spread(slots []int, perSecond int, mean float64) (busiest int, dispersion float64) {
	squares, n := 0.0, 0
	for ; len(slots) >= perSecond; slots = slots[perSecond:] {
		second := sum(slots[:perSecond])
		busiest = max(busiest, second)
		squares += (float64(second) - mean) * (float64(second) - mean)
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

// herd tells whether the members come in step.
func (g *group) herd() bool {
	return len(g.clients) >= herdClients && g.chance < byChance && float64(g.offset) >= herdRatio*g.rate && g.offset >= herdClients/4
}
