package storm

import (
	"bytes"
	"context"
	"math"
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
	if rep.Settled != 60 { // generations of 4 s
		t.Errorf("settled after %v generations, want 60", rep.Settled)
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

// TestTables has a cell for everything that a report says.
func TestTables(t *testing.T) {
	r := Report{
		Name: "cache 30", Queries: 12, Upstream: 3, MeanTTL: 4.5, Settled: -1, Longest: 6 * time.Second,
		First: Span{7, 8, 9, 10, 11, 1}, Last: Span{12, 13, 14, 15, 16, 1},
		Stale:  Quantiles{1, time.Second, 2 * time.Second, 3500 * time.Millisecond},
		Errors: map[string]int{"timeout": 5, "SERVFAIL": 4},
	}
	var md, txt bytes.Buffer
	if err := Markdown(&md, []Report{r}); err != nil {
		t.Fatal(err)
	}
	want := "| cache 30 | 12 | 3 | 7, 12 | 8.00, 13.00 | 9, 14 | 10.0, 15.0 | 11.00, 16.00 | never | 4.5 | 6.0 | 1.0, 2.0, 3.5 | SERVFAIL 4, timeout 5 |\n"
	if !strings.HasSuffix(md.String(), "|\n"+want) {
		t.Errorf("got\n%swant\n%s", &md, want)
	}
	if err := Text(&txt, []Report{r}); err != nil || strings.Count(txt.String(), "\n") != len(columns) {
		t.Errorf("%v:\n%s", err, &txt)
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
