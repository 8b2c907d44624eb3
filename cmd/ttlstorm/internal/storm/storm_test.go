package storm

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin/test"

	"github.com/miekg/dns"
)

// TestReport has known arrivals: 6 in the first second of every 3, for 4
// minutes, and 2 in each second of the last minute.
func TestReport(t *testing.T) {
	r := NewRecord(5 * time.Minute)
	for s := range 300 {
		at := time.Duration(s) * time.Second
		switch {
		case s >= 240:
			r.Query(at)
			r.Query(at + 500*time.Millisecond)
		case s%3 == 0:
			for i := range 6 {
				r.Query(at + time.Duration(i)*time.Millisecond*4)
			}
		}
	}
	r.Query(5 * time.Minute) // after the end
	r.Query(-1)
	for range 10 {
		r.Gap(3 * time.Second)
	}
	r.Gap(14 * time.Second) // a mean of 4 s
	r.Response(10)
	r.Response(30)
	for i := range 100 {
		r.Stale(time.Duration(100-i) * time.Second)
	}
	r.Error("timeout")
	r.Error("timeout")

	rep := r.Report("x", 5*time.Minute, 7)
	if rep.Name != "x" || rep.Queries != 80*6+60*2 || rep.Upstream != 7 || rep.MeanTTL != 20 || rep.Longest != 14*time.Second || rep.Errors["timeout"] != 2 {
		t.Errorf("%+v", rep)
	}
	if want := (Span{Second: 6, SecondRatio: 3, Slot: 3, SlotRatio: 150, Dispersion: 4, Mean: 2}); !near(rep.First, want) {
		t.Errorf("first minute %+v, want %+v", rep.First, want)
	}
	if want := (Span{Second: 2, SecondRatio: 1, Slot: 1, SlotRatio: 50, Mean: 2}); !near(rep.Last, want) {
		t.Errorf("last minute %+v, want %+v", rep.Last, want)
	}
	if rep.Generation != 4*time.Second || rep.Settled != 59.75 { // 0, 2, 2 and 2 are as even as 6 can be
		t.Errorf("settled after %v generations of %v, want 59.75 of 4s", rep.Settled, rep.Generation)
	}
	if want := (Quantiles{100, 51 * time.Second, 100 * time.Second, 100 * time.Second}); rep.Stale != want {
		t.Errorf("stale %v, want %v", rep.Stale, want)
	}
	if r.Queries() != rep.Queries || r.Errors() != 2 || len(rep.Seconds) != 300 || rep.Seconds[0] != 6 || rep.Seconds[299] != 2 {
		t.Errorf("%+v", rep)
	}
}

func near(a, b Span) bool {
	return a.Second == b.Second && a.Slot == b.Slot && math.Abs(a.SecondRatio-b.SecondRatio) < 1e-9 &&
		math.Abs(a.SlotRatio-b.SlotRatio) < 1e-9 && math.Abs(a.Dispersion-b.Dispersion) < 1e-9 && math.Abs(a.Mean-b.Mean) < 1e-9
}

// TestSpan has bursts that no calendar second shows, and what is known of TTLs.
func TestSpan(t *testing.T) {
	r, o := NewRecord(4*time.Second), NewRecord(4*time.Second)
	for range 3 {
		r.Query(900 * time.Millisecond)
		r.Query(1100 * time.Millisecond)
	}
	r.Query(1890 * time.Millisecond) // the last slot of the second that begins at 900 ms
	r.Query(1900 * time.Millisecond)
	for range 20 {
		r.Query(3500 * time.Millisecond)
	}
	s := r.Span(0, 3)
	if s.Second != 5 || s.Offset != 7 || s.Queries != 8 || math.Abs(s.OffsetOver-7/(8./3)) > 1e-9 {
		t.Errorf("%+v, want 5 by the calendar and 7 of 8 by any offset", s)
	}
	if s := r.Span(3, 4); s.Offset != 20 || s.OffsetOver != 1 || s.MeanTTL != 0 || s.MostRaise != 0 {
		t.Errorf("%+v, want all 20", s)
	}

	r.Answer(time.Second, TTLs{Received: 10, Handed: 30})
	r.Answer(time.Second, TTLs{Received: 20, Handed: 40})
	r.Answer(2500*time.Millisecond, TTLs{Received: 0, Handed: 50})
	r.Answer(5*time.Second, TTLs{Received: 1, Handed: 1}) // after the end
	s = r.Span(0, 4)
	if s.MeanTTL != 40 || s.LongestTTL != 50 || s.MeanRaise != 2.5 || s.MostRaise != 3 {
		t.Errorf("%+v, want a mean of 40 and 2.5, and 50 and 3 at most", s)
	}
	if s := r.Span(2, 3); s.MeanTTL != 50 || s.MeanRaise != 0 {
		t.Errorf("%+v, want no factor for a TTL of 0", s)
	}

	o.Query(950 * time.Millisecond)
	o.Answer(time.Second, TTLs{Received: 10, Handed: 100})
	o.Answer(time.Second, TTLs{Received: 10, Handed: 30})
	both := r.With(o)
	s = both.Span(0, 3)
	if s.Offset != 8 || s.Queries != 9 || s.LongestTTL != 100 || s.MostRaise != 10 || both.Queries() != r.Queries()+1 {
		t.Errorf("%+v of both", s)
	}
	if got := both.Pairs()[TTLs{Received: 10, Handed: 30}]; got != 2 || both.Report("", 4*time.Second, 0).TTLs[30] != 2 {
		t.Errorf("%d answers with 30 in the place of 10, want 2", got)
	}
	if r.Queries() != 28 || o.Queries() != 1 {
		t.Error("the records changed")
	}
}

