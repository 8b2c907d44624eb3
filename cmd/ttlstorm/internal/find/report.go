package find

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// Kind is what is wrong with a question.
type Kind string

// The kinds.
const (
	Storm Kind = "storm" // clients ask again as soon as they have an answer
	Herd  Kind = "herd"  // many clients ask in step
	Short Kind = "short" // clients ask again after a few seconds, as for a short TTL
	Often Kind = "often" // addresses ask all the time, for a reason that may be another than a TTL
)

// Title is the kind in words.
func (k Kind) Title() string {
	switch k {
	case Short:
		return "short TTL"
	case Often:
		return "often asked"
	}
	return string(k)
}

// Report is what was found, the most harmful finding first. Lengths of time are in
// nanoseconds in JSON.
type Report struct {
	Inputs    []string      `json:"inputs"` // their names, which the caller knows
	Begin     time.Time     `json:"begin"`  // of the first query; the zero time if it is not known
	Queries   int           `json:"queries"`
	Untimed   int           `json:"untimed"` // queries without a time
	Answers   int           `json:"answers"` // that were seen
	Length    time.Duration `json:"length_ns"`
	Findings  []Finding     `json:"findings"`
	Rules     []Rule        `json:"rules"`     // of a Corefile, for the findings that a rule cures
	Busiest   []Asked       `json:"busiest"`   // the questions that are asked most
	Untold    []string      `json:"untold"`    // what the input cannot tell
	Backwards int           `json:"backwards"` // how often the clock went back
}

// Question is a name and type, and how often it was asked.
type Question struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Queries int    `json:"queries"`
	Busiest int    `json:"busiest"` // queries in its busiest second; 0 for one that is asked rarely
}

// Finding is a question with a storm or a herd.
type Finding struct {
	Kind     Kind     `json:"kind"`
	Question          // all its queries
	Share    float64  `json:"share"`              // of the queries of all questions
	Clients  int      `json:"clients"`            // that storm, are in step, or have a short TTL
	Behind   int      `json:"addresses"`          // of those clients; where they are fewer, many clients or one program are behind each
	Rate     float64  `json:"rate"`               // queries a second of those
	Second   int      `json:"busiest_second"`     // queries; of a herd those of its clients, of a storm all of the question
	Offset   int      `json:"busiest_any_offset"` // the same by any offset; 0 where it is not known
	Ratio    float64  `json:"busiest_over_mean"`  // of a herd
	Disperse float64  `json:"dispersion"`         // variance over mean of its queries per second; about 1 for independent clients
	TTLs     []uint32 `json:"ttls,omitempty"`     // least and greatest TTL, if answers were seen
	Denied   bool     `json:"denied,omitempty"`   // most answers are denials, which the option negative is for

	Ended     time.Duration `json:"ended_ns,omitempty"`  // before the end of the input, that they came in such numbers
	Followers int           `json:"followers"`           // clients that come back with a period, in step or not
	Period    time.Duration `json:"period_ns,omitempty"` // of those, the median; of a storm that has pauses, between its bursts
	Estimate  bool          `json:"estimate,omitempty"`  // of the clients, only a part was looked at
	Partly    bool          `json:"partly,omitempty"`    // they ask other servers as well, so that they are more
	Known     bool          `json:"follow_ttls"`         // they were seen to keep TTLs; otherwise the period may be their own
	Others    Habits        `json:"others"`              // of the clients beside those
	Examples  []netip.Addr  `json:"examples"`            // some of the clients

	Cure    bool     `json:"cure"`         // a rule helps
	If      string   `json:"if,omitempty"` // it does so only if that is the case, which the input does not tell
	Why     string   `json:"why"`          // it helps, or does not
	Seconds []int    `json:"seconds"`      // queries in each of the last ones: of a herd those of its clients, of a storm all
	Predict *Predict `json:"prediction,omitempty"`

	starts  []time.Duration
	skipped bool // it was not replayed, as there are too many
}

// Skipped tells whether a finding that a rule cures was not replayed since others came first.
func (f *Finding) Skipped() bool { return f.skipped && f.Cure }

// Habits are what clients of a question do: those in no finding, or all.
type Habits struct {
	Once    int      `json:"once"`    // asked once
	Regular []Period `json:"regular"` // come back with a period
	Left    int      `json:"left"`    // did so, and are gone
	AtOnce  int      `json:"at_once"` // ask again at once
	Rest    int      `json:"rest"`    // come back without a period
}

// Period is a number of clients with a period.
type Period struct {
	Clients  int           `json:"clients"`
	Period   time.Duration `json:"period_ns"`
	Known    bool          `json:"follow_ttls"` // they were seen to keep TTLs
	Examples []netip.Addr  `json:"examples"`
}

// Asked is a question that is asked often, whatever is wrong with it, and by whom.
type Asked struct {
	Question
	Clients  Habits `json:"clients"`
	Estimate bool   `json:"estimate,omitempty"` // of the clients, only a part was looked at
}

