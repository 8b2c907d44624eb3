package source

import (
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Zone is that of all names.
const Zone = "case.example."

// Case is what a name answers. The name is Label.Zone, with any labels before it.
type Case struct {
	Label  string
	What   string
	answer func(m *dns.Msg, q dns.Question, at time.Duration)
}

// Labels of cases.
const (
	TTL0, TTL1, TTL5, TTL30           = "ttl0", "ttl1", "ttl5", "ttl30"
	TTL20                             = "ttl20" // of fleets
	Additional, Authority             = "additional", "authority"
	NXSOA, NX, Failure, Drop, Cut     = "nxsoa", "nx", "failure", "drop", "cut"
	Moves                             = "moves"
	moves                             = 12 * time.Second // after which the answer of Moves is another one
	high, low                     int = 20, 7            // TTLs of the cases of sections
)

// Cases are all of them.
var Cases = []Case{
	{TTL0, "TTL 0", positive(0)},
	{TTL1, "TTL 1", positive(1)},
	{TTL5, "TTL 5", positive(5)},
	{TTL30, "TTL 30", positive(30)},
	{Additional, "TTL 20, in the additional section 7", func(m *dns.Msg, q dns.Question, at time.Duration) {
		positive(uint32(high))(m, q, at)
		m.Extra = append(m.Extra, a("glue."+Zone, uint32(low), net.IPv4(127, 1, 0, 9)))
	}},
	{Authority, "TTL 20, in the authority section 7", func(m *dns.Msg, q dns.Question, at time.Duration) {
		positive(uint32(high))(m, q, at)
		m.Ns = append(m.Ns, &dns.NS{Hdr: header(Zone, dns.TypeNS, uint32(low)), Ns: "ns." + Zone})
	}},
	{NXSOA, "NXDOMAIN, SOA with TTL and MINIMUM 5", func(m *dns.Msg, _ dns.Question, _ time.Duration) {
		m.Rcode = dns.RcodeNameError
		m.Ns = append(m.Ns, soa(5))
	}},
	{NX, "NXDOMAIN without SOA", func(m *dns.Msg, _ dns.Question, _ time.Duration) { m.Rcode = dns.RcodeNameError }},
	{Failure, "SERVFAIL", func(m *dns.Msg, _ dns.Question, _ time.Duration) { m.Rcode = dns.RcodeServerFailure }},
	{Drop, "no answer", nil},
	{Cut, "TC over UDP, TTL 5 over TCP", positive(5)},
	{Moves, "TTL 5, another address every 12 s", positive(5)},
}

// Address is the one that a name has at a time after the start of the server: the first of
// two, or the other one.
func Address(label string, at time.Duration) net.IP {
	if label == Moves && int(at/moves)%2 == 1 {
		return net.IPv4(127, 1, 0, 2)
	}
	return net.IPv4(127, 1, 0, 1)
}

// Label is that of the case that a name is of, "" for none.
func Label(name string) string {
	rest, ok := strings.CutSuffix(name, "."+Zone)
	if !ok {
		return ""
	}
	return rest[strings.LastIndexByte(rest, '.')+1:]
}

func positive(ttl uint32) func(*dns.Msg, dns.Question, time.Duration) {
	return func(m *dns.Msg, q dns.Question, at time.Duration) {
		switch q.Qtype {
		case dns.TypeA:
			m.Answer = append(m.Answer, a(q.Name, ttl, Address(Label(strings.ToLower(q.Name)), at)))
		case dns.TypeSRV:
			m.Answer = append(m.Answer, &dns.SRV{Hdr: header(q.Name, dns.TypeSRV, ttl), Port: Port, Target: "target." + Zone})
		default:
			m.Ns = append(m.Ns, soa(max(ttl, 1)))
		}
	}
}

// Port is where backends listen.
const Port = 8080

func a(name string, ttl uint32, ip net.IP) dns.RR {
	return &dns.A{Hdr: header(name, dns.TypeA, ttl), A: ip}
}

func soa(ttl uint32) dns.RR {
	return &dns.SOA{
		Hdr: header(Zone, dns.TypeSOA, ttl), Ns: "ns." + Zone, Mbox: "hostmaster." + Zone,
		Serial: 1, Refresh: 7200, Retry: 1800, Expire: 86400, Minttl: ttl,
	}
}

func header(name string, qtype uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: qtype, Class: dns.ClassINET, Ttl: ttl}
}

// answer is what a query gets, nil for none.
func answer(r *dns.Msg, tcp bool, at time.Duration) *dns.Msg {
	q := r.Question[0]
	m := new(dns.Msg).SetReply(r)
	m.Authoritative, m.RecursionAvailable = true, true
	label := Label(strings.ToLower(q.Name))
	if label == TTL20 {
		positive(20)(m, q, at)
		return m
	}
	for _, c := range Cases {
		switch {
		case c.Label != label:
		case c.answer == nil:
			return nil
		case label == Cut && !tcp:
			m.Truncated = true
			return m
		default:
			c.answer(m, q, at)
			return m
		}
	}
	switch strings.ToLower(q.Name) {
	case "target." + Zone, "glue." + Zone, "ns." + Zone:
		positive(300)(m, q, 0)
	case Zone:
		if q.Qtype == dns.TypeNS {
			m.Answer = append(m.Answer, &dns.NS{Hdr: header(Zone, dns.TypeNS, 300), Ns: "ns." + Zone})
			break
		}
		m.Ns = append(m.Ns, soa(300))
	default:
		if dns.IsSubDomain(Zone, q.Name) {
			m.Ns = append(m.Ns, soa(300))
			break
		}
		m.Rcode = dns.RcodeNameError
		m.Ns = append(m.Ns, soa(300))
	}
	return m
}

// Change returns the number of the last change of Moves at a time after the start of the
// server, and how long ago it was.
func Change(at time.Duration) (n int, since time.Duration) {
	return int(at / moves), at % moves
}
