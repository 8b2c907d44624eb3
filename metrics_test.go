package ttlfloor

import (
	"context"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/coredns/coredns/plugin/metadata"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// TestRatios checks the gauges against queries whose spread is known.
func TestRatios(t *testing.T) {
	const now = 1_700_000_000
	r := rand.New(rand.NewPCG(9, 10))
	for _, tt := range []struct {
		name             string
		queries          func(second int) int // second 0 is 60 seconds ago
		dispersion, peak float64
		within           float64
	}{
		{"none", func(int) int { return 0 }, 0, 0, 0},
		{"as many in every second", func(int) int { return 7 }, 0, 1, 1e-9},
		{"all in one second", func(s int) int { return 600 * (1 - min(s, 1)) }, 590, 60, 1e-9},
		{"in every other second", func(s int) int { return 10 * (s % 2) }, 5, 2, 1e-9},
		{"a herd every 30 seconds", func(s int) int { return 300 * (1 - min(s%30, 1)) }, 290, 30, 1e-9},
		{"clients that know nothing of each other", func(int) int { // 100 a second on average, 1/60 of 6,000
			n := 0
			for range 6000 {
				if r.IntN(60) == 0 {
					n++
				}
			}
			return n
		}, 1, 1.25, 0.5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := arrivals{since: now - 1000}
			for s := range 4 * observed { // what is older has left its traces
				n := 3 * s
				if s >= 3*observed {
					n = tt.queries(s - 3*observed)
				}
				for range n {
					a.count(now - 4*observed + int64(s))
				}
			}
			for range 100 { // the second that goes on does not count yet
				a.count(now)
			}
			dispersion, peak := a.ratios(now)
			if math.Abs(dispersion-tt.dispersion) > tt.within || math.Abs(peak-tt.peak) > tt.within {
				t.Errorf("dispersion %.3f and peak %.3f, want %.3f and %.3f", dispersion, peak, tt.dispersion, tt.peak)
			}
		})
	}
	t.Run("a minute that is not over", func(t *testing.T) {
		a := arrivals{since: now - 10}
		for s := range int64(10) {
			a.count(now - 10 + s)
		}
		if dispersion, peak := a.ratios(now); dispersion != 0 || peak != 1 {
			t.Errorf("dispersion %.3f and peak %.3f, want 0 and 1", dispersion, peak)
		}
	})
	t.Run("stale", func(t *testing.T) {
		a := arrivals{since: now - 1000}
		a.count(now - 64)
		a.count(now - 61)
		if dispersion, peak := a.ratios(now); dispersion != 0 || peak != 0 {
			t.Errorf("dispersion %.3f and peak %.3f, want 0", dispersion, peak)
		}
	})
}

// TestArrivalsParallel checks that no query is lost or counted twice.
func TestArrivalsParallel(t *testing.T) {
	var a arrivals
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5000 {
				a.count(100)
				a.count(100 + 64) // in the same slot
				a.count(101)
			}
		})
	}
	wg.Wait()
	if n := uint32(a.slots[101%64].Load()); n != 8*5000 {
		t.Errorf("counted %d, want %d", n, 8*5000)
	}
}

// TestMeterSet has what is collected, and what is left when nobody needs it.
func TestMeterSet(t *testing.T) {
	s := &meterSet{byLabels: make(map[labels]*meter)}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(s)
	gather := func() map[string]*dto.MetricFamily {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		byName := map[string]*dto.MetricFamily{}
		for _, f := range families {
			byName[f.GetName()] = f
		}
		return byName
	}

	l := labels{server: "dns://:53", zone: "example.", view: "v"}
	m := s.get(l)
	if s.get(l) != m {
		t.Error("a set of labels has two meters")
	}
	m.count(1, raised)
	m.count(1, raised)
	m.count(1, raw)
	m.observe(0, 33)
	m.observe(30, 31)
	m.observe(100_000, 100_000)
	got := gather()
	for name, want := range map[string]float64{"raised": 2, "raw": 1, "unchanged": 0, "jittered": 0, "capped": 0} {
		found := false
		for _, metric := range got["coredns_ttlfloor_responses_total"].GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "outcome" && label.GetValue() == name {
					found = true
					if v := metric.GetCounter().GetValue(); v != want {
						t.Errorf("outcome %s is %v, want %v", name, v, want)
					}
				}
			}
		}
		if !found {
			t.Errorf("no outcome %s", name)
		}
	}
	if v := got["coredns_ttlfloor_zero_ttl_responses_total"].GetMetric()[0].GetCounter().GetValue(); v != 1 {
		t.Errorf("zero_ttl_responses_total is %v, want 1", v)
	}
	for name, want := range map[string]struct {
		sum     float64
		buckets map[float64]uint64
	}{
		"coredns_ttlfloor_received_ttl_seconds": {100_030, map[float64]uint64{0: 1, 20: 1, 30: 2, 86400: 2}},
		"coredns_ttlfloor_served_ttl_seconds":   {100_064, map[float64]uint64{0: 0, 30: 0, 40: 2, 86400: 2}},
	} {
		h := got[name].GetMetric()[0].GetHistogram()
		if h.GetSampleCount() != 3 || h.GetSampleSum() != want.sum {
			t.Errorf("%s has count %d and sum %v, want 3 and %v", name, h.GetSampleCount(), h.GetSampleSum(), want.sum)
		}
		for _, b := range h.GetBucket() {
			if n, ok := want.buckets[b.GetUpperBound()]; ok && b.GetCumulativeCount() != n {
				t.Errorf("%s has %d up to %v, want %d", name, b.GetCumulativeCount(), b.GetUpperBound(), n)
			}
		}
	}

	other := labels{server: "dns://:53", zone: "other."}
	s.get(other)
	s.retain(func(l labels) bool { return l == other })
	if n := len(gather()["coredns_ttlfloor_query_peak_ratio"].GetMetric()); n != 1 {
		t.Errorf("%d series are left, want 1", n)
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