const (
	shown     = 3  // examples of clients
	mostAsked = 10 // questions
	leastSpin = 50 // queries of a storm
)

// Report tells what was found so far, and the rules that cure it. FLOOR of those is in
// seconds.
func (f *Finder) Report(floor int) Report {
	r := Report{
		Inputs: []string{}, Begin: f.begin,
		Queries: f.queries, Untimed: f.untimed, Answers: f.answers, Length: f.length(), Backwards: int(f.epoch),
		Findings: []Finding{}, Rules: []Rule{}, Busiest: []Asked{}, Untold: f.untold(),
	}
	all := make([]*question, 0, len(f.questions))
	for _, q := range f.questions {
		all = append(all, q)
	}
	slices.SortFunc(all, func(a, b *question) int {
		return cmp.Or(cmp.Compare(b.queries, a.queries), cmp.Compare(a.name, b.name), cmp.Compare(a.qtype, b.qtype))
	})
	for i, q := range all {
		findings, groups := f.judge(q, floor)
		r.Findings = append(r.Findings, findings...)
		if i < mostAsked {
			r.Busiest = append(r.Busiest, Asked{q.public(), q.habits(groups, nil), q.one > 1})
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.harm(), a.harm()), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
	r.advise(floor)
	return r
}

// harm is the queries in the busiest second.
func (f *Finding) harm() float64 { return max(float64(f.Second), f.Rate) }

func (q *question) public() Question {
	t, ok := dns.TypeToString[q.qtype]
	if !ok {
		t = fmt.Sprintf("TYPE%d", q.qtype)
	}
	return Question{Name: q.name, Type: t, Queries: q.queries, Busiest: q.busiest}
}

// judge returns what is wrong with a question, and its regular clients.
func (f *Finder) judge(q *question, floor int) (out []Finding, groups []group) {
	q.waits = q.waiting()
	if s, ok := f.storm(q); ok {
		out = append(out, s)
	}
	groups = q.groups(f)
	herds := len(out)
	for i := range groups {
		if n, ok := f.herd(q, &groups[i], groups); ok {
			out = append(out, n)
		}
	}
	if len(out) > herds {
		return out, groups
	}
	for i := range groups {
		if g := &groups[i]; g.short(floor) {
			return append(out, f.short(q, g, groups)), groups
		}
	}
	return out, groups
}

func (f *Finder) finding(q *question, kind Kind) Finding {
	n := Finding{Kind: kind, Question: q.public(), Share: float64(q.queries) / float64(f.queries), Denied: q.denied*2 > q.queries}
	if q.told > 0 {
		n.TTLs = q.ttls[:]
	}
	return n
}

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

// habits counts the clients of a question by what they do, but for some.
func (q *question) habits(groups []group, but map[*caller]bool) Habits {
	h := Habits{Regular: []Period{}}
	one := int(q.one)
	in := maps.Clone(but)
	if in == nil {
		in = map[*caller]bool{}
	}
	left := 0 // addresses
	for i := range groups {
		g := &groups[i]
		var some []member
		for _, m := range g.clients {
			if !in[m.caller] {
				in[m.caller] = true
				some = append(some, m)
			}
		}
		if len(some) > 0 {
			h.Regular = append(h.Regular, Period{size(some) * one, g.period, g.told, addresses(some)})
		}
		h.Left += size(g.left) * one
		left += len(g.left) * one
	}
	for _, c := range q.callers {
		switch {
		case in[c]:
		case c.n == 1:
			h.Once += one
		case q.spinning(c):
			h.AtOnce += one
		default:
			h.Rest += one
		}
	}
	h.Rest = max(h.Rest-left, 0)
	return h
}

func addresses(members []member) []netip.Addr {
	out := []netip.Addr{}
	for _, m := range members[:min(len(members), shown)] {
		if m.addr.IsValid() {
			out = append(out, m.addr)
		}
	}
	return out
}

// untold lists what the input cannot tell.
func (f *Finder) untold() []string {
	out := []string{}
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if f.untimed > 0 {
		say("%d of %d queries have no time, so that nothing can be said of when they came; kubectl logs --timestamps adds it", f.untimed, f.queries)
	}
	if f.queries > f.untimed && f.told == 0 {
		say("the input has no TTLs, so that clients with a period of their own look like those that follow a TTL of that length; dnstap and pcap have TTLs")
	}
	if f.whole && f.queries > f.untimed {
		say("the times are whole seconds, so that clients which come back within one or two cannot be told, nor what is in step within a second")
	}
	if limit := f.length() / fewWaits; f.queries > f.untimed && limit < 5*time.Minute {
		say("it takes %v, so that clients which wait for more than %v cannot be told", f.length().Round(time.Second), limit.Round(time.Second))
	}
	if f.epoch > 0 {
		times := "once"
		if f.epoch > 1 {
			times = fmt.Sprintf("%d times", f.epoch)
		}
		say("the clock went back %s, as where the lines of one server stand behind those of another; give each server's as a file of its own, and they are read side by side", times)
	}
	return out
}