// TestReportOfLittle has runs with nothing in them, or cut short.
func TestReportOfLittle(t *testing.T) {
	r := NewRecord(time.Hour)
	for _, length := range []time.Duration{0, time.Millisecond, time.Second, 90 * time.Second, 2 * time.Hour} {
		rep := r.Report("", length, 0)
		if rep.Queries != 0 || rep.First != (Span{}) || rep.Last != (Span{}) || rep.Settled != -1 || rep.Stale != (Quantiles{}) {
			t.Errorf("%v: %+v", length, rep)
		}
		for _, format := range []string{"svg", "png"} {
			if err := Draw(&bytes.Buffer{}, format, []Report{rep}); err != nil {
				t.Errorf("%v: %v", length, err)
			}
		}
	}
	if err := Draw(&bytes.Buffer{}, "gif", nil); err == nil || !strings.Contains(err.Error(), `"gif"; there are svg and png`) {
		t.Errorf("error %v, want one that names the format", err)
	}
}

// TestSettled has fleets that come back every so often, and what is said of them
// in the table and by the colour of the picture.
func TestSettled(t *testing.T) {
	const red, blue, grey = "#B2182B", "#2166AC", "#808080"
	for _, tt := range []struct {
		name       string
		clients    int
		every      time.Duration // the gap of a client
		spread     time.Duration // between two clients
		length     time.Duration
		want, fill string
	}{
		{"herd", 100, 10 * time.Second, 0, 70 * time.Second, "never", red},
		{"herd of a short run", 100, 10 * time.Second, 0, 69 * time.Second, "too short", grey},
		{"spread", 100, 10 * time.Second, 100 * time.Millisecond, 70 * time.Second, "0.0", blue},
		{"spread in a short run", 100, 10 * time.Second, 100 * time.Millisecond, 20 * time.Second, "0.0", blue},
		{"few, as even as they can be", 13, 10 * time.Second, 750 * time.Millisecond, 70 * time.Second, "0.0", blue},
		{"one client", 1, 10 * time.Second, 0, 70 * time.Second, "0.0", blue},
		{"a run in which nobody came back", 100, time.Hour, 0, 70 * time.Second, "too short", grey},
		{"storm, the evenest of all", 100, 10 * time.Millisecond, 0, 20 * time.Second, "never", red},
		{"back every second", 100, time.Second, 0, 20 * time.Second, "never", red},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := NewRecord(tt.length)
			for c := range tt.clients {
				for at := time.Duration(c) * tt.spread; at < tt.length; at += tt.every {
					r.Query(at)
					if at >= tt.every {
						r.Gap(tt.every)
					}
				}
			}
			rep := r.Report("", tt.length, 0)
			if got := settledAfter(rep); got != tt.want {
				t.Errorf("settled after: %s, want %s", got, tt.want)
			}
			var b bytes.Buffer
			if err := Draw(&b, "svg", []Report{rep}); err != nil {
				t.Fatal(err)
			}
			for _, fill := range []string{red, blue, grey} {
				if got := strings.Contains(b.String(), "fill:"+fill); got != (fill == tt.fill) {
					t.Errorf("%s in the picture: %v, want %s", fill, got, tt.fill)
				}
			}
		})
	}
}

