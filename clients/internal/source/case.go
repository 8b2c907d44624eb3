package source

import (
	"net"
	"net/netip"
	"slices"
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
	TTL0       = "ttl0"
	TTL1       = "ttl1"
	TTL5       = "ttl5"
	TTL20      = "ttl20" // of fleets
	TTL30      = "ttl30"
	Additional = "additional"
	Authority  = "authority"
	NXSOA      = "nxsoa"
	NX         = "nx"
	Failure    = "failure"
	Drop       = "drop"
	Cut        = "cut"
	Moves      = "moves"
	Week       = "week"
	SRV        = "srv" // of clients that look up SRV records
)

const (
	moves     = 11 * time.Second // after which the answer of Moves is another address
	high, low = 20, 7            // TTLs of the cases of sections

	// WeekTTL is the TTL of Week, in seconds.
	WeekTTL = 7 * 24 * 60 * 60
)

// Cases are all of them.
var Cases = []Case{
	{TTL0, "TTL 0", positive(0)},
	{TTL1, "TTL 1", positive(1)},
	{TTL5, "TTL 5", positive(5)},
	{TTL30, "TTL 30", positive(30)},
	{Additional, "TTL 20, in the additional section 7", func(m *dns.Msg, q dns.Question, at time.Duration) {
		positive(high)(m, q, at)
		m.Extra = append(m.Extra, a("glue."+Zone, low, net.IPv4(127, 1, 0, 9)))
	}},
	{Authority, "TTL 20, in the authority section 7", func(m *dns.Msg, q dns.Question, at time.Duration) {
		positive(high)(m, q, at)
		m.Ns = append(m.Ns, &dns.NS{Hdr: header(Zone, dns.TypeNS, low), Ns: "ns." + Zone})
	}},
	{NXSOA, "NXDOMAIN, SOA with TTL and MINIMUM 5", func(m *dns.Msg, _ dns.Question, _ time.Duration) {
		m.Rcode = dns.RcodeNameError
		m.Ns = append(m.Ns, soa(5))
	}},
	{NX, "NXDOMAIN without SOA", func(m *dns.Msg, _ dns.Question, _ time.Duration) { m.Rcode = dns.RcodeNameError }},
	{Failure, "SERVFAIL", func(m *dns.Msg, _ dns.Question, _ time.Duration) { m.Rcode = dns.RcodeServerFailure }},
	{Drop, "no answer", nil},
	{Cut, "TC over UDP, TTL 5 over TCP", positive(5)},
	{Week, "TTL of a week", positive(WeekTTL)},
	{SRV, "SRV with TTL 20, in the additional section its address with 7", func(m *dns.Msg, q dns.Question, at time.Duration) {
		positive(high)(m, q, at)
		m.Extra = append(m.Extra, a("target."+Zone, low, net.IPv4(127, 1, 0, 1)))
	}},
	{Moves, "TTL 5, another address every 11 s", positive(5)},
}

// Addresses are those that names have. Moves has one after the other.
func Addresses() (all []netip.Addr) {
	for i := range byte(20) {
		all = append(all, netip.AddrFrom4([4]byte{127, 1, 0, 1 + i}))
	}
	return all
}

// address is what a name has at a time after the start of the server.
func address(label string, at time.Duration) net.IP {
	all := Addresses()
	n := 0
	if label == Moves {
		n = min(int(at/moves), len(all)-1)
	}
	return all[n].AsSlice()
}

// Stale returns for how long Moves has had another address than the one that is used, at a
// time after the start of the server.
func Stale(used string, at time.Duration) time.Duration {
	a, err := netip.ParseAddr(used)
	if err != nil {
		return 0
	}
	n := slices.Index(Addresses(), a)
	return max(at-time.Duration(n+1)*moves, 0)
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
			m.Answer = append(m.Answer, a(q.Name, ttl, address(Label(strings.ToLower(q.Name)), at)))
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
