// Package ttlfloor is a CoreDNS plugin that raises zero and low TTLs to a floor
// and schedules the TTLs that it hands out.
//
// The failure: service-mesh proxies resolve a name, sleep for the TTL that they
// got and resolve again, for ever. A TTL of 0 makes them ask again at once; one
// cluster saw 95,000 queries in five minutes for two names. And a cache that
// counts down gives all clients the same expiry instant, so that a whole fleet
// comes back in the same second, for ever.
//
// The mechanism: per zone, the lowest TTL of a response is raised to a floor
// (rule.go has the arithmetic, rewrite.go applies it to a message) and moved to
// a second of a window above it. A TTL is an appointment, and a server sees all
// of its clients, so it gives out the second in which the fewest others will be
// back (schedule.go).
//
// The evidence: TestHerd runs a fleet that starts all at once against the real
// *cache* in virtual time, and prints the busiest second over the mean, minute
// by minute, with and without.
package ttlfloor

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/plugin"

	"github.com/miekg/dns"
)

const pluginName = "ttlfloor"

// TTLFloor raises and spreads the TTLs of the responses that pass through it.
// It does not change after startup but for what is said to.
type TTLFloor struct {
	Next plugin.Handler
	Draw func(n uint32) uint32 // a number below n, for jitter random; nil is that of math/rand/v2

	zones zones
	epoch time.Time             // second 0 of the schedules, on the clock that does not go back
	place atomic.Pointer[place] // where it runs; known only when the servers are made
}

func newHandler(rules []*rule) *TTLFloor {
	return &TTLFloor{zones: newZones(rules), epoch: time.Now()}
}

// Name implements plugin.Handler.
func (t *TTLFloor) Name() string { return pluginName }

// ServeDNS implements plugin.Handler.
func (t *TTLFloor) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	zone, rule := t.match(ctx, r)
	if rule == nil {
		return plugin.NextOrFailure(pluginName, t.Next, ctx, w, r)
	}
	growStack()
	rw := &responseWriter{
		ResponseWriter: w, Context: ctx,
		handler: t, rule: rule, meter: t.meter(ctx, zone), qtype: r.Question[0].Qtype,
	}
	return plugin.NextOrFailure(pluginName, t.Next, rw, rw, r)
}

// growStack makes the stack of a query's goroutine, which miekg/dns starts for
// each packet, grow here if it has less than 2 KiB left. It has to grow for
// *cache* and most others that answer in any case, and what that costs depends on
// the frames that are on it by then: later, it is 3 % of the CPU time of a query.
//
//go:noinline
func growStack() {
	var room [2048]byte
	use(&room)
}

//go:noinline
func use(*[2048]byte) {}

// match returns the rule for a query and its zone, or nil if the response is
// to be left alone.
func (t *TTLFloor) match(ctx context.Context, r *dns.Msg) (*zone, *rule) {
	if r == nil || r.Opcode != dns.OpcodeQuery || len(r.Question) == 0 {
		return nil, nil
	}
	q := &r.Question[0]
	if q.Qclass != dns.ClassINET || q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR {
		return nil, nil
	}
	if ctx.Value(innerKey{}) != nil {
		return nil, nil
	}
	return t.zones.match(q.Name, q.Qtype)
}

// responseWriter rewrites the response to one query on its way out.
//
// It is the context of the plugins below, too, to mark it: some ask the server
// for a part of their answer, such as the target of a CNAME. Were those lookups
// jittered, *cache* would store the result and hand it to everyone.
type responseWriter struct {
	dns.ResponseWriter
	context.Context

	handler *TTLFloor
	rule    *rule
	meter   *meter
	qtype   uint16
	out     dns.Msg // the response, where it was changed
}

// innerKey is the context key that is set below a responseWriter.
type innerKey struct{}

// Value implements context.Context.
func (w *responseWriter) Value(key any) any {
	if key == (innerKey{}) {
		return w
	}
	return w.Context.Value(key)
}

// WriteMsg implements dns.ResponseWriter.
func (w *responseWriter) WriteMsg(m *dns.Msg) error {
	if m == nil {
		return w.ResponseWriter.WriteMsg(m)
	}
	t, now := w.handler, time.Now()
	r := w.rule.read(m, w.qtype, now.Unix())
	out, ttl, result := m, r.lowest, unchanged
	if !r.empty && (!r.denial || w.rule.negative > 0) {
		lo, hi, capped := r.window(r.base, r.least, r.ceiling)
		chosen := w.rule.choose(now.Sub(t.epoch), lo, hi, r.denial, t.Draw)
		if out = r.rewrite(chosen, &w.out); out != m {
			ttl, result = chosen, r.outcome(capped)
		}
	}
	w.meter.count(now.Unix(), result)
	if !r.empty {
		w.meter.observe(r.lowest, ttl)
		if s, ok := w.Context.Value(seenKey{t}).(*seen); ok {
			s.set(r.lowest, ttl)
		}
	}
	return w.ResponseWriter.WriteMsg(out)
}

// Write implements dns.ResponseWriter. A packed message passes as it is.
func (w *responseWriter) Write(b []byte) (int, error) {
	w.meter.count(time.Now().Unix(), raw)
	return w.ResponseWriter.Write(b)
}

// choose picks a TTL from lo to hi, both included, at a time since the epoch.
func (r *rule) choose(since time.Duration, lo, hi uint32, denial bool, draw func(uint32) uint32) uint32 {
	tick := int64(since / (time.Second / ticks))
	switch {
	case lo == hi && r.jitter != scheduled:
		return lo
	case r.jitter != scheduled || hi >= horizon:
		if draw == nil {
			draw = rand.Uint32N // #nosec G404 -- chance, not a secret
		}
		return lo + draw(hi-lo+1)
	case denial:
		return r.negatives.book(tick, lo, hi)
	}
	return r.positives.book(tick, lo, hi)
}