// TestTable has a cell for everything that a report says, and none for what was
// not measured. A line that no report has anything for is left out.
func TestTable(t *testing.T) {
	r := Report{
		Name: "cache 30", Length: time.Minute, Queries: 12, Upstream: 3, MeanTTL: 4.5, TTLs: map[uint32]int{4: 1, 5: 1},
		Generation: 5 * time.Second, Settled: -1, Longest: 6 * time.Second,
		First:   Span{Second: 7, SecondRatio: 8, Offset: 1, OffsetOver: 2, Slot: 9, SlotRatio: 10, Dispersion: 11, Mean: 1},
		Last:    Span{Second: 12, SecondRatio: 13, Offset: 3, OffsetOver: 4, Slot: 14, SlotRatio: 15, Dispersion: 16, Mean: 1},
		Stale:   Quantiles{1, time.Second, 2 * time.Second, 3500 * time.Millisecond},
		Latency: Latency{4, 100 * time.Microsecond, 2 * time.Millisecond, 30 * time.Millisecond, 400 * time.Millisecond},
		Errors:  map[string]int{"timeout": 5, "SERVFAIL": 4},
	}
	zero := r
	zero.MeanTTL, zero.TTLs, zero.Settled, zero.Stale, zero.Errors = 0, map[uint32]int{0: 1}, 0, Quantiles{N: 1}, nil
	fast := r
	fast.Generation = time.Second
	half := Report{Name: "half", Queries: 2, Settled: -1, First: r.First}
	for _, tt := range []struct {
		report Report
		cells  string
		whole  bool // the JSON has all of it, too
	}{
		{r, "12 | 3 | 7, 12 | 8.00, 13.00 | 1, 3 | 2.00, 4.00 | 9, 14 | 10.0, 15.0 | 11.00, 16.00 | never | 4.5 | 6.0 | 1.0, 2.0, 3.5 | 0.1, 2.0, 30.0, 400.0 | SERVFAIL 4, timeout 5", true},
		{zero, "12 | 3 | 7, 12 | 8.00, 13.00 | 1, 3 | 2.00, 4.00 | 9, 14 | 10.0, 15.0 | 11.00, 16.00 | 0.0 | 0.0 | 6.0 | 0.0, 0.0, 0.0 | 0.1, 2.0, 30.0, 400.0 | 0", true},
		{fast, "12 | 3 | 7, 12 | storm | 1, 3 | storm | 9, 14 | storm | storm | never | 4.5 | 6.0 | 1.0, 2.0, 3.5 | 0.1, 2.0, 30.0, 400.0 | SERVFAIL 4, timeout 5", true},
		{half, "2 | 7, - | 8.00, - | 1, - | 2.00, - | 9, - | 10.0, - | 11.00, - | too short | - | - | 0", false},
	} {
		rows := table([]Report{tt.report})
		cells := make([]string, 0, len(rows))
		for _, row := range rows {
			cells = append(cells, row[1])
		}
		if got := strings.Join(cells, " | "); got != tt.cells {
			t.Errorf("got\n%s\nwant\n%s", got, tt.cells)
		}
		var txt bytes.Buffer
		if err := Text(&txt, []Report{tt.report}); err != nil || strings.Count(txt.String(), "\n") != len(rows)+3 {
			t.Errorf("%v:\n%s", err, &txt)
		}
		text, err := json.Marshal(tt.report)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"upstream_queries", "last", "generation_ns", "longest_gap_ns", "stale", "latency"} {
			if got := bytes.Contains(text, []byte(strconv.Quote(key))); got != tt.whole {
				t.Errorf("%s: %s in the JSON: %v", tt.report.Name, key, got)
			}
		}
	}
	fast.Others = &Others{First: r.First, Last: r.Last}
	for _, row := range table([]Report{fast, r}) {
		if ratio := strings.Contains(row[0], "over the mean") || strings.Contains(row[0], "dispersion"); (row[1] == "storm") != ratio || row[2] == "storm" {
			t.Errorf("%q, want no ratio of a storm", row)
		}
	}
	if got := table([]Report{r, half}); got[1][0] != "upstream" || got[1][1] != "3" || got[1][2] != none {
		t.Errorf("%q, want a line that one of the two has", got[1])
	}
}

