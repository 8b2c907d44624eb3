package lab

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/test"

	"github.com/miekg/dns"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/client"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

// address is an IPv4 address.
type address uint32

// The first addresses of those who ask. There is room for as many as a run has.
const (
	ofProxies address = 10 << 24
	ofOthers  address = 100 << 24
	ofNodes   address = 192<<24 | 168<<16
)

// port returns a port of an address.
func (a address) port(n uint16) netip.AddrPort {
	var octets [4]byte
	binary.BigEndian.PutUint32(octets[:], uint32(a))
	return netip.AddrPortFrom(netip.AddrFrom4(octets), n)
}

// serve asks a handler as CoreDNS's server does: a plugin that has not written
// leaves that to the server.
func serve(h plugin.Handler, q *dns.Msg, from netip.AddrPort, tcp bool) *dns.Msg {
	w := writer{from: from, tcp: tcp}
	rcode, _ := h.ServeDNS(context.Background(), &w, q)
	if w.msg == nil && !plugin.ClientWrite(rcode) {
		return new(dns.Msg).SetRcode(q, rcode)
	}
	return w.msg
}

// writer keeps the response.
type writer struct {
	test.ResponseWriter
	from netip.AddrPort
	tcp  bool
	msg  *dns.Msg
}

// RemoteAddr implements dns.ResponseWriter.
func (w *writer) RemoteAddr() net.Addr {
	if w.tcp {
		return net.TCPAddrFromAddrPort(w.from)
	}
	return net.UDPAddrFromAddrPort(w.from)
}

// LocalAddr implements dns.ResponseWriter.
func (w *writer) LocalAddr() net.Addr {
	w.TCP = w.tcp
	return w.ResponseWriter.LocalAddr()
}

// WriteMsg implements dns.ResponseWriter.
func (w *writer) WriteMsg(m *dns.Msg) error {
	w.msg = m
	return nil
}

func query(name string, qtype uint16) *dns.Msg {
	return &dns.Msg{
		MsgHdr:   dns.MsgHdr{Id: 1, RecursionDesired: true},
		Question: []dns.Question{{Name: name, Qtype: qtype, Qclass: dns.ClassINET}},
	}
}

// truncate returns what a response becomes that does not fit into a datagram.
func truncate(m *dns.Msg) *dns.Msg {
	m = m.Copy()
	m.Answer, m.Ns, m.Extra, m.Truncated = nil, nil, nil, true
	return m
}

// probe stands directly below ttlfloor and notes the TTL that a response has there.
// It notes that of one response, the last, since a run has one on its way at a time.
type probe struct {
	plugin.Handler
	ttl *received
}

// received is a TTL, in seconds, if there was one.
type received struct {
	ttl uint32
	ok  bool
}

// of returns the TTLs of a response that was handed out, and forgets that it was
// noted.
func (r *received) of(handed uint32) storm.TTLs {
	before := handed
	if r.ok {
		before = r.ttl
	}
	*r = received{}
	return storm.TTLs{Received: before, Handed: handed}
}

// ServeDNS implements plugin.Handler.
func (p probe) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	return p.Handler.ServeDNS(ctx, &probed{w, p.ttl, r.Question[0].Qtype}, r)
}

type probed struct {
	dns.ResponseWriter
	ttl   *received
	qtype uint16
}

// WriteMsg implements dns.ResponseWriter.
func (p *probed) WriteMsg(m *dns.Msg) error {
	p.ttl.ttl, p.ttl.ok = client.Positive(m, p.qtype)
	return p.ResponseWriter.WriteMsg(m)
}
