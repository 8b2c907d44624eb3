package ttlfloor

import (
	"slices"
	"sync"
	"time"

	"github.com/coredns/coredns/plugin"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// outcome is what was done to a response.
type outcome int

const (
	unchanged outcome = iota
	raised            // some TTL was below the floor
	jittered          // none was, some TTL changed
	capped            // DNSSEC or max kept a TTL below what it would have had
	raw               // a packed message, not looked into
	outcomes          // how many there are
)

var outcomeNames = [outcomes]string{"unchanged", "raised", "jittered", "capped", "raw"}

var (
	labelNames = []string{"server", "zone", "view"}
	ttlBuckets = []float64{0, 1, 2, 5, 10, 15, 20, 30, 40, 50, 60, 90, 120, 300, 600, 1800, 3600, 86400} // seconds

	responsesTotal = promauto.NewCounterVec(prometheus.CounterOpts(opts("responses_total",
		"Counter of responses to queries that a rule applies to, by what was done to them.")), append(labelNames, "outcome"))
	zeroTTLTotal = promauto.NewCounterVec(prometheus.CounterOpts(opts("zero_ttl_responses_total",
		"Counter of responses that came with a TTL of 0.")), labelNames)
	receivedTTL = newTTLHistogram("received_ttl_seconds", "Histogram of the lowest TTL of each response as it came.")
	servedTTL   = newTTLHistogram("served_ttl_seconds", "Histogram of the lowest TTL of each response as it went out.")
	observing   = promauto.NewGaugeVec(prometheus.GaugeOpts(opts("observing",
		"1 where a rule of the zone decides and counts, and changes nothing.")), labelNames)

	returnsTotal = promauto.NewCounterVec(prometheus.CounterOpts(opts("returns_total",
		"Counter of queries that a schedule made an appointment for, by how their client came back.")), append(labelNames, "kind"))

	vectors = []interface {
		DeletePartialMatch(labels prometheus.Labels) int
	}{responsesTotal, zeroTTLTotal, receivedTTL, servedTTL, observing, returnsTotal}

	// Of arrivals, in the order of spread.
	spreadDescs = [...]*prometheus.Desc{
		newDesc("query_dispersion_ratio", "Variance over mean of queries per second, in the 60 seconds up to the last query: about 1 for independent clients, far above 1 for a herd."),
		newDesc("query_peak_ratio", "Queries in the busiest second over the mean second, in the 60 seconds up to the last query."),
		newDesc("query_peak", "Queries in the busiest of the 60 seconds up to the last query."),
	}

	followersDesc = newDesc("followers", "Clients that keep their appointments, as far as the schedule knows; one counts once for each name and type that it asks for.")

	meters = newMeterSet()
)

func opts(name, help string) prometheus.Opts {
	return prometheus.Opts{Namespace: plugin.Namespace, Subsystem: pluginName, Name: name, Help: help}
}

func newTTLHistogram(name, help string) *prometheus.HistogramVec {
	o := opts(name, help)
	return promauto.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: o.Namespace, Subsystem: o.Subsystem, Name: o.Name, Help: o.Help, Buckets: ttlBuckets,
	}, labelNames)
}

func newDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(plugin.Namespace, pluginName, name), help, labelNames, nil)
}

// labels are the values of labelNames.
type labels [3]string

// meter has the series of one set of labels.
type meter struct {
	labels
	arrivals
	number           uint32 // of all that there were
	returns          [comebacks]prometheus.Counter
	responses        [outcomes]prometheus.Counter
	zeroTTL          prometheus.Counter
	received, served prometheus.Observer
}

// ttl records the lowest TTL of a response, before and after.
func (m *meter) ttl(received, served uint32) {
	if received == 0 {
		m.zeroTTL.Inc()
	}
	m.received.Observe(float64(received))
	m.served.Observe(float64(served))
}

// meterSet is the meters of all handlers. A meter outlives the handler that asked
// for it first, so that a reload does not break a series that goes on.
type meterSet struct {
	mu        sync.Mutex
	byLabels  map[labels]*meter
	made      uint32             // how many there were
	schedules map[*schedule]bool // of the instances in charge
}

func newMeterSet() *meterSet {
	s := &meterSet{byLabels: make(map[labels]*meter)}
	prometheus.MustRegister(s)
	return s
}

func (s *meterSet) get(l labels) *meter {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.byLabels[l]
	if m == nil {
		m = &meter{
			number: s.made, labels: l, arrivals: arrivals{epoch: time.Now()}, zeroTTL: zeroTTLTotal.WithLabelValues(l[:]...),
			received: receivedTTL.WithLabelValues(l[:]...), served: servedTTL.WithLabelValues(l[:]...),
		}
		for o, name := range outcomeNames {
			m.responses[o] = responsesTotal.WithLabelValues(append(l[:], name)...)
		}
		for c, name := range comebackNames {
			m.returns[c] = returnsTotal.WithLabelValues(append(l[:], name)...)
		}
		s.made++
		s.byLabels[l] = m
	}
	return m
}

// settle gives every zone of the instances in charge its series, so that a rule that
// no query takes can be seen, too, and ends those that none of them has.
func (s *meterSet) settle() {
	used, schedules := make(map[*meter]bool), make(map[*schedule]bool)
	for t := range handlers() {
		for _, r := range t.rules {
			schedules[r.schedule] = true
		}
		for _, z := range t.zones.byName {
			for _, server := range t.servers {
				observing.WithLabelValues(t.meter(z, server).labels[:]...).Set(z.observing)
			}
			for _, m := range *z.meters.Load() {
				used[m] = true
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schedules = schedules
	for l, m := range s.byLabels {
		if !used[m] {
			delete(s.byLabels, l)
			for _, v := range vectors {
				v.DeletePartialMatch(prometheus.Labels{"server": l[0], "zone": l[1], "view": l[2]})
			}
		}
	}
}

// Describe implements prometheus.Collector.
func (s *meterSet) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range spreadDescs {
		ch <- desc
	}
	ch <- followersDesc
}

// Collect implements prometheus.Collector, for what no library has.
func (s *meterSet) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	followers := make(map[uint32]int)
	for schedule := range s.schedules {
		schedule.followers(func(meter uint32) { followers[meter]++ })
	}
	for l, m := range s.byLabels {
		ch <- prometheus.MustNewConstMetric(followersDesc, prometheus.GaugeValue, float64(followers[m.number]), l[:]...)
		of := m.spread(time.Since(m.epoch))
		for i, v := range [...]float64{of.dispersion, of.ratio, of.peak} {
			ch <- prometheus.MustNewConstMetric(spreadDescs[i], prometheus.GaugeValue, v, l[:]...)
		}
	}
}

// meter returns the meter of a zone for a server. A zone has few of them, so that a
// loop finds one sooner than a map does.
func (t *TTLFloor) meter(z *zone, server string) *meter {
	all := z.meters.Load()
	for _, m := range *all {
		if m.labels[0] == server {
			return m
		}
	}
	m := meters.get(labels{server, z.name, t.view})
	more := append(slices.Clone(*all), m)
	z.meters.CompareAndSwap(all, &more) // where two add one at once, the other does so again
	return m
}