// TestBeside has ten clients and three others in each second. The clients of the last two
// are within one second by another offset. What is said of them is the same with others
// and without.
func TestBeside(t *testing.T) {
	const length = 4 * time.Second
	clients, others := NewRecord(length), NewRecord(length)
	for second, ms := range []int{700, 700, 700, 100} {
		begin := time.Duration(second) * time.Second
		for range 10 {
			clients.Query(begin + time.Duration(ms)*time.Millisecond)
		}
		for range 3 {
			others.Query(begin + 200*time.Millisecond)
		}
	}
	others.Error("timeout")
	alone := clients.Report("a", length, 0)
	both := alone
	both.Beside(clients, others)
	if both.Queries != 40 || both.Last != alone.Last || both.Last.Second != 10 || both.Last.Offset != 20 || len(both.Errors) > 0 {
		t.Errorf("the clients are %+v", both)
	}
	o := both.Others
	if o.Queries != 12 || o.Errors["timeout"] != 1 || o.Last.Queries != 26 || !slices.Equal(o.Seconds, []int{13, 13, 13, 13}) {
		t.Errorf("the others are %+v", o)
	}
	var txt bytes.Buffer
	if err := Text(&txt, []Report{alone, both}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(txt.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	for _, want := range []string{
		"busiest second by any offset 10, 20 10, 20", "over the mean 1.00, 2.00 1.00, 2.00",
		"others: queries - 12", "others: errors - timeout 1", "all: busiest second - 13, 13", "all: over the mean - 1.00, 1.00",
		"all: by any offset - 13, 23", "all: by any offset, over the mean - 1.00, 1.77", "all: dispersion - 0.00, 0.00",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no line %q in\n%s", want, &txt)
		}
	}
}

// answerer keeps what a plugin writes.
type answerer struct {
	test.ResponseWriter
	got *dns.Msg
}

func (a *answerer) WriteMsg(m *dns.Msg) error {
	a.got = m
	return nil
}

// TestSource has endpoints that change, and a source that is down for a while.
func TestSource(t *testing.T) {
	s := &Source{TTL: 30, Change: 40 * time.Second, DownAt: time.Minute, UpAt: 2 * time.Minute}
	for at, want := range map[time.Duration]int{0: 0, 19 * time.Second: 0, 20 * time.Second: 1, 59 * time.Second: 1, time.Hour: 90} {
		if got := s.Version(at); got != want {
			t.Errorf("version %d at %v, want %d", got, at, want)
		}
	}
	if got := s.Removed(1); got != time.Minute {
		t.Errorf("version 1 ends at %v, want 1m", got)
	}
	for _, qtype := range []uint16{dns.TypeSRV, dns.TypeA} {
		for _, version := range []int{0, 1, 255, 256, 1000} {
			m := s.answer(new(dns.Msg).SetQuestion("a.example.", qtype), version)
			if got := VersionOf(m); got != version || len(m.Answer) != endpoints || m.Answer[0].Header().Ttl != 30 {
				t.Errorf("version %d, want %d, of %v", got, version, m)
			}
		}
	}
	if got := VersionOf(s.answer(new(dns.Msg).SetQuestion("a.example.", dns.TypeAAAA), 3)); got != -1 {
		t.Errorf("version %d of no answer", got)
	}
	s.TTLs = map[string]uint32{"b.example.": 300}
	for name, want := range map[string]uint32{"a.example.": 30, "b.example.": 300} {
		for _, qtype := range []uint16{dns.TypeSRV, dns.TypeA, dns.TypeAAAA} {
			m := s.answer(new(dns.Msg).SetQuestion(name, qtype), 1)
			for _, rr := range append(m.Answer, m.Ns...) {
				if got := rr.Header().Ttl; got != want {
					t.Errorf("TTL %d in %v, want %d", got, rr, want)
				}
			}
		}
	}
	foreign, _ := dns.NewRR("a.example. 1 SRV 0 0 1 target.example.")
	if got := VersionOf(&dns.Msg{Answer: []dns.RR{foreign}}); got != -1 {
		t.Errorf("version %d of someone else's answer", got)
	}

	for ago, down := range map[time.Duration]bool{time.Second: false, 61 * time.Second: true, 121 * time.Second: false} {
		s.start.Store(time.Now().Add(-ago).UnixNano())
		var w answerer
		rcode, err := s.ServeDNS(context.Background(), &w, new(dns.Msg).SetQuestion("a.example.", dns.TypeA))
		if (rcode == dns.RcodeServerFailure) != down || (err != nil) != down || (w.got == nil) != down {
			t.Errorf("%v after the start: %d, %v, %v", ago, rcode, err, w.got)
		}
	}
	if s.Queries() != 3 {
		t.Errorf("%d queries, want 3", s.Queries())
	}
}

// TestTreatments checks the directives of caches that serve stale entries.
func TestServingStale(t *testing.T) {
	for _, in := range Treatments(30) {
		out := ServingStale([]Treatment{in})[0]
		for i, d := range out.Directives {
			if strings.HasPrefix(d, "cache") != strings.Contains(d, "serve_stale\n }") {
				t.Errorf("%s: %q of %q", in.Name, d, in.Directives[i])
			}
		}
	}
}
