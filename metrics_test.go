package ttlfloor

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns/coredns/plugin/metadata"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
)

// TestSpread checks the gauges against queries whose spread is known.
func TestSpread(t *testing.T) {
	const now = 1000 // seconds since the epoch
	at := func(second int) time.Duration { return time.Duration(second)*time.Second + 500*time.Millisecond }
	r := rand.New(rand.NewPCG(9, 10))
	every30 := func(s int) int { return 300 * (s % 30 / 29) }
	for _, tt := range []struct {
		name    string
		queries func(second int) int // in seconds 0 to 59, the last minute
		ttl     uint32               // served with the last query
		after   int                  // seconds without queries since then
		want    spread
		within  float64
	}{
		{name: "none", queries: func(int) int { return 0 }, after: 500},
		{name: "as many in every second", queries: func(int) int { return 7 }, want: spread{0, 1, 7}},
		{name: "in every other second", queries: func(s int) int { return 10 * (s % 2) }, want: spread{5, 2, 10}},
		{name: "a herd every 30 seconds", queries: every30, want: spread{290, 30, 300}},
		{name: "a herd every 30 seconds, at any time between", queries: every30, ttl: 30, after: 29, want: spread{290, 30, 300}},
		{name: "a herd that comes after a minute and a half", queries: func(s int) int { return 600 * (s / 59) }, ttl: 90, after: 89, want: spread{590, 60, 600}},
		{name: "even traffic that ends", queries: func(int) int { return 7 }, ttl: 45, after: 44, want: spread{0, 1, 7}}, // case 43
		{name: "even traffic that ended a minute ago", queries: func(int) int { return 7 }, ttl: 45, after: 60, want: spread{}},
		{name: "a herd that ended", queries: every30, ttl: 45, after: 100, want: spread{}},
		{name: "queries without an answer", queries: func(s int) int { return 20 * (s / 59) }, after: 50, want: spread{20 * 59. / 60, 60, 20}}, // case 42
		{name: "clients that know nothing of each other", queries: func(int) int { // 100 a second on average, 1/60 of 6,000
			n := 0
			for range 6000 {
				if r.IntN(60) == 0 {
					n++
				}
			}
			return n
		}, want: spread{1, 1.25, 125}, within: 0.5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var a arrivals
			for s := range 4 * observed { // what is older has left its traces
				n := 3 * s
				if s >= 3*observed {
					n = tt.queries(s - 3*observed)
				}
				for range n {
					a.count(at(now - 4*observed + s))
				}
			}
			a.serve(at(now-1), tt.ttl)
			if tt.after == 0 {
				for range 100 { // the second that goes on does not count yet
					a.count(at(now))
				}
			}
			got := a.spread(at(now + tt.after))
			if math.Abs(got.dispersion-tt.want.dispersion) > tt.within+1e-9 || math.Abs(got.ratio-tt.want.ratio) > tt.within+1e-9 || math.Abs(got.peak-tt.want.peak) > 100*tt.within {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	t.Run("a minute that is not over", func(t *testing.T) {
		var a arrivals
		for s := range 10 {
			a.count(at(s))
		}
		if got := a.spread(at(10)); got != (spread{0, 1, 1}) {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("the longest TTL counts", func(t *testing.T) {
		var a arrivals
		a.count(at(0))
		a.serve(at(0), 300)
		a.serve(at(0), 30)
		if got := a.spread(at(299)); got.peak != 1 {
			t.Errorf("got %+v before it has run out", got)
		}
		if got := a.spread(at(301)); got.peak != 0 {
			t.Errorf("got %+v after that", got)
		}
	})
}

// TestServe has what the gauges wait for: the greatest TTL that went out, also of a
// rule that observes, but nothing beyond the horizon.
func TestServe(t *testing.T) {
	for _, tt := range []struct {
		directives string
		lines      []string
		least      int64 // seconds until the gauges are 0
		most       int64
	}{
		{"ttlfloor 30s example", []string{"answer a.example. 300 SRV 0 0 80 b.example.", "additional b.example. 30 A 192.0.2.1"}, 180, 300},
		{"ttlfloor 30s example {\n observe\n }", []string{"answer a.example. 300 A 192.0.2.1"}, 300, 300},
		{"ttlfloor 30s example {\n observe\n }", []string{"answer a.example. 0 A 192.0.2.1"}, 0, 45},
		{"ttlfloor 30s example", []string{"answer a.example. 2147483647 A 192.0.2.1"}, horizon, horizon},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newTTLFloor(t, tt.directives, respond(message(t, tt.lines...)))
			h.view = t.Name() + tt.directives + tt.lines[0]
			t.Cleanup(meters.settle)
			exchange(t, h, "a.example.", dns.TypeSRV)
			m := meters.get(labels{"", "example.", h.view})
			if got := m.expires.Load() - 1; got < tt.least || got > tt.most {
				t.Errorf("%s, %q: %d seconds, want %d to %d", tt.directives, tt.lines, got, tt.least, tt.most)
			}
		})
	}
}

// TestArrivalsParallel checks that no query is lost or counted twice.
func TestArrivalsParallel(t *testing.T) {
	var a arrivals
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5000 {
				a.count(100 * time.Second)
				a.count(164 * time.Second) // in the same slot
				a.count(101 * time.Second)
			}
		})
	}
	wg.Wait()
	if n := uint32(a.slots[102%64].Load()); n != 8*5000 {
		t.Errorf("counted %d, want %d", n, 8*5000)
	}
}

// TestMeter has what is collected, and what is left when nobody needs it.
func TestMeter(t *testing.T) {
	l := labels{"dns://:53", "meter.example.", "v"}
	m := meters.get(l)
	t.Cleanup(meters.settle)
	if meters.get(l) != m {
		t.Error("a set of labels has two meters")
	}
	m.count(time.Since(m.epoch))
	m.responses[raised].Inc()
	m.ttl(0, 33)
	m.ttl(30, 31)
	m.ttl(100_000, 100_000)
	if n := len(series(t, "meter.example.")); n != int(outcomes)+int(comebacks)+7 { // observing is that of a rule
		t.Errorf("%d series", n)
	}
	if v := sample(t, "coredns_ttlfloor_zero_ttl_responses_total", "zone", l[1]).GetCounter().GetValue(); v != 1 {
		t.Errorf("zero_ttl_responses_total is %v, want 1", v)
	}
	for name, want := range map[string]struct {
		sum     float64
		buckets map[float64]uint64
	}{
		"coredns_ttlfloor_received_ttl_seconds": {100_030, map[float64]uint64{0: 1, 20: 1, 30: 2, 86400: 2}},
		"coredns_ttlfloor_served_ttl_seconds":   {100_064, map[float64]uint64{0: 0, 30: 0, 40: 2, 86400: 2}},
	} {
		h := sample(t, name, "zone", l[1]).GetHistogram()
		if h.GetSampleCount() != 3 || h.GetSampleSum() != want.sum {
			t.Errorf("%s has count %d and sum %v, want 3 and %v", name, h.GetSampleCount(), h.GetSampleSum(), want.sum)
		}
		for _, b := range h.GetBucket() {
			if n, ok := want.buckets[b.GetUpperBound()]; ok && b.GetCumulativeCount() != n {
				t.Errorf("%s has %d up to %v, want %d", name, b.GetCumulativeCount(), b.GetUpperBound(), n)
			}
		}
	}
	meters.settle()
	if left := series(t, "meter.example."); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestMetadata has the labels before and after the response.
func TestMetadata(t *testing.T) {
	h := newTTLFloor(t, "ttlfloor 30s example", respond(message(t, "answer a.example. 7 A 192.0.2.1")))
	value := func(ctx context.Context, label string) string {
		if f := metadata.ValueFunc(ctx, "ttlfloor/"+label); f != nil {
			return f()
		}
		return "(none)"
	}
	r := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
	ctx := h.Metadata(metadata.ContextWithMetadata(context.Background()), request.Request{Req: r})
	if got := value(ctx, "zone") + "," + value(ctx, "received-ttl") + "," + value(ctx, "served-ttl"); got != "example.,," {
		t.Errorf("before the response: %q", got)
	}
	var w sink
	if _, err := h.ServeDNS(ctx, &w, r); err != nil {
		t.Fatal(err)
	}
	served := w.got.Answer[0].Header().Ttl
	if got := value(ctx, "received-ttl"); got != "7" {
		t.Errorf("received-ttl is %q, want 7", got)
	}
	if got := value(ctx, "served-ttl"); got != strconv.Itoa(int(served)) || served < 33 {
		t.Errorf("served-ttl is %q, want %d", got, served)
	}

	r = new(dns.Msg).SetQuestion("a.example.org.", dns.TypeA)
	ctx = h.Metadata(metadata.ContextWithMetadata(context.Background()), request.Request{Req: r, W: &test.ResponseWriter{}})
	if got := value(ctx, "zone"); got != "(none)" {
		t.Errorf("a name in no rule has zone %q", got)
	}
}

// comings counts how the clients of a meter came back.
func comings(t *testing.T, m *meter) (n [comebacks]float64) {
	t.Helper()
	for c := range comebacks {
		n[c] = counted(t, m.returns[c])
	}
	return n
}

// TestReturns has clients come back in each way, and what is shown of it.
func TestReturns(t *testing.T) {
	back := func(kind comeback) (n [comebacks]float64) {
		if kind < comebacks {
			n[kind] = 1
		}
		return n
	}
	for _, tt := range []struct {
		name    string
		jitter  string
		observe string
		after   []int // seconds after the one before
		want    comeback
		shown   string // in the metadata
	}{
		{"new", "", "", []int{0}, fresh, "new"},
		{"kept", "", "", []int{0, 40}, kept, "kept"},
		{"early", "", "", []int{0, 20}, early, "early"},
		{"late", "", "", []int{0, 43}, late, "late"},
		{"once more", "", "", []int{0, 2}, again, ""},
		{"observed, kept", "", "observe", []int{0, 7}, kept, "kept"},
		{"observed, late", "", "observe", []int{0, 40}, late, "late"},
		{"random", "jitter 10% 50% random", "", []int{0, 40}, comebacks, ""},
		{"no jitter", "jitter off", "", []int{0, 30}, comebacks, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newTTLFloor(t, "ttlfloor 36s example {\n "+cmp.Or(tt.jitter, "jitter 11% 11%")+"\n "+tt.observe+"\n }", respond(message(t, "answer a.example. 7 A 192.0.2.1")))
				h.view = t.Name()
				t.Cleanup(meters.settle)
				r := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
				var ctx context.Context
				var before [comebacks]float64
				m := meters.get(labels{"", "example.", h.view})
				for _, after := range tt.after {
					time.Sleep(time.Duration(after) * time.Second)
					before = comings(t, m)
					ctx = h.Metadata(metadata.ContextWithMetadata(context.Background()), request.Request{Req: r})
					if got := metadata.ValueFunc(ctx, "ttlfloor/return")(); got != "" {
						t.Errorf("before the response: %q", got)
					}
					if _, err := h.ServeDNS(ctx, new(sink), r); err != nil {
						t.Fatal(err)
					}
				}
				got := comings(t, m)
				for c := range got {
					got[c] -= before[c]
				}
				if want := back(tt.want); got != want {
					t.Errorf("counted %v of %q, want %v", got, comebackNames, want)
				}
				if got := metadata.ValueFunc(ctx, "ttlfloor/return")(); got != tt.shown {
					t.Errorf("ttlfloor/return is %q, want %q", got, tt.shown)
				}
			})
		})
	}
}

