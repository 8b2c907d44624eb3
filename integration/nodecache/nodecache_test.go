//go:build linux

package nodecache

import (
	"context"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// line is the rule of the node's Corefile.
const line = "    ttlfloor 10s linkerd.svc.cluster.local\n"

// pod is a client that asked, and when it will be back.
type pod struct {
	ttl  uint32
	back time.Time
}

// fleet has so many pods ask the node for a name at once.
func fleet(t *testing.T, pods int, name string) []pod {
	t.Helper()
	all := make([]pod, pods)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			m, err := ask(node, name, dns.TypeSRV)
			if err != nil || len(m.Answer) != 2 {
				t.Errorf("pod %d: %v\n%v", i, err, m)
				return
			}
			ttl := m.Answer[0].Header().Ttl
			all[i] = pod{ttl, time.Now().Add(time.Duration(ttl) * time.Second)}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return all
}

// waves has two fleets ask, the second one when the entries of the first are
// three seconds old, and returns how many come back in each second after the
// first of all, and how long a TTL each was given.
func waves(t *testing.T) (back map[int]int, ttls [2][]uint32) {
	t.Helper()
	const pods = 60 // on one node
	ttl := ttlOf(t, node, plain, dns.TypeA)
	first := fleet(t, pods, linkerd)
	eventually(t, "the cache counts down", func() bool { return ttlOf(t, node, plain, dns.TypeA)+3 <= ttl })
	second := fleet(t, pods, linkerd)

	from := first[0].back
	for _, p := range append(first, second...) {
		if p.back.Before(from) {
			from = p.back
		}
	}
	back = make(map[int]int)
	for i, wave := range [2][]pod{first, second} {
		for _, p := range wave {
			back[int(p.back.Sub(from).Seconds())]++
			ttls[i] = append(ttls[i], p.ttl)
		}
	}
	return back, ttls
}

func limits(ttls []uint32) (lo, hi uint32) {
	lo = math.MaxUint32
	for _, ttl := range ttls {
		lo, hi = min(lo, ttl), max(hi, ttl)
	}
	return lo, hi
}

// TestSpread has the pods of a node come back all over the window, although they
// share a cache that counts down.
func TestSpread(t *testing.T) {
	withInterface(t)
	startCluster(t)
	startNode(t, upstream)
	back, ttls := waves(t)
	t.Logf("pods that come back, by second: %v", back)

	// The entry has 30 seconds, and some 27 when the second fleet asks; the window
	// is 10% to 50%.
	for i, want := range [2][2]uint32{{33, 45}, {28, 42}} {
		if lo, hi := limits(ttls[i]); lo < want[0] || hi > want[1] || hi-lo < 8 {
			t.Errorf("fleet %d has TTLs from %d to %d, want all over %d to %d", i+1, lo, hi, want[0], want[1])
		}
	}
	busiest, pods := 0, 0
	for _, n := range back {
		busiest, pods = max(busiest, n), pods+n
	}
	if len(back) < 12 || busiest > pods/6 {
		t.Errorf("%d of %d pods come back in one second, and all of them in %d", busiest, pods, len(back))
	}
}

// TestShared is TestSpread without ttlfloor on the node, which shows what the rule
// is there for, and that the one in the cluster does not do it.
func TestShared(t *testing.T) {
	withInterface(t)
	startCluster(t)
	startNode(t, upstream, line, "")
	back, _ := waves(t)
	t.Logf("pods that come back, by second: %v", back)
	if len(back) > 2 { // the age of an entry is rounded to seconds
		t.Errorf("pods come back in %d seconds, want one instant", len(back))
	}
}

// TestTiers asks both, as a pod would that has one or the other.
func TestTiers(t *testing.T) {
	withInterface(t)
	startCluster(t)
	startNode(t, upstream)
	for _, row := range []struct {
		name, host, qname string
		lo, hi            uint32
	}{
		{"Linkerd, in the cluster", upstream, linkerd, 33, 45},
		{"Linkerd, on the node: 30 in the cache, whatever the cluster gave", node, linkerd, 33, 45},
		{"another name, in the cluster", upstream, plain, 30, 30},
		{"another name, on the node", node, plain, 29, 30},
		{"outside, in the cluster", upstream, "www.example.org.", 29, 30},
		{"outside, on the node", node, "www.example.org.", 29, 30},
		{"backwards, on the node", node, "10.0.96.10.in-addr.arpa.", 29, 30},
		{"backwards and IPv6, on the node", node, "a.ip6.arpa.", 29, 30},
	} {
		t.Run(row.name, func(t *testing.T) {
			qtype := dns.TypeA
			if row.qname == linkerd {
				qtype = dns.TypeSRV
			}
			if ttl := ttlOf(t, row.host, row.qname, qtype); ttl < row.lo || ttl > row.hi {
				t.Errorf("TTL %d, want %d to %d", ttl, row.lo, row.hi)
			}
		})
	}
	t.Run("negative, on the node", func(t *testing.T) {
		m, err := ask(node, "nx."+linkerd, dns.TypeSRV)
		if err != nil || m.Rcode != dns.RcodeNameError || len(m.Ns) != 1 {
			t.Fatalf("%v\n%v", err, m)
		}
		soa := m.Ns[0].(*dns.SOA)
		if ttl := min(soa.Hdr.Ttl, soa.Minttl); ttl < 5 || ttl > 8 {
			t.Errorf("TTL %d, want 5 to 8: the denial of the cache, and the window", ttl)
		}
	})
	t.Run("health", func(t *testing.T) {
		if got := get(t, "http://"+node+":8080/health"); got != "OK" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("metrics", func(t *testing.T) {
		const want = `coredns_ttlfloor_responses_total{outcome="jittered",server="dns://169.254.20.10:53",view="",zone="linkerd.svc.cluster.local."}`
		if got := get(t, "http://127.0.0.1:9253/metrics"); !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	})
}

// TestTCP has the node ask the cluster over TCP only, whatever pods ask over.
func TestTCP(t *testing.T) {
	withInterface(t)
	var (
		mu   sync.Mutex
		seen = map[string]int{}
	)
	for _, network := range []string{"udp", "tcp"} {
		serve(t, network, upstream, dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
			mu.Lock()
			seen[network]++
			mu.Unlock()
			_ = w.WriteMsg(addressOf(r, 30))
		}))
	}
	startNode(t, upstream)
	for _, name := range []string{linkerd, plain, "www.example.org.", "10.0.96.10.in-addr.arpa.", "a.ip6.arpa."} {
		answer(t, node, name, dns.TypeA)
	}
	mu.Lock()
	defer mu.Unlock()
	if seen["tcp"] < 5 || seen["udp"] > 0 {
		t.Errorf("the cluster was asked %v, want TCP only", seen)
	}
}

// TestClusterGone stops the servers of the cluster: what is in the cache is
// answered until it ends, and everything is when they are back.
func TestClusterGone(t *testing.T) {
	withInterface(t)
	cluster := startCluster(t)
	startNode(t, upstream)
	const short = "a.short.default.svc.cluster.local." // 7 seconds
	answer(t, node, linkerd, dns.TypeSRV)
	answer(t, node, short, dns.TypeA)
	ends := time.Now().Add(7 * time.Second)
	cluster.stop(t, syscall.SIGKILL)

	for time.Until(ends) > time.Second {
		answer(t, node, linkerd, dns.TypeSRV)
		answer(t, node, short, dns.TypeA)
		<-time.After(50 * time.Millisecond)
	}
	fails := func(name string) bool {
		m, err := ask(node, name, dns.TypeA)
		return err == nil && m.Rcode == dns.RcodeServerFailure
	}
	eventually(t, "an entry ends", func() bool { return fails(short) })
	if !fails("new.one.default.svc.cluster.local.") {
		t.Error("a name that was not asked for has an answer, with the cluster gone")
	}
	answer(t, node, linkerd, dns.TypeSRV) // 30 seconds, still

	startCluster(t)
	eventually(t, "answers are back", func() bool {
		m, err := ask(node, short, dns.TypeA)
		return err == nil && m.Rcode == dns.RcodeSuccess
	})
}

// TestUpgrade starts the next server of a node beside the last one, as maxSurge of
// the DaemonSet has it, and then ends that, several times. A query that lies in the
// socket of the last one is lost with it, and has an answer when the client, as all
// do, asks again.
func TestUpgrade(t *testing.T) {
	withInterface(t)
	startCluster(t)
	server := startNode(t, upstream)

	var (
		wg                 sync.WaitGroup
		asked, again, lost atomic.Int64
	)
	clients, stop := context.WithCancel(t.Context())
	defer stop()
	answered := func() bool {
		m, err := ask(node, linkerd, dns.TypeSRV)
		return err == nil && len(m.Answer) == 2
	}
	for range 4 {
		wg.Go(func() {
			pace := time.NewTicker(2 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-clients.Done():
					return
				case <-pace.C:
				}
				asked.Add(1)
				if !answered() {
					again.Add(1)
					if !answered() {
						lost.Add(1)
					}
				}
			}
		})
	}
	goOn := func() {
		t.Helper()
		n := asked.Load()
		eventually(t, "queries go on", func() bool { return asked.Load() >= n+100 })
	}
	const upgrades = 5
	for range upgrades {
		goOn()
		next := startNode(t, upstream)
		goOn() // to both
		server.stop(t, syscall.SIGTERM)
		server = next
	}
	goOn()
	stop()
	wg.Wait()
	t.Logf("%d queries in %d upgrades: %d asked again, %d without an answer", asked.Load(), upgrades, again.Load(), lost.Load())
	if lost.Load() > 0 || again.Load() > 4*upgrades { // each client has one on the way
		t.Error("too many")
	}
}
