//go:build linux

package atlas

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ttlfloor/ttlfloor/clients/internal/source"
)

// Conclusion is what follows from a measurement. It has no more detail than repeats agree in.
type Conclusion struct {
	Itself  bool              `json:"by_itself"` // it asks again by itself, and not on use alone
	Waits   map[string]string `json:"waits"`     // by case: until it asks again
	Follows bool              `json:"follows"`   // it waits for the TTL
	Floor   int               `json:"floor"`     // least wait in seconds of one that follows TTLs, 0 for none
	Ceiling int               `json:"ceiling"`   // greatest TTL in seconds that it hands out for one of a week, 0 if it hands out none
	Jitter  float64           `json:"jitter"`    // seconds by which its waits for one TTL differ if it asks by itself, -1 if too few were seen
	TCP     bool              `json:"tcp"`       // it asks over TCP where an answer is cut
	Moves   string            `json:"moves"`     // until a use has an answer that changed
}

// Words for waits that are no time.
const (
	atOnce    = "at once"
	eachUse   = "each use"
	never     = "never"
	irregular = "irregular"
	once      = "10 s and more" // of a wait that was seen once
)

const (
	onUse  = 350 * time.Millisecond  // one that asks on each use waits no longer
	late   = 1400 * time.Millisecond // a client that is used four times a second, and counts in seconds
	jitter = 5 * time.Second
	soon   = time.Second // one that counts in whole seconds
	most   = 25          // seconds of a floor that can be told from a wait of 30 for everything
)

// Conclude says what follows from a result.
func Conclude(r *Result) Conclusion {
	c := Conclusion{Waits: map[string]string{}}
	for i := range r.Rows {
		if row := &r.Rows[i]; row.Itself > 0 && (row.Case == source.TTL1 || row.Case == source.TTL5) {
			c.Itself = true
		}
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		c.Waits[row.Case] = row.wait(c.Itself, r.jittery())
		switch row.Case {
		case source.Week:
			if len(row.Got) == 2 { // the first answer may be as it came; one from the cache counts down
				c.Ceiling = min(row.Got[1], row.Got[0]+int((Alone+Used)/time.Second))
			}
		case source.Cut:
			c.TCP = row.TCP > 0
		case source.Moves:
			c.Moves = row.reached(c.Waits[source.Moves])
		}
	}
	if c.Itself {
		c.Jitter = r.spread()
	}
	five, thirty := r.row(source.TTL5), r.row(source.TTL30)
	if five == nil || thirty == nil {
		return c
	}
	floor := r.floor()
	if jittery := r.jittery(); jittery > 0 {
		floor = float64(jittery)
	}
	c.Follows = thirty.about(30, jitter) && (five.about(5, late) || floor > 5 && floor < most && five.about(floor, jitter))
	if c.Follows && floor > 3 {
		c.Floor = int(math.Round(floor))
	}
	return c
}

func (r *Result) row(label string) *Row {
	for i := range r.Rows {
		if r.Rows[i].Case == label {
			return &r.Rows[i]
		}
	}
	return nil
}

// floor is what the client waits at least for a TTL of 1.
func (r *Result) floor() float64 {
	if one := r.row(source.TTL1); one != nil {
		return one.Waits.Least
	}
	return 0
}

// spread is by how many seconds waits for answers with TTL 5 differ, -1 if there are fewer
// than three.
func (r *Result) spread() float64 {
	n, least, most := 0, math.Inf(1), 0.
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Waits.N == 0 || ttls[row.Case] != 5 || !slices.Contains(answered, row.Case) || row.Case == source.Cut && row.TCP == 0 {
			continue
		}
		n, least, most = n+row.Waits.N, min(least, row.Waits.Least), max(most, row.Waits.Most)
	}
	if n < 3 {
		return -1
	}
	return math.Round(10*(most-least)) / 10
}

// answered are the cases with a short TTL, and an address.
var answered = []string{source.TTL0, source.TTL1, source.TTL5, source.Cut, source.Moves}

// jittery is the least wait of a client that asks by itself and waits for longer by chance, in
// whole seconds, and 0 for others. Cases with a TTL below it say so together.
func (r *Result) jittery() int {
	least, differs := 60., false
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Itself > 0 && row.Waits.N >= 3 && slices.Contains(answered, row.Case) {
			least = min(least, row.Waits.Least)
			differs = differs || row.Waits.Most-row.Waits.Least > 0.5
		}
	}
	if !differs || least < 5 {
		return 0
	}
	return int(least)
}

// about tells whether the client waits for so many seconds at least, and up to a time more.
func (r *Row) about(seconds float64, more time.Duration) bool {
	least := r.Waits.Least
	return r.Waits.N > 0 && least >= seconds-soon.Seconds() && least <= seconds+more.Seconds()
}

// ttls are those of the cases that have one.
var ttls = map[string]float64{source.TTL1: 1, source.TTL5: 5, source.TTL30: 30, source.Additional: 20, source.Authority: 20, source.NXSOA: 5, source.Cut: 5, source.Moves: 5}

// wait says how long the client waits. jittery is its least wait, if it waits by chance.
func (r *Row) wait(itself bool, jittery int) string {
	if r.Waits.N == 0 {
		return never
	}
	least, m, longest := r.Waits.Least, r.Waits.Median, r.Waits.Most
	ttl, has := ttls[r.Case]
	switch {
	case slices.Contains(failures, r.Case) && longest > 1.15*least+0.5:
		return irregular
	case m <= together.Seconds() && itself:
		return atOnce
	case m <= onUse.Seconds():
		return eachUse
	case jittery > 0 && r.Case != source.NXSOA && (has || r.Case == source.TTL0) && r.about(max(ttl, float64(jittery)), jitter):
		return fmt.Sprintf("%.0f s and more", max(ttl, float64(jittery)))
	case slices.Contains(failures, r.Case) && r.Waits.N == 1 && m >= 10: // nor can it be known to be regular
		return once
	case has && r.Waits.N < 3 && r.about(ttl, late): // of few, the phase counts
		return fmt.Sprintf("%.0f s", ttl)
	case m < 1:
		return fmt.Sprintf("%.1f s", m)
	}
	return fmt.Sprintf("%.0f s", m)
}

// failures are the cases in which many clients wait for a time that differs.
var failures = []string{source.NXSOA, source.NX, source.Failure, source.Drop}

// reached says how long it takes at most until a changed answer reaches a use: as long as it
// waits, unless it was seen to go on with the old one.
func (r *Row) reached(wait string) string {
	switch {
	case r.Uses == 0:
		return "not seen"
	case r.Moved < 2:
		return never
	case wait == eachUse || wait == atOnce:
		return atOnce
	case r.Stale > r.Waits.Most+soon.Seconds():
		return fmt.Sprintf("within %.0f s", math.Ceil(r.Stale))
	}
	return "within " + wait
}