// TestReturnsOfSections has a response whose sections are booked apart count once.
func TestReturnsOfSections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTTLFloor(t, "ttlfloor 30s example", respond(message(t, "answer a.example. 300 SRV 0 0 80 b.example.", "additional b.example. 5 A 192.0.2.1")))
		h.view = t.Name()
		t.Cleanup(meters.settle)
		m := meters.get(labels{"", "example.", h.view})
		first := exchange(t, h, "a.example.", dns.TypeSRV)
		if got := comings(t, m); got != [comebacks]float64{fresh: 1} {
			t.Errorf("counted %v of %q", got, comebackNames)
		}
		time.Sleep(time.Duration(first.Extra[0].Header().Ttl) * time.Second)
		exchange(t, h, "a.example.", dns.TypeSRV)
		if got := comings(t, m); got != [comebacks]float64{fresh: 1, kept: 1} {
			t.Errorf("counted %v of %q", got, comebackNames)
		}
	})
}

// TestFollowersShown has the gauge of each zone of a rule, summed over the rules of a
// zone.
func TestFollowersShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTTLFloor(t, "ttlfloor 36s one.example two.example {\n jitter 11% 11%\n }\nttlfloor 36s one.example {\n jitter 11% 11%\n types SRV\n }", respond(message(t, "answer a.example. 7 A 192.0.2.1")))
		h.view = t.Name()
		t.Cleanup(meters.settle)
		meters.mu.Lock()
		meters.schedules = map[*schedule]bool{h.rules[0].schedule: true, h.rules[1].schedule: true}
		meters.mu.Unlock()
		shown := func() (n [2]float64) {
			for i, zone := range []string{"one.example.", "two.example."} {
				n[i] = sample(t, "coredns_ttlfloor_followers", "zone", zone).GetGauge().GetValue()
			}
			return n
		}
		ask := func() {
			for n := range 5 {
				exchangeFrom(t, h, host(n).String(), "a.one.example.", dns.TypeA)
			}
			for n := range 3 {
				exchangeFrom(t, h, host(n).String(), "a.two.example.", dns.TypeA)
			}
			for n := range 2 {
				exchangeFrom(t, h, host(n).String(), "a.one.example.", dns.TypeSRV)
			}
		}
		ask()
		if got := shown(); got != [2]float64{} {
			t.Errorf("new clients: %v", got)
		}
		time.Sleep(40 * time.Second)
		ask()
		if got := shown(); got != [2]float64{7, 3} {
			t.Errorf("clients that are back on time: %v", got)
		}
		time.Sleep(43 * time.Second)
		if got := shown(); got != [2]float64{} {
			t.Errorf("they stay away: %v", got)
		}
	})
}
