package e2e

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// The zone of the server that CoreDNS forwards to, in the place of those in the
// resolv.conf of a node: names with every kind of TTL, and those of Consul, which
// have a TTL of 0.
const upstreamZone = `
www.example.org.            300 IN A     192.0.2.1
www.example.org.            300 IN AAAA  2001:db8::1
low.example.org.              1 IN A     192.0.2.2
zero.example.org.             0 IN A     192.0.2.3
alias.example.org.           60 IN CNAME www.example.org.
example.org.                600 IN MX    10 mail.example.org.
_sip._udp.example.org.        0 IN SRV   0 100 5060 www.example.org.
api.service.consul.           0 IN A     192.0.2.20
api.service.consul.           0 IN SRV   1 1 8300 node1.node.dc1.consul.
`

var upstreamServer = sync.OnceValues(func() (string, error) {
	records := map[dns.Question][]dns.RR{}
	names := map[string]bool{}
	for line := range strings.Lines(upstreamZone) {
		rr, err := dns.NewRR(line)
		if err != nil {
			return "", err
		}
		if rr == nil {
			continue
		}
		h := rr.Header()
		q := dns.Question{Name: h.Name, Qtype: h.Rrtype, Qclass: h.Class}
		records[q], names[h.Name] = append(records[q], rr), true
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		q := r.Question[0]
		q.Name = strings.ToLower(q.Name)
		m.Answer = records[q]
		if cname := records[dns.Question{Name: q.Name, Qtype: dns.TypeCNAME, Qclass: q.Qclass}]; len(cname) > 0 && len(m.Answer) == 0 {
			target := dns.Question{Name: cname[0].(*dns.CNAME).Target, Qtype: q.Qtype, Qclass: q.Qclass}
			m.Answer = append(cname[:1:1], records[target]...)
		}
		if len(m.Answer) == 0 {
			if !names[q.Name] {
				m.Rcode = dns.RcodeNameError
			}
			soa, err := dns.NewRR("example.org. 900 IN SOA ns.example.org. hostmaster.example.org. 1 7200 1800 86400 2")
			if err != nil {
				panic(err)
			}
			m.Ns = []dns.RR{soa}
		}
		_ = w.WriteMsg(m) // to one who may have gone
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	c, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		return "", err
	}
	for _, s := range []*dns.Server{{Listener: l, Handler: handler}, {PacketConn: c, Handler: handler}} {
		go func() { _ = s.ActivateAndServe() }() // until the test ends
	}
	return l.Addr().String(), nil
})

// upstream returns its address; it is started once.
func upstream(t *testing.T) string {
	t.Helper()
	addr, err := upstreamServer()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}
