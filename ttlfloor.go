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
// and moved to a second of a window above it: message.go reads what came, rule.go
// decides, message.go writes what goes out. A TTL is an appointment, and a server
// sees all of its clients. So it gives out the second in which the fewest others
// will be back (schedule.go, ring.go), and remembers which clients keep their
// appointments (clients.go). docs/design.md says why.
//
// The evidence: TestHerd runs a fleet that starts all at once against the real
// *cache* in virtual time, and prints the busiest second over the mean, minute
// by minute, with and without.
package ttlfloor

import (
	"context"
	"errors"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics"

	"github.com/miekg/dns"
)

const pluginName = "ttlfloor"

// TTLFloor raises and spreads the TTLs of the responses that pass through it.
// It is immutable after startup, but for the schedules of its rules.
type TTLFloor struct {
	Next plugin.Handler

	rules   []*rule
	zones   zones
	block   string   // keys of the server block
	view    string   // of the server block; known at startup
	servers []string // that have it, as CoreDNS labels its metrics with them; known at startup
}

// newHandler makes a handler of rules, with chance as a number below n.
func newHandler(rules []*rule, draw func(n uint32) uint32) *TTLFloor {
	for _, r := range rules {
		r.schedule = newSchedule(draw)
	}
	return &TTLFloor{rules: rules, zones: newZones(rules)}
}

// Name implements plugin.Handler.
func (t *TTLFloor) Name() string { return pluginName }

// ServeDNS implements plugin.Handler.
func (t *TTLFloor) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	zone, rule := t.match(ctx, r)
	if rule == nil {
		return plugin.NextOrFailure(pluginName, t.Next, ctx, w, r)
	}
	rw := &responseWriter{
		ResponseWriter: w, rule: rule, meter: t.meter(zone, metrics.WithServer(ctx)), seen: seenIn(ctx, t),
		qname: r.Question[0].Name, qtype: r.Question[0].Qtype,
	}
	rw.arrived = time.Since(rw.meter.epoch)
	rw.meter.count(rw.arrived)
	return plugin.NextOrFailure(pluginName, t.Next, ctx, rw, r)
}

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
type responseWriter struct {
	dns.ResponseWriter

	rule    *rule
	meter   *meter
	seen    *seen
	arrived time.Duration // since the meter's epoch
	qname   string
	qtype   uint16
	booked  bool          // an appointment was made
	delay   time.Duration // for which the response is held
	used    bool          // out is taken
	out     dns.Msg       // the first response that was changed
}

var errNoMessage = errors.New(pluginName + ": response message is nil")

// WriteMsg implements dns.ResponseWriter. It fails where m is nil.
func (w *responseWriter) WriteMsg(m *dns.Msg) error {
	if m == nil {
		return errNoMessage
	}
	var room [6]rrset
	r := reading{sets: room[:0]}
	r.read(m, w.qtype, time.Now)
	result, changes := w.rule.decide(r.sets, r.denial, w.choose)
	w.meter.responses[result].Inc()
	if received, served, greatest, ok := r.ttls(); ok {
		w.seen.set(received, served)
		w.meter.ttl(received, served)
		if w.rule.observe {
			greatest = max(received, greatest)
		}
		w.meter.serve(w.arrived, greatest)
	}
	if changes && !w.rule.observe {
		out := &w.out
		if w.used { // a plugin may write several responses, and keep them
			out = new(dns.Msg)
		}
		w.used = true
		m = r.write(m, out)
	}
	w.rule.schedule.smear.hold(w.delay)
	w.delay = 0
	return w.ResponseWriter.WriteMsg(m)
}

// Write implements dns.ResponseWriter. A packed message passes as it is.
func (w *responseWriter) Write(b []byte) (int, error) {
	w.meter.responses[raw].Inc()
	return w.ResponseWriter.Write(b)
}

// choose picks a TTL for a response that goes out now.
func (w *responseWriter) choose(c choice) uint32 {
	j, s := w.rule.jitter, w.rule.schedule
	switch {
	case j == off || c.hi == 0 || j == random && c.lo == c.hi:
		return c.lo
	case j == random || c.hi >= horizon:
		return c.lo + s.draw(c.hi-c.lo+1)
	}
	name := hash(w.qname) ^ uint32(w.qtype)<<16
	client, ok := clientHash(s.seed, w.RemoteAddr(), name)
	if !ok {
		return c.lo + s.draw(c.hi-c.lo+1)
	}
	c.lower = c.lower && w.booked
	w.booked = true
	v := visit{client: client, name: name, meter: w.meter.number, waited: time.Since(w.meter.epoch) - w.arrived, observe: w.rule.observe}
	if w.rule.smear > 0 && !v.observe && w.meter.mayHold(w.RemoteAddr()) {
		v.smear = w.rule.smear
	}
	ttl, delay, came := s.book(v, c)
	w.delay = max(w.delay, delay)
	if came != again {
		w.meter.returns[came].Inc()
		w.seen.came(came)
	}
	return ttl
}
