// Package find looks for storms and herds in the queries that a DNS server gets: which
// names are asked again at once, which are asked by many clients in step, how many of
// those follow TTLs and with what period, and what a rule of ttlfloor would make of it.
//
// It reads a stream once and keeps what is bounded, whatever comes. Questions that make up
// less than a twenty-thousandth of the queries are forgotten: G. S. Manku and R. Motwani,
// "Approximate Frequency Counts over Data Streams" (2002). Clients are told apart for
// those that make up a thousandth. There are 400,000 of them at most. Where there would be
// more, those that were seen once go first, and then every other one of the question that
// has most, whose figures are then estimates. That is some 200 MB.
package find

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/capture"
)

const (
	bucket     = 20_000          // queries, after which rare questions are forgotten
	rare       = 1000            // a question that has a smaller part of the queries has no clients
	warm       = 200_000         // queries, before which every question has
	maxCallers = 400_000         // of all questions
	back       = time.Minute     // a clock that goes back by more is that of another server, or was set
	maxPeriod  = 4 * time.Hour   // between two queries of a client that are taken for one of its waits
	minute     = int64(60 * 1e3) // milliseconds
	lastMinute = 60              // seconds
)

// Finder looks at queries as they come. It is not safe for concurrent use.
type Finder struct {
	questions map[key]*question
	buckets   int // that have gone by
	callers   int // of all questions
	queries   int
	answers   int
	untimed   int // queries without a time
	told      int // answers whose TTL is known

	begin time.Time // of all times, which are kept in microseconds since then
	whole bool      // all times are in whole seconds
	epoch uint16    // how often the clock went back
	from  int64     // the first and the last query of this epoch
	to    int64
	span  int64 // of the epochs before
}

type key struct {
	name  string
	qtype uint16
}

// question is what is known of a name and type.
type question struct {
	key
	queries int
	missed  int // at most so many were forgotten before
	callers map[netip.Addr]*caller
	one     uint32    // of so many clients, a power of two, is known
	busiest int       // queries in the busiest second so far
	second  int64     // of the last query
	seconds []uint32  // queries in the last minute, by second; made once they are not few
	ttls    [2]uint32 // least and greatest TTL of its answers
	told    int       // answers with a TTL
	zeros   int       // of which so many were 0
	denied  int
	waits   bool // who asks again at once waits for the answer before; known in a report
}

// New returns a Finder that has seen nothing.
func New() *Finder { return &Finder{questions: map[key]*question{}, whole: true} }

// Add takes a message of a capture.
func (f *Finder) Add(m *capture.Message) {
	denied := m.Rcode == dns.RcodeNameError
	if m.Answer {
		f.Answer(m.At, m.Client, m.Name, m.Type, denied, m.TTL)
		return
	}
	f.Query(m.At, m.Took, m.Client, m.Name, m.Type)
	if q := f.questions[key{m.Name, m.Type}]; q != nil && denied { // a line of a log has both
		q.denied++
	}
}

// Query has a client ask. at is the zero time if it is not known, and so is client. took is
// how long it waited for the answer, 0 if that is not known.
func (f *Finder) Query(at time.Time, took time.Duration, client netip.Addr, name string, qtype uint16) {
	f.queries++
	q := f.questions[key{name, qtype}]
	if q == nil {
		q = &question{key: key{strings.Clone(name), qtype}, missed: f.buckets, one: 1, callers: map[netip.Addr]*caller{}}
		f.questions[q.key] = q
	}
	q.queries++
	if at.IsZero() {
		f.untimed++
	} else {
		q.ask(f, f.clock(at, took), took, client)
	}
	if f.queries%bucket == 0 {
		f.forget()
	}
}

// Answer has a client be answered. at is the zero time if it is not known. ttl is what it may act on, in seconds, and below 0
// if that is not known.
func (f *Finder) Answer(at time.Time, client netip.Addr, name string, qtype uint16, denied bool, ttl int64) {
	f.answers++
	q := f.questions[key{name, qtype}]
	if q == nil {
		return
	}
	if denied {
		q.denied++
	}
	c := q.callers[client]
	if c != nil && !at.IsZero() {
		c.answered(at.Sub(f.begin).Microseconds())
	}
	if ttl < 0 {
		return
	}
	f.told++
	t := uint32(min(ttl, 1<<31)) // #nosec G115 -- in range
	if q.told == 0 {
		q.ttls = [2]uint32{t, t}
	}
	q.ttls[0], q.ttls[1] = min(q.ttls[0], t), max(q.ttls[1], t)
	q.told++
	if t == 0 {
		q.zeros++
	}
	if c != nil {
		c.told, c.knows = t, true
	}
}

