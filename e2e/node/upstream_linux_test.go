package node

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// startUpstream starts the server of the machine, which knows the world: www.example.org,
// and names that begin with "slow-", whose answers take slowly.
func startUpstream(t *testing.T) {
	t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		up := make(chan struct{})
		s := &dns.Server{Net: network, Addr: ":53", Handler: dns.HandlerFunc(world), NotifyStartedFunc: func() { close(up) }}
		go func() {
			if err := s.ListenAndServe(); err != nil {
				t.Errorf("the server of the machine: %v", err)
			}
		}()
		<-up
		t.Cleanup(func() { _ = s.Shutdown() })
	}
}

// slowly is longer than a second, and shorter than what a resolver waits for by itself.
const slowly = 1500 * time.Millisecond

func world(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	header := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 5}
	slow := strings.HasPrefix(q.Question[0].Name, "slow-")
	if slow {
		time.Sleep(slowly)
	}
	switch {
	case q.Question[0].Name != "www.example.org." && !slow:
		m.Rcode = dns.RcodeNameError
	case q.Question[0].Qtype == dns.TypeA:
		m.Answer = []dns.RR{&dns.A{Hdr: header, A: net.IPv4(192, 0, 2, 1)}}
	case q.Question[0].Qtype == dns.TypeAAAA:
		m.Answer = []dns.RR{&dns.AAAA{Hdr: header, AAAA: net.ParseIP("2001:db8::1")}}
	}
	_ = w.WriteMsg(m)
}
