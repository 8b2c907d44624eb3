package find

import (
	"maps"
	"net/netip"
	"time"
)

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
