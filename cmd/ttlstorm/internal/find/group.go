package find

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"
)

// group is clients of one question that wait for about as long as each other.
type group struct {
	clients []member
	period  time.Duration // median
	told    bool          // they are known to keep TTLs; otherwise they may have a period of their own
	of      int           // each member stands for so many
	partly  bool          // many of them come less often than that
	end     int64         // when they were looked at
	left    []member      // came as long as they were there
	beat
}

// member is an address that asks with a period. In most cases it is one client.
type member struct {
	addr netip.Addr
	*caller
	period time.Duration
}

const (
	wide   = 1.44 // the greatest wait of a group over the least
	narrow = 1.1  // the same where most of them are so close
)

// groups sorts the regular clients of a question by what they wait for, the largest
// group first. Those that are known to keep TTLs are one group, however long the TTLs.
func (q *question) groups(f *Finder) (out []group) {
	var regular, follow, few []member
	for addr, c := range q.callers {
		p := c.period()
		switch m := (member{addr, c, p}); {
		case q.spinning(c), c.since(f) > maxPeriod.Milliseconds():
		case c.follows(p):
			m.period = cmp.Or(p, mean(c.recent()))
			follow = append(follow, m)
		case p > 0:
			regular = append(regular, m)
		case c.ngaps > 0:
			few = append(few, m)
		}
	}
	slices.SortFunc(regular, byPeriod)
	var sets [][]member
	if len(follow) > 0 {
		sets = append(sets, follow)
	}
	atLeast := max(5, len(regular)/100)
	for {
		from, to := densest(regular, wide)
		if a, b := densest(regular[from:to], narrow); 5*(b-a) >= 2*(to-from) { // it may be two groups
			from, to = from+a, from+b
		}
		if to-from < atLeast && !bursts(regular[from:to]) {
			break
		}
		sets = append(sets, slices.Clone(regular[from:to]))
		regular = slices.Delete(regular, from, to)
	}
	for i, set := range sets {
		told := i == 0 && len(follow) > 0
		slices.SortFunc(set, byPeriod)
		period := set[len(set)/2].period
		few = slices.DeleteFunc(few, func(m member) bool {
			if !m.fits(period) || told && m.kept == 0 || !told && m.kept > 0 {
				return false
			}
			m.period = period
			set = append(set, m)
			return true
		})
		g := newGroup(set, q.one)
		g.told = told
		out = append(out, g)
	}
	return out
}

func byPeriod(a, b member) int {
	return cmp.Or(cmp.Compare(a.period, b.period), a.addr.Compare(b.addr))
}

// bursts tells whether there are so many clients behind the addresses of members that a
// few of those are a group.
func bursts(members []member) bool { return size(members) >= herdClients }

// size is how many clients members are.
func size(members []member) (n int) {
	for _, m := range members {
		n += m.size()
	}
	return n
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

// newGroup makes a group of those who come, at the end, or where they are in step at a time
// before and are far fewer now, at that time.
func newGroup(members []member, one uint32) group {
	slices.SortFunc(members, byPeriod)
	now := at(members, end(members), one)
	lasts := make([]int64, 0, len(members))
	for _, m := range members {
		lasts = append(lasts, m.last)
	}
	slices.Sort(lasts)
	best := now
	const looks = 8
	for part := range looks {
		then := at(members, lasts[len(lasts)*part/looks], one)
		if then.herd() && then.chance < byChance/looks && (!best.herd() || then.offset > 2*best.offset) {
			best = then
		}
	}
	return best
}

// at makes a group of the members who come at a time, and lists those who left before.
func at(members []member, end int64, one uint32) group {
	g := group{period: members[len(members)/2].period, of: int(one), end: end}
	missing := 0
	for _, m := range members {
		patience := 2 * max(m.period.Milliseconds(), g.period.Milliseconds(), int64(slices.Max(m.recent()))) * milli
		switch first := m.arrivals(); {
		case end-m.last > patience:
			g.left = append(g.left, m)
		case first[len(first)-1] <= end:
			g.clients = append(g.clients, m)
			if m.misses(g.period) {
				missing++
			}
		}
	}
	g.partly = 4*missing > len(g.clients)
	g.beat = measure(g.clients, g.period, end)
	return g
}

// end is when the last query of members came.
func end(members []member) int64 {
	end := int64(math.MinInt64)
	for _, m := range members {
		end = max(end, m.last)
	}
	return end
}

const (
	shortRate    = 5                // queries a second, at least, of clients with a short TTL
	shortTTL     = 15 * time.Second // that clients follow, at most
	shortUnknown = 3 * time.Second  // the same where it is not known whether they follow TTLs
)

// short tells whether the members come so often that a floor at least halves their queries.
func (g *group) short(floor int) bool {
	most := shortUnknown
	if g.told {
		most = shortTTL
	}
	return g.rate*float64(g.of) >= shortRate && g.period < most && 2*g.period <= time.Duration(floor)*time.Second
}
