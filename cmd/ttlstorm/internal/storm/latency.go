package storm

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// What a latency is counted by: microseconds up to a minute, which is far above what a
// client waits for, with three significant digits.
const (
	latencyUnit   = time.Microsecond
	latencyMost   = time.Minute
	latencyDigits = 3
)

// Latency is how long clients waited for a response, from before its connection was made
// where it has one of its own. What had no response is an error and not counted.
type Latency struct {
	N   int64         `json:"n"`
	P50 time.Duration `json:"p50_ns"`
	P90 time.Duration `json:"p90_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`
}

// Latency counts how long a client waited for a response.
func (r *Record) Latency(d time.Duration) {
	if r.latency == nil {
		r.latency = hdrhistogram.New(1, int64(latencyMost/latencyUnit), latencyDigits)
	}
	_ = r.latency.RecordValue(int64(min(max(d, latencyUnit), latencyMost) / latencyUnit)) // within its range
}

func latencies(h *hdrhistogram.Histogram) Latency {
	if h == nil {
		return Latency{}
	}
	at := func(percent float64) time.Duration { return time.Duration(h.ValueAtQuantile(percent)) * latencyUnit }
	return Latency{N: h.TotalCount(), P50: at(50), P90: at(90), P99: at(99), Max: time.Duration(h.Max()) * latencyUnit}
}