// clock returns the time in microseconds since the first query. It begins anew where the
// clock went back by more than lines are out of order.
func (f *Finder) clock(at time.Time, took time.Duration) int64 {
	if f.whole = f.whole && at.Add(took).Nanosecond() == 0; f.whole {
		at = at.Add(took) // there is no fraction to subtract from
	}
	if f.begin.IsZero() {
		f.begin = at
	}
	us := at.Sub(f.begin).Microseconds()
	if us < f.to-back.Microseconds() {
		f.span += f.to - f.from
		f.epoch++
		f.from, f.to = us, us
	}
	f.to = max(f.to, us)
	return us
}

// length is how much time the queries take.
func (f *Finder) length() time.Duration {
	return time.Duration(f.span+f.to-f.from) * time.Microsecond
}

// ask notes a query at a time.
func (q *question) ask(f *Finder, at int64, took time.Duration, client netip.Addr) {
	q.count(at / 1e6)
	c := q.callers[client]
	if c == nil {
		if f.queries > warm && q.queries*rare < f.queries || !sampled(client, q.one) {
			return
		}
		if f.callers >= maxCallers {
			f.dismiss()
		}
		c = &caller{}
		q.callers[client] = c
		f.callers++
	}
	c.ask(at, took, f.epoch, f.whole)
}

// sampled tells whether a client is the one of so many that is known.
func sampled(client netip.Addr, of uint32) bool {
	b := client.As16()
	h := binary.BigEndian.Uint64(b[:8]) ^ binary.BigEndian.Uint64(b[8:])
	h *= 0x9e3779b97f4a7c15 // an odd number without a pattern; the high half has the hash
	return uint32(h>>32)&(of-1) == 0
}

// count counts a query in its second.
func (q *question) count(second int64) {
	if q.queries < leastSpin {
		return
	}
	if q.seconds == nil {
		q.seconds = make([]uint32, lastMinute)
		q.second = second
	}
	if second > q.second+lastMinute || second < q.second-lastMinute {
		clear(q.seconds)
		q.second = second
	}
	for ; q.second < second; q.second++ {
		q.seconds[(((q.second+1)%lastMinute)+lastMinute)%lastMinute] = 0
	}
	n := &q.seconds[((second%lastMinute)+lastMinute)%lastMinute]
	*n++
	q.busiest = max(q.busiest, int(*n))
}

// minute returns the queries in the seconds of the last minute.
func (q *question) minute() (out []int) {
	for i := range int64(len(q.seconds)) {
		out = append(out, int(q.seconds[(((q.second+1+i)%lastMinute)+lastMinute)%lastMinute]))
	}
	return out
}

// forget forgets questions that are too rare to be found.
func (f *Finder) forget() {
	f.buckets++
	for k, q := range f.questions {
		if q.queries+q.missed <= f.buckets {
			f.callers -= len(q.callers)
			delete(f.questions, k)
		}
	}
}

// dismiss forgets clients until there is room: those of rare questions, those that were
// seen once and not lately, and then every other one of the question that has most.
func (f *Finder) dismiss() {
	const room = maxCallers * 3 / 4
	for _, goes := range []func(q *question, c *caller) bool{
		func(q *question, _ *caller) bool { return q.queries*rare < f.queries },
		func(_ *question, c *caller) bool { return c.n <= 1 && c.since(f) > 5*minute },
		func(_ *question, c *caller) bool { return c.since(f) > 30*minute },
	} {
		for _, q := range f.questions {
			f.drop(q, goes)
		}
		if f.callers <= room {
			return
		}
	}
	for f.callers > room {
		var most *question
		for _, q := range f.questions {
			if most == nil || len(q.callers) > len(most.callers) {
				most = q
			}
		}
		most.one *= 2
		for client := range most.callers {
			if !sampled(client, most.one) {
				delete(most.callers, client)
				f.callers--
			}
		}
	}
}

func (f *Finder) drop(q *question, goes func(*question, *caller) bool) {
	for client, c := range q.callers {
		if goes(q, c) {
			delete(q.callers, client)
			f.callers--
		}
	}
}
