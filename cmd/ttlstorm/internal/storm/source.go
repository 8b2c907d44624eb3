package storm

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/plugin"

	"github.com/miekg/dns"
)

// Source is the upstream of a run: headless services of three endpoints, one of
// which is replaced by a new one at every change. It is a plugin, and safe for
// concurrent use.
type Source struct {
	TTL     uint32            // seconds
	TTLs    map[string]uint32 // of the names that have one of their own
	Change  time.Duration     // between two changes; 0 is never
	DownAt  time.Duration     // since the start; it fails from then on
	UpAt    time.Duration     // since the start; it answers again. 0 is never down
	start   atomic.Int64      // Unix time, in nanoseconds
	queries atomic.Int64
}

// Start begins a run now.
func (s *Source) Start() { s.start.Store(time.Now().UnixNano()) }

// Queries returns how many were asked since the source was made.
func (s *Source) Queries() int { return int(s.queries.Load()) }

// endpoints is how many a service has.
const endpoints = 3

// Version returns how many changes there were at a time since the start.
func (s *Source) Version(at time.Duration) int {
	if s.Change == 0 || at < 0 {
		return 0
	}
	// Not at multiples of the interval, which a TTL may fall in with.
	return int((at + s.Change/2) / s.Change)
}

// Removed returns when, since the start, a version ended.
func (s *Source) Removed(version int) time.Duration {
	return time.Duration(version+1)*s.Change - s.Change/2
}

// down tells whether the source fails at a time since the start.
func (s *Source) down(at time.Duration) bool { return at >= s.DownAt && at < s.UpAt }

// Name implements plugin.Handler.
func (s *Source) Name() string { return "source" }

// ServeDNS implements plugin.Handler. While it is down it answers SERVFAIL.
func (s *Source) ServeDNS(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	s.queries.Add(1)
	at := time.Duration(time.Now().UnixNano() - s.start.Load())
	if s.down(at) {
		return dns.RcodeServerFailure, plugin.Error("source", errDown)
	}
	m := s.answer(r, s.Version(at))
	return m.Rcode, w.WriteMsg(m)
}

var errDown = errors.New("down")

// answer answers a query as of a version.
func (s *Source) answer(r *dns.Msg, version int) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(r)
	m.Authoritative = true
	q := r.Question[0]
	ttl, ok := s.TTLs[q.Name]
	if !ok {
		ttl = s.TTL
	}
	header := func(rrtype uint16) dns.RR_Header {
		return dns.RR_Header{Name: q.Name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
	}
	switch q.Qtype {
	case dns.TypeSRV:
		for i := range endpoints {
			v := version + i
			m.Answer = append(m.Answer, &dns.SRV{
				Hdr: header(dns.TypeSRV), Weight: 33, Port: 8086,
				Target: "10-0-" + strconv.Itoa(v/256) + "-" + strconv.Itoa(v%256) + "." + q.Name,
			})
		}
	case dns.TypeA:
		for i := range endpoints {
			v := version + i
			m.Answer = append(m.Answer, &dns.A{Hdr: header(dns.TypeA), A: net.IPv4(10, 0, byte(v>>8), byte(v))}) // #nosec G115 -- octets
		}
	default:
		soa := &dns.SOA{Hdr: header(dns.TypeSOA), Ns: "ns." + q.Name, Mbox: "hostmaster." + q.Name,
			Serial: 1, Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: ttl}
		m.Ns = append(m.Ns, soa)
	}
	return m
}

// VersionOf returns the version that an answer of a source is of, or -1.
func VersionOf(m *dns.Msg) int {
	if m == nil || len(m.Answer) == 0 {
		return -1
	}
	lowest := -1
	for _, rr := range m.Answer {
		v := -1
		switch rr := rr.(type) {
		case *dns.A:
			if ip := rr.A.To4(); ip != nil {
				v = int(ip[2])<<8 | int(ip[3])
			}
		case *dns.SRV:
			v = fromTarget(rr.Target)
		}
		if v >= 0 && (lowest < 0 || v < lowest) {
			lowest = v
		}
	}
	return lowest
}

// fromTarget reads an address out of the first label of a name, as the proxies
// do.
func fromTarget(target string) int {
	label, _, _ := strings.Cut(target, ".")
	octets := strings.SplitN(label, "-", 5)
	if len(octets) != 4 {
		return -1
	}
	high, err := strconv.Atoi(octets[2])
	low, err2 := strconv.Atoi(octets[3])
	if err != nil || err2 != nil {
		return -1
	}
	return high<<8 | low
}
