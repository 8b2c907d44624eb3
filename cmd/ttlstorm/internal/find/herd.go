package find

import "time"

// herd makes a finding of a group that is in step.
func (f *Finder) herd(q *question, g *group, groups []group) (Finding, bool) {
	if !g.herd() {
		return Finding{}, false
	}
	step := *g
	step.clients = g.step(q.beside(f, g))
	step.beat = measure(step.clients, g.period, g.end)
	if !step.herd() || !g.told && q.told > 0 && len(step.clients) < herdClients { // a few programs, with TTLs that they ignore
		return Finding{}, false
	}
	n := f.regular(Herd, q, &step, groups)
	for _, p := range n.Others.Regular {
		if p.Period == g.period {
			n.Followers += p.Clients
		}
	}
	switch {
	case g.told:
		n.Why = "the clients keep the TTLs that they are told, and those run out at the same time"
	case q.told > 0:
		n.Cure, n.Why = false, "the clients come in step, and not when their TTLs run out; a rule moves none of them"
	default:
		n.Why = "the clients come in step, as those do whose TTLs run out at the same time"
	}
	if n.Behind < n.Clients && !g.told {
		n.If = "many clients are behind each address"
		n.Why += "; an address asks many times at once, as where many clients are behind it (SNAT, a cache on the node), or where one program does so, such as a job, which no rule moves"
	}
	if n.Partly = g.partly; g.partly {
		n.Why += "; they are this many at least, since not all of their queries are here, as where they ask another server in between, or lines are missing"
	}
	return n, true
}

// short makes a finding of a group whose TTL is short.
func (f *Finder) short(q *question, g *group, groups []group) Finding {
	n := f.regular(Short, q, g, groups)
	switch {
	case g.told:
		n.Why = "the clients keep the TTLs that they are told, and those are short"
	case q.told > 0:
		n.Cure, n.Why = false, "the clients come again after a few seconds, and not when their TTLs run out; a rule moves none of them"
	default:
		n.Why = "the clients come again after a few seconds, as those do that follow so short a TTL, and pollers"
		n.If = "the TTL is that: dig " + n.Type + " " + n.Name
	}
	return n
}

// regular makes a finding of clients that come with a period.
func (f *Finder) regular(kind Kind, q *question, g *group, groups []group) Finding {
	n := f.finding(q, kind)
	n.Clients, n.Behind, n.Period, n.Known = size(g.clients)*g.of, len(g.clients)*g.of, g.period, g.told
	n.Followers, n.Estimate, n.Cure = n.Clients, g.of > 1, true
	n.Rate, n.Second, n.Offset, n.Disperse = g.rate*float64(g.of), g.second*g.of, g.offset*g.of, 1+(g.dispersion-1)*float64(g.of)
	n.Ratio = float64(g.second) / max(g.rate, 1e-9)
	n.Examples, n.starts = addresses(g.clients), g.starts
	if ago := time.Duration(f.to-g.end) * time.Microsecond; ago > 4*g.period {
		n.Ended = ago
	}
	for _, s := range g.seconds {
		n.Seconds = append(n.Seconds, s*g.of)
	}
	in := map[*caller]bool{}
	for _, m := range g.clients {
		in[m.caller] = true
	}
	n.Others = q.habits(groups, in)
	return n
}

// beside are the callers of a question that are not in a group, have come back, and have no
// clear period of their own.
func (q *question) beside(f *Finder, g *group) (out []member) {
	in := map[*caller]bool{}
	for _, m := range g.clients {
		in[m.caller] = true
	}
	for addr, c := range q.callers {
		if !in[c] && c.ngaps > 0 && c.since(f) <= maxPeriod.Milliseconds() && !q.spinning(c) &&
			(c.ngaps < fewWaits || even(c.recent()) == 0) {
			out = append(out, member{addr, c, g.period})
		}
	}
	return out
}
