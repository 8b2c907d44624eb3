// Package storm measures what a run of clients does to a server: how many
// queries, how evenly they come, and what it costs. It draws and tabulates it,
// and has the treatments and the upstream that are compared.
package storm

import (
	"math"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Slot is the shortest time that queries are counted in. A burst within it is
// what a socket's buffer has to hold.
const Slot = 10 * time.Millisecond

// Record counts what happens in one run. It is not safe for concurrent use.
type Record struct {
	slots   []uint32 // queries that arrived, by Slot since the start
	queries int
	gaps    time.Duration // sum of what lay between the queries of a client, and their number
	ngaps   int
	longest time.Duration
	ttls    map[uint32]int // of the positive responses, in seconds
	handed  []handed       // of the positive responses whose TTL was seen before and after, by second since the start
	pairs   map[TTLs]int   // the same, of the whole run
	stale   []time.Duration
	latency *hdrhistogram.Histogram // in microseconds; nil until one is counted
	errors  map[string]int
}

// TTLs are those of a response before a server changed them and after.
type TTLs struct{ Received, Handed uint32 }

// handed sums up the responses of a second. A TTL of 0 is left out of the factors,
// since whatever it becomes is infinitely more.
type handed struct {
	n, factors int
	ttl        uint64  // sum
	factor     float64 // sum of TTL handed out over TTL received
	most       float64 // the greatest of those
	longest    uint32  // TTL
}

func (h *handed) add(o handed) {
	h.n, h.factors, h.ttl, h.factor = h.n+o.n, h.factors+o.factors, h.ttl+o.ttl, h.factor+o.factor
	h.most, h.longest = max(h.most, o.most), max(h.longest, o.longest)
}

// NewRecord makes a record of a run of some length.
func NewRecord(length time.Duration) *Record {
	return &Record{
		slots: make([]uint32, (length+Slot-1)/Slot), handed: make([]handed, (length+time.Second-1)/time.Second),
		ttls: make(map[uint32]int), pairs: make(map[TTLs]int), errors: make(map[string]int),
	}
}

// With returns the queries and the TTLs of two records of runs that began at the
// same time, as if they were one. Gaps, staleness and errors stay behind.
func (r *Record) With(o *Record) *Record {
	sum := NewRecord(time.Duration(max(len(r.slots), len(o.slots))) * Slot)
	for _, part := range []*Record{r, o} {
		for i, n := range part.slots {
			sum.slots[i] += n
		}
		for i, h := range part.handed {
			sum.handed[i].add(h)
		}
		for ttl, n := range part.ttls {
			sum.ttls[ttl] += n
		}
		for ttls, n := range part.pairs {
			sum.pairs[ttls] += n
		}
		sum.queries += part.queries
	}
	return sum
}

// Query counts a query that came at a time since the start. What comes after
// the end is not counted.
func (r *Record) Query(at time.Duration) {
	if i := int(at / Slot); at >= 0 && i < len(r.slots) {
		r.slots[i]++
		r.queries++
	}
}

// Gap counts the time between two queries of one client for one name.
func (r *Record) Gap(d time.Duration) {
	r.gaps += d
	r.ngaps++
	r.longest = max(r.longest, d)
}

// Response counts a positive response and the TTL, in seconds, that a client
// goes on with it.
func (r *Record) Response(ttl uint32) { r.ttls[ttl]++ }

// Answer is Response at a time since the start, where the TTL is known that the
// server had before it changed it.
func (r *Record) Answer(at time.Duration, ttls TTLs) {
	r.Response(ttls.Handed)
	r.pairs[ttls]++
	second := int(at / time.Second)
	if at < 0 || second >= len(r.handed) {
		return
	}
	h := handed{n: 1, ttl: uint64(ttls.Handed), longest: ttls.Handed}
	if ttls.Received > 0 {
		h.factors, h.factor = 1, float64(ttls.Handed)/float64(ttls.Received)
		h.most = h.factor
	}
	r.handed[second].add(h)
}

// Pairs returns how many answers had which TTLs, as far as both are known.
func (r *Record) Pairs() map[TTLs]int { return r.pairs }

// Stale counts for how long a client went on with an endpoint after it was
// removed.
func (r *Record) Stale(d time.Duration) { r.stale = append(r.stale, d) }

// Error counts what a client got instead of an answer.
func (r *Record) Error(kind string) { r.errors[kind]++ }

// Queries returns how many were counted.
func (r *Record) Queries() int { return r.queries }

// Errors returns how many were counted, of all kinds.
func (r *Record) Errors() (n int) {
	for _, e := range r.errors {
		n += e
	}
	return n
}

// Report is what one run came to. Its JSON leaves out what was not measured.
type Report struct {
	Name       string         `json:"name"`
	Length     time.Duration  `json:"length_ns"`
	Queries    int            `json:"queries"`
	Upstream   int            `json:"upstream_queries,omitempty"` // 0 if not measured
	MeanTTL    float64        `json:"mean_ttl_seconds"`           // handed out; 0, too, where TTLs is empty
	First      Span           `json:"first,omitzero"`             // minute
	Last       Span           `json:"last,omitzero"`              // minute
	Generation time.Duration  `json:"generation_ns,omitempty"`    // mean between two queries of one client; 0 if none came back
	Settled    float64        `json:"settled"`                    // generations; below 0 if not in this run
	Longest    time.Duration  `json:"longest_gap_ns,omitempty"`   // between two queries of one client; 0 if none came back
	Stale      Quantiles      `json:"stale,omitzero"`
	Latency    Latency        `json:"latency,omitzero"` // of what a client took for a response
	Run        *Params        `json:"run,omitempty"`    // nil if nobody said
	TTLs       map[uint32]int `json:"ttls"`             // how many responses had it
	Errors     map[string]int `json:"errors"`
	Seconds    []int          `json:"queries_per_second"`
	Others     *Others        `json:"others,omitempty"` // nil if there were none
}

// Others are those who asked beside the clients. What else a Report says is of the
// clients alone.
type Others struct {
	Queries int            `json:"queries"` // of others
	Errors  map[string]int `json:"errors"`  // of others
	First   Span           `json:"all_first,omitzero"`
	Last    Span           `json:"all_last,omitzero"`
	Seconds []int          `json:"all_queries_per_second"`
}

// Beside adds what came of others in the run that r is of.
func (r *Report) Beside(clients, others *Record) {
	all := clients.With(others).Report(r.Name, r.Length, 0)
	r.Others = &Others{Queries: others.queries, Errors: others.errors, First: all.First, Last: all.Last, Seconds: all.Seconds}
}

// storm tells whether clients are back within two seconds. They have no seconds to be
// spread over then, and a ratio of seconds says nothing of them: what counts is how many
// queries there are.
func (r Report) storm() bool { return r.Generation > 0 && r.Generation < stormBelow }

// stormBelow is the mean gap that a storm has less of.
const stormBelow = 2 * time.Second

// enough is how many generations a run has to have before it tells that a herd
// stays: a narrow window takes up to six, and a whole one more to show it.
const enough = 7

// short tells whether clients have not settled because the run was too short.
func (r Report) short() bool {
	return r.Settled < 0 && (r.Generation == 0 || r.Length < enough*r.Generation)
}

// Span is how evenly queries came in a part of a run.
type Span struct {
	Second      int     `json:"busiest_second"`     // queries in the busiest second
	SecondRatio float64 `json:"second_over_mean"`   // busiest over mean second
	Slot        int     `json:"busiest_10ms"`       // queries in the busiest 10 ms
	SlotRatio   float64 `json:"slot_over_mean"`     // busiest over mean 10 ms
	Dispersion  float64 `json:"dispersion"`         // variance over mean of the seconds
	Mean        float64 `json:"queries_per_second"` // mean

	Queries    int     `json:"queries"`
	Offset     int     `json:"busiest_second_any_offset"` // queries in the busiest second that begins at any Slot
	OffsetOver float64 `json:"any_offset_over_mean"`

	// Of the answers whose TTL is known before and after; all 0 if there is none.
	MeanTTL    float64 `json:"mean_ttl_seconds,omitempty"`
	LongestTTL uint32  `json:"longest_ttl_seconds,omitempty"`
	MeanRaise  float64 `json:"mean_ttl_over_received,omitempty"` // of those that came with more than 0
	MostRaise  float64 `json:"greatest_ttl_over_received,omitempty"`
}

// Quantiles are of the time that clients went on with a removed endpoint.
type Quantiles struct {
	N   int           `json:"n"`
	P50 time.Duration `json:"p50_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`
}

// settled is the busiest second over the mean that a herd counts as gone below.
const settled = 1.15

// Report sums up the run so far, length being how long it took. Its first and
// last minute are halves of a run shorter than two.
func (r *Record) Report(name string, length time.Duration, upstream int) Report {
	seconds := r.seconds(length)
	part := min(60, len(seconds)/2)
	rep := Report{
		Name: name, Length: length, Queries: r.queries, Upstream: upstream,
		Longest: r.longest, TTLs: r.ttls, Errors: r.errors, Seconds: seconds,
		First: r.Span(0, part), Last: r.Span(len(seconds)-part, len(seconds)),
		Stale: quantiles(r.stale), Latency: latencies(r.latency), Settled: -1,
	}
	var sum, n float64
	for ttl, count := range r.ttls {
		sum += float64(ttl) * float64(count)
		n += float64(count)
	}
	if n > 0 {
		rep.MeanTTL = sum / n
	}
	if r.ngaps > 0 {
		rep.Generation = r.gaps / time.Duration(r.ngaps)
		rep.Settled = r.settled(seconds, rep.Generation)
	}
	return rep
}

// seconds are the queries of each whole second of a run.
func (r *Record) seconds(length time.Duration) []int {
	out := make([]int, min(int(length/time.Second), len(r.slots)*int(Slot)/int(time.Second)))
	for i := range out {
		for _, n := range r.slots[i*perSecond : (i+1)*perSecond] {
			out[i] += int(n)
		}
	}
	return out
}

const perSecond = int(time.Second / Slot)

// Span sums up the seconds from and up to, not including, two others.
func (r *Record) Span(from, to int) (s Span) {
	to = min(to, len(r.slots)/perSecond)
	if from >= to {
		return s
	}
	s.ttls(r.handed[from:to])
	slots := r.slots[from*perSecond : to*perSecond]
	var squares float64
	second, window := 0, 0 // queries in this second so far, and in the second up to this slot
	for i, q := range slots {
		s.Slot = max(s.Slot, int(q))
		second += int(q)
		window += int(q)
		if i >= perSecond {
			window -= int(slots[i-perSecond])
		}
		s.Offset = max(s.Offset, window)
		if (i+1)%perSecond == 0 {
			s.Second = max(s.Second, second)
			s.Queries += second
			squares += float64(second) * float64(second)
			second = 0
		}
	}
	if s.Queries == 0 {
		return s
	}
	s.Mean = float64(s.Queries) / float64(to-from)
	s.SecondRatio = float64(s.Second) / s.Mean
	s.OffsetOver = float64(s.Offset) / s.Mean
	s.SlotRatio = float64(s.Slot) / s.Mean * float64(perSecond)
	s.Dispersion = (squares/float64(to-from) - s.Mean*s.Mean) / s.Mean
	return s
}

// even tells whether the busiest second is hardly above the mean, or as near to it as whole
// queries can be.
func (s Span) even() bool {
	return s.SecondRatio < settled || float64(s.Second) <= math.Ceil(s.Mean)
}

// ttls sums up the TTLs of seconds.
func (s *Span) ttls(seconds []handed) {
	var all handed
	for _, h := range seconds {
		all.add(h)
	}
	if all.n > 0 {
		s.MeanTTL, s.LongestTTL = float64(all.ttl)/float64(all.n), all.longest
	}
	if all.factors > 0 {
		s.MeanRaise, s.MostRaise = all.factor/float64(all.factors), all.most
	}
}

// settled returns after how many generations the busiest second of a whole
// generation is less than 1.15 times its mean, or as near to it as whole queries
// can be, a generation being what lies between two queries of a client. It is -1
// if that never is, and for a storm: however even its clients are, they are too many.
func (r *Record) settled(seconds []int, generation time.Duration) float64 {
	if generation < stormBelow {
		return -1
	}
	width := int((generation + time.Second - 1) / time.Second)
	for from := 0; from+width <= len(seconds); from++ {
		if s := r.Span(from, from+width); s.Second > 0 && s.even() {
			return float64(from) / generation.Seconds()
		}
	}
	return -1
}

func quantiles(d []time.Duration) Quantiles {
	if len(d) == 0 {
		return Quantiles{}
	}
	slices.Sort(d)
	at := func(q float64) time.Duration { return d[min(int(q*float64(len(d))), len(d)-1)] }
	return Quantiles{N: len(d), P50: at(0.5), P99: at(0.99), Max: d[len(d)-1]}
}
