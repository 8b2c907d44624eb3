package ttlfloor

import (
	"container/heap"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/cache"

	"github.com/miekg/dns"
)

var soak = flag.Bool("soak", false, "a week of ten thousand clients in TestSoak")

// TestSoak runs clients for a long time in virtual time, through the real
// *cache*, while names come and go and the upstream fails for minutes: every TTL
// stays in its window, the sums of the rings stay exact, and nothing grows. By
// default it is an hour of a thousand clients;
//
//	make soak
//
// is a week of ten thousand.
func TestSoak(t *testing.T) {
	clients, length := 1000, time.Hour
	if *soak {
		clients, length = 10_000, 7*24*time.Hour
	}
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		start := time.Now()
		down := func() bool { return time.Since(start)%(30*time.Minute) > 25*time.Minute }
		exists := func(name byte) bool { return (int(time.Since(start)/(10*time.Minute))+int(name))%5 != 0 }
		upstream := plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
			name := r.Question[0].Name
			if down() {
				return dns.RcodeServerFailure, errors.New("down")
			}
			m := message(t, "NXDOMAIN", "authority example. 30 SOA "+zoneSOA+" 2")
			if exists(name[0]) {
				m = message(t, fmt.Sprintf("answer %s %d A 192.0.2.1", name, 30*(name[0]%2)))
			}
			rcode := m.Rcode
			m.SetReply(r).Rcode = rcode
			return rcode, w.WriteMsg(m)
		})
		c := cache.New()
		c.Zones, c.Next = []string{"."}, upstream
		h := newTTLFloor(t, "ttlfloor 30s example {\n max 5m\n }", c)
		rule := h.zones.byName["example."].other

		var due appointments
		for n := range clients {
			name := string(rune('a'+r.IntN(20))) + ".example."
			heap.Push(&due, appointment{start.Add(time.Duration(r.IntN(20_000)) * time.Microsecond), name, host(n)})
		}
		heapAfter := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		var early uint64
		queries, failures, wraps := 0, 0, time.Duration(0)
		for due[0].at.Before(start.Add(length)) {
			a := due[0]
			time.Sleep(time.Until(a.at))
			wait := uint32(5) // back-off of a client that got no answer
			w := sink{addr: &net.UDPAddr{IP: a.ip}}
			_, _ = h.ServeDNS(context.Background(), &w, new(dns.Msg).SetQuestion(a.name, dns.TypeA))
			switch m := w.got; {
			case m == nil || m.Rcode == dns.RcodeServerFailure:
				failures++
			case m.Rcode == dns.RcodeNameError:
				soa := m.Ns[0].(*dns.SOA)
				wait = min(soa.Hdr.Ttl, soa.Minttl)
				checkTTL(t, "negative", wait, 5, 8)
			default:
				wait = m.Answer[0].Header().Ttl
				checkTTL(t, "positive", wait, 33, 45)
			}
			due[0].at = a.at.Add(time.Duration(wait) * time.Second)
			heap.Fix(&due, 0)
			queries++
			if since := time.Since(start); since > wraps+horizon*time.Second {
				wraps = since
				used := 0
				for _, r := range rule.schedule.rings {
					if r != nil {
						used++
						checkSums(t, r)
					}
				}
				if used == 0 {
					t.Fatal("the schedule was not used")
				}
				if early == 0 {
					early = heapAfter()
				}
			}
			if t.Failed() {
				t.FailNow()
			}
		}
		if late := heapAfter(); early > 0 && late > early+early/10 {
			t.Errorf("the heap has grown from %d to %d bytes", early, late)
		}
		if failures == 0 {
			t.Error("the upstream was never down")
		}
		t.Logf("%d queries, %d without an answer, in %v", queries, failures, length)
	})
}
