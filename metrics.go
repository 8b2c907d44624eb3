package ttlfloor

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"

	"github.com/prometheus/client_golang/prometheus"
)

// outcome is what was done to a response.
type outcome int

const (
	unchanged outcome = iota
	raised            // some TTL was below the floor
	jittered          // none was, the TTL was moved within its window only
	capped            // a ceiling took part
	raw               // a packed message, not looked into
	outcomes          // how many there are
)

var outcomeNames = [outcomes]string{"unchanged", "raised", "jittered", "capped", "raw"}

var (
	responsesDesc = newDesc("responses_total",
		"Counter of responses to queries that a rule applies to, by what was done to them.", "outcome")
	zeroTTLDesc = newDesc("zero_ttl_responses_total",
		"Counter of responses that came with a TTL of 0.")
	receivedDesc = newDesc("received_ttl_seconds",
		"Histogram of the lowest TTL of each response as it came.")
	servedDesc = newDesc("served_ttl_seconds",
		"Histogram of the lowest TTL of each response as it went out.")
	dispersionDesc = newDesc("query_dispersion_ratio",
		"Variance over mean of queries per second in the last 60 seconds: about 1 for independent clients, far above 1 for a herd.")
	peakDesc = newDesc("query_peak_ratio",
		"Queries in the busiest second over the mean second in the last 60 seconds.")

	meters = &meterSet{byLabels: make(map[labels]*meter)}
)

func init() { prometheus.MustRegister(meters) }

func newDesc(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(plugin.Namespace, pluginName, name), help,
		append([]string{"server", "zone", "view"}, more...), nil)
}

// labels are the values of the labels that all metrics have.
type labels struct{ server, zone, view string }

// meter counts what has one set of labels. It takes no lock and is safe for
// concurrent use.
type meter struct {
	responses        [outcomes]atomic.Uint64
	zeroTTL          atomic.Uint64
	received, served histogram
	arrivals         arrivals
}

// count counts a query, in a second of Unix time, and its response.
func (m *meter) count(second int64, o outcome) {
	m.arrivals.count(second)
	m.responses[o].Add(1)
}

// observe records the lowest TTL of a response in seconds, before and after.
func (m *meter) observe(received, served uint32) {
	if received == 0 {
		m.zeroTTL.Add(1)
	}
	m.received.observe(received)
	m.served.observe(served)
}

// collect sends the metrics as they are at a second of Unix time.
func (m *meter) collect(ch chan<- prometheus.Metric, l labels, now int64) {
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, v float64, more ...string) {
		ch <- prometheus.MustNewConstMetric(desc, kind, v, append([]string{l.server, l.zone, l.view}, more...)...)
	}
	for o, name := range outcomeNames {
		send(responsesDesc, prometheus.CounterValue, float64(m.responses[o].Load()), name)
	}
	send(zeroTTLDesc, prometheus.CounterValue, float64(m.zeroTTL.Load()))
	dispersion, peak := m.arrivals.ratios(now)
	send(dispersionDesc, prometheus.GaugeValue, dispersion)
	send(peakDesc, prometheus.GaugeValue, peak)
	ch <- m.received.metric(receivedDesc, l)
	ch <- m.served.metric(servedDesc, l)
}

// bounds are the upper bounds of the histograms' buckets, in seconds.
var bounds = [...]uint32{0, 1, 2, 5, 10, 15, 20, 30, 40, 50, 60, 90, 120, 300, 600, 1800, 3600, 86400}

// histogram counts TTLs. That of the Prometheus client would be a tenth of the
// time that a response takes here.
type histogram struct {
	buckets [len(bounds) + 1]atomic.Uint64 // not cumulative; the last is for those above all bounds
	sum     atomic.Uint64
}

func (h *histogram) observe(ttl uint32) {
	i := 0
	for i < len(bounds) && ttl > bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(uint64(ttl))
}

func (h *histogram) metric(desc *prometheus.Desc, l labels) prometheus.Metric {
	cumulative := make(map[float64]uint64, len(bounds))
	n := uint64(0)
	for i, bound := range bounds {
		n += h.buckets[i].Load()
		cumulative[float64(bound)] = n
	}
	n += h.buckets[len(bounds)].Load()
	return prometheus.MustNewConstHistogram(desc, n, float64(h.sum.Load()), cumulative, l.server, l.zone, l.view)
}

// meterSet is the meters of all handlers, and collects them. A meter outlives
// the handler that asked for it first, so that a reload does not break a series
// that goes on.
type meterSet struct {
	mu       sync.Mutex
	byLabels map[labels]*meter
}

func (s *meterSet) get(l labels) *meter {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.byLabels[l]
	if m == nil {
		m = &meter{arrivals: arrivals{since: time.Now().Unix()}}
		s.byLabels[l] = m
	}
	return m
}

// retain drops the meters that keep does not hold for.
func (s *meterSet) retain(keep func(labels) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.byLabels, func(l labels, _ *meter) bool { return !keep(l) })
}

// Describe implements prometheus.Collector.
func (s *meterSet) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{responsesDesc, zeroTTLDesc, receivedDesc, servedDesc, dispersionDesc, peakDesc} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (s *meterSet) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	all := maps.Clone(s.byLabels)
	s.mu.Unlock()
	now := time.Now().Unix()
	for l, m := range all {
		m.collect(ch, l, now)
	}
}

// serverMeter is a zone's meter for one server. A zone has few of them, so that
// comparing pointers finds one sooner than a map does.
type serverMeter struct {
	by    any // *dnsserver.Server
	meter *meter
}

// meter returns the meter of a zone for the server that handles a query.
func (t *TTLFloor) meter(ctx context.Context, z *zone) *meter {
	server := ctx.Value(dnsserver.Key{})
	all := z.meters.Load()
	if all != nil {
		for i := range *all {
			if (*all)[i].by == server {
				return (*all)[i].meter
			}
		}
	}
	return t.addMeter(z, server, all)
}

// addMeter is for a server that is not among all. Where two queries add theirs
// at once, one is kept, and both have the same meter.
func (t *TTLFloor) addMeter(z *zone, server any, all *[]serverMeter) *meter {
	l := labels{zone: z.name}
	if s, ok := server.(*dnsserver.Server); ok {
		l.server = s.Addr
	}
	if p := t.place.Load(); p != nil {
		l.view = p.view
	}
	more := []serverMeter{{server, meters.get(l)}}
	if all != nil {
		more = append(more, *all...)
	}
	z.meters.CompareAndSwap(all, &more)
	return more[0].meter
}
