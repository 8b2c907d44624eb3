package ttlfloor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/test"

	"github.com/miekg/dns"
)

// sink is a ResponseWriter that takes a message and does nothing.
type sink struct {
	test.ResponseWriter
	addr *net.UDPAddr // of the client; nil: the same for all
	got  *dns.Msg
}

var sinkAddr = &net.UDPAddr{IP: net.IPv4(192, 0, 2, 100)}

// RemoteAddr costs no allocation.
func (s *sink) RemoteAddr() net.Addr {
	if s.addr == nil {
		return sinkAddr
	}
	return s.addr
}

func (s *sink) WriteMsg(m *dns.Msg) error {
	s.got = m
	return nil
}

// srvAnswer is a headless service with n endpoints: as many SRV records, and as
// many A records in the additional section.
func srvAnswer(tb testing.TB, n, ttl int) *dns.Msg {
	tb.Helper()
	lines := make([]string, 0, 2*n)
	for i := range n {
		lines = append(lines, fmt.Sprintf("answer dst.linkerd.svc.cluster.local. %d SRV 0 100 8086 10-0-%d-%d.dst.linkerd.svc.cluster.local.", ttl, i/256, i%256))
	}
	for i := range n {
		lines = append(lines, fmt.Sprintf("additional 10-0-%d-%d.dst.linkerd.svc.cluster.local. %d A 10.0.%d.%d", i/256, i%256, ttl, i/256, i%256))
	}
	return message(tb, lines...)
}

// rewriteTTL makes the handler of *rewrite*.
func rewriteTTL(b *testing.B, directives string, next plugin.Handler) plugin.Handler {
	b.Helper()
	c := caddy.NewTestController("dns", directives)
	setup, err := caddy.DirectiveAction("dns", "rewrite")
	if err != nil {
		b.Fatal(err)
	}
	if err := setup(c); err != nil {
		b.Fatal(err)
	}
	plugins := dnsserver.GetConfig(c).Plugin
	return plugins[len(plugins)-1](next)
}

// BenchmarkResponse is one SRV answer on its way out, with as many endpoints as
// its name says: changed and unchanged by ttlfloor, changed by its peer in the
// tree as the README of *rewrite* writes it for a zone and in its cheapest form,
// and without a plugin.
func BenchmarkResponse(b *testing.B) {
	// A CoreDNS in a cluster has tens of megabytes on the heap. With the few of
	// a test binary, the garbage collector's cycles are most of what is measured.
	ballast := make([]byte, 64<<20)
	defer runtime.KeepAlive(ballast)

	const name = "dst.linkerd.svc.cluster.local."
	for _, n := range []int{1, 3, 20, 200} {
		m := srvAnswer(b, n, 5)
		for _, treatment := range []struct {
			name    string
			handler plugin.Handler
			ttl     uint32 // at least
			same    bool
		}{
			{"changed", newTTLFloor(b, "ttlfloor 30s cluster.local", respond(m)), 33, false},
			{"unchanged", newTTLFloor(b, "ttlfloor 5s cluster.local {\n jitter off\n }", respond(m)), 5, true},
			{"rewrite-ttl", rewriteTTL(b, `rewrite ttl regex (.*)\.cluster\.local\. 30-`, respond(m)), 30, false},
			{"rewrite-ttl-suffix", rewriteTTL(b, "rewrite ttl suffix .cluster.local. 30-", respond(m)), 30, false},
			{"none", respond(m), 5, true},
		} {
			b.Run(fmt.Sprintf("%s/%d", treatment.name, n), func(b *testing.B) {
				r := new(dns.Msg).SetQuestion(name, dns.TypeSRV)
				ctx := context.Background()
				var w sink
				b.ReportAllocs()
				for b.Loop() {
					if _, err := treatment.handler.ServeDNS(ctx, &w, r); err != nil {
						b.Fatal(err)
					}
				}
				if ttl := w.got.Extra[n-1].Header().Ttl; ttl < treatment.ttl || (w.got == m) != treatment.same {
					b.Fatalf("TTL %d, want at least %d; same message %v, want %v", ttl, treatment.ttl, w.got == m, treatment.same)
				}
			})
		}
	}
}

// BenchmarkRRsets is an answer of as many RRsets as its name says, which have to be
// told apart since their TTLs differ.
func BenchmarkRRsets(b *testing.B) {
	for _, n := range []int{4, 400, 4000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			m := new(dns.Msg)
			for i := range n {
				m.Answer = append(m.Answer, message(b, fmt.Sprintf("answer a%d.cluster.local. %d A 10.0.%d.%d", i, i%7, i/256, i%256)).Answer...)
			}
			h := newTTLFloor(b, "ttlfloor 30s cluster.local", respond(m))
			r := new(dns.Msg).SetQuestion("a0.cluster.local.", dns.TypeA)
			var w sink
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.ServeDNS(context.Background(), &w, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMatch is the choice of the rule, with names all over the zones.
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("zones-%d", n), func(b *testing.B) {
			r := new(rule)
			names := make([]string, n)
			for i := range n {
				r.zones = append(r.zones, fmt.Sprintf("ns%04d.svc.cluster.local.", i))
				names[i] = "dst.linkerd." + r.zones[i]
			}
			rand.Shuffle(n, func(i, j int) { names[i], names[j] = names[j], names[i] })
			z := newZones([]*rule{r})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, got := z.match(names[i%n], dns.TypeSRV); got != r {
					b.Fatal("no rule")
				}
			}
		})
	}
}

// BenchmarkSchedule is one appointment in a window of 13 seconds, as that of the
// default floor: of ten thousand clients that keep theirs, of ones that were not seen
// before, and of those with all cores calling.
func BenchmarkSchedule(b *testing.B) {
	window := choice{lo: 33, hi: 45}
	b.Run("kept", func(b *testing.B) {
		s := newSchedule(rand.Uint32N)
		var due [64][]uint64 // clients, by the second of their appointment modulo 64
		for client := range uint64(10_000) {
			due[0] = append(due[0], mix(client))
		}
		now := uint32(0)
		b.ReportAllocs()
		for b.Loop() {
			for len(due[now%64]) == 0 {
				s.epoch = s.epoch.Add(-time.Second) // it is a second later
				now++
			}
			list := &due[now%64]
			client := (*list)[len(*list)-1]
			*list = (*list)[:len(*list)-1]
			ttl, _, _ := s.book(visit{client: client, name: 1}, window)
			at := &due[(now+ttl)%64]
			*at = append(*at, client)
		}
	})
	b.Run("new", func(b *testing.B) {
		s := newSchedule(rand.Uint32N)
		b.ReportAllocs()
		for n := uint64(0); b.Loop(); n++ {
			s.book(visit{client: mix(n), name: 1}, window)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		s := newSchedule(rand.Uint32N)
		var n atomic.Uint64
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				s.book(visit{client: mix(n.Add(1)), name: 1}, window)
			}
		})
	})
}
