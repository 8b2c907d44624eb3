package find

import (
	"cmp"
	"slices"
	"time"
)

// spinning tells whether a client asks again as soon as it has an answer. One that does so
// in bursts may be many clients in step behind one address, whose TTLs are above 0.
func (q *question) spinning(c *caller) bool {
	return c.spins() && (!c.bursty() || q.zeros > 0 || q.told == 0 && q.waits)
}

// waiting tells whether the clients that ask again at once wait for the answer before.
// Their queries are a round trip apart then. Those of many clients behind one address, and
// of a program that asks for each connection, come at any time.
func (q *question) waiting() bool {
	var short, early uint32
	for _, c := range q.callers {
		if c.spins() {
			short += c.short
			early += c.early
		}
	}
	return 4*early < short
}

// storm tells whether clients of a question spin.
func (f *Finder) storm(q *question) (Finding, bool) {
	var spin []member
	spins := map[*caller]bool{}
	queries := 0
	var pauses []uint32
	var rates []float64
	for addr, c := range q.callers {
		if !q.spinning(c) {
			continue
		}
		spin = append(spin, member{addr: addr, caller: c})
		spins[c] = true
		queries += int(c.short * q.one)
		rates = append(rates, c.rate())
		if c.bursty() {
			pauses = append(pauses, c.recent()...)
		}
	}
	if queries < leastSpin {
		return Finding{}, false
	}
	slices.SortFunc(spin, func(a, b member) int { return cmp.Or(cmp.Compare(b.n, a.n), a.addr.Compare(b.addr)) })
	slices.Sort(rates)
	n := f.finding(q, Storm)
	n.Clients, n.Second = len(spin)*int(q.one), q.busiest
	n.Behind, n.Followers, n.Estimate = n.Clients, n.Clients, q.one > 1
	n.Seconds = q.minute()
	n.Rate = float64(queries) / max(f.length().Seconds(), 1)
	n.Examples = addresses(spin)
	n.Others = q.habits(nil, spins)
	if len(pauses) > 0 {
		n.Period = time.Duration(median(pauses)) * time.Millisecond
	}
	n.spins(q, rates[len(rates)/2])
	return n, n.Kind == Storm || n.Share >= oftenShare
}

// ownPace is up to how many queries a second an address asks that does not wait for
// answers, and does not follow a TTL of 0. More of them come of themselves.
const ownPace = 20

// oftenShare is the least part of all queries of a name that is asked often: less is how
// programs without a cache are.
const oftenShare = 0.01

// spins says what is behind a storm, and whether a rule helps. rate is that of a client.
func (f *Finding) spins(q *question, rate float64) {
	zero := "the TTL is 0: dig " + f.Type + " " + f.Name
	switch {
	case q.zeros > 0:
		f.Cure, f.Known, f.Why = true, true, "its answers have a TTL of 0, and the clients ask again at once"
	case q.told > 0 && q.waits:
		f.Why = "its answers have TTLs above 0, so the clients ignore them; no TTL moves such a client"
	case q.told > 0:
		f.Kind = Often
		f.Why = "its answers have TTLs above 0, and queries come at any time: programs ask for each connection, " +
			"which no rule changes, or each address has many clients behind it (SNAT, a cache)"
	case f.Clients == 1 && len(q.callers) > 1:
		f.Why = "one client alone asks again at once, so it is its own doing and not the TTL's"
	case q.waits:
		f.Cure, f.If = true, zero
		f.Why = "the clients ask again at once, as those do that follow a TTL of 0, and those that ask for each connection"
	case rate < ownPace:
		f.Kind = Often
		f.Why = "queries come at any time, as of programs that ask for each connection, which no rule changes, " +
			"and of many clients behind an address (SNAT, a cache); a rule helps those only if their TTL is far below FLOOR"
	default:
		f.Cure, f.If = true, zero
		f.Why = "the clients ask all the time, as those do that follow a TTL of 0, and those that ask for each connection"
	}
}
