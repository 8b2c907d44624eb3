package find

import (
	"cmp"
	"fmt"
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
