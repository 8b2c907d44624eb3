//go:build linux

package nodecache

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
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

// pod is a client that asked, and when it will be back: at some time between two,
// since only the server knows when it gave out the TTL.
type pod struct {
	ttl              uint32
	earliest, latest time.Time
}

// fleet has so many pods ask the node for a name at once. Each has an address of its own,
// as in a cluster, by its number from first on: the schedule takes those who share one for
// one client.
func fleet(t *testing.T, first, pods int, name string) []pod {
	t.Helper()
	all := make([]pod, pods)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			n := first + i
			from := net.IPv4(127, 1, byte(n>>8), byte(n)) // #nosec G115 -- octets
			sent := time.Now()
			m, err := askFrom(from, patience, node, name, dns.TypeSRV)
			if err != nil || len(m.Answer) != 2 {
				t.Errorf("pod %d: %v\n%v", i, err, m)
				return
			}
			ttl := m.Answer[0].Header().Ttl
			after := time.Duration(ttl) * time.Second
			all[i] = pod{ttl, sent.Add(after), time.Now().Add(after)}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return all
}

// wave is a fleet, and between which TTLs the entry was that it got from the cache.
type wave struct {
	pods        []pod
	least, most uint32
}

// waves has two fleets ask for a name of Linkerd, the second one when the entry in
// the cache is three seconds old.
func waves(t *testing.T) (both [2]wave) {
	t.Helper()
	const (
		lifetime = 30 // of an entry, in seconds
		pods     = 60 // of a fleet
	)
	for round := range 5 {
		begin := time.Now()
		name := fmt.Sprintf("round-%d%s", round, fleets)
		// Entries that the cache has got just before and just after.
		older, younger := fmt.Sprintf("older-%d%s", round, one), fmt.Sprintf("younger-%d%s", round, one)
		answer(t, node, older, dns.TypeA)
		answer(t, node, name, dns.TypeSRV)
		answer(t, node, younger, dns.TypeA)
		for i, age := range []uint32{0, 3} {
			eventually(t, "the cache counts down", func() bool { return ttlOf(t, node, younger, dns.TypeA) <= lifetime-age })
			both[i].most = ttlOf(t, node, younger, dns.TypeA)
			both[i].pods = fleet(t, i*pods, pods, name)
			both[i].least = ttlOf(t, node, older, dns.TypeA)
		}
		if time.Since(begin) < (lifetime-1)*time.Second {
			return both
		}
		t.Logf("round %d: the entries have ended meanwhile", round)
	}
	t.Fatal("each time the entries ended before both fleets had asked")
	return both
}

// bySecond returns how many pods are back in each second for certain, and how many
// seconds there are in which some may be back.
func bySecond(waves [2]wave) (certain map[int64]int, seconds int) {
	certain, possible := make(map[int64]int), make(map[int64]bool)
	for _, w := range waves {
		for _, p := range w.pods {
			first, last := p.earliest.Unix(), p.latest.Unix()
			if first == last {
				certain[first]++
			}
			for second := first; second <= last; second++ {
				possible[second] = true
			}
		}
	}
	return certain, len(possible)
}

// TestSpread has the pods of a node come back all over the window, although they
// share a cache that counts down.
func TestSpread(t *testing.T) {
	withInterface(t)
	startCluster(t)
	startNode(t, upstream)
	both := waves(t)
	pods := 0
	for i, w := range both {
		// The window of 10% to 50% slides down under what the cache has left.
		lo, hi := w.least+w.least*11/10-(w.least*3+1)/2, w.most
		for _, p := range w.pods {
			pods++
			if p.ttl < lo || p.ttl > hi {
				t.Errorf("fleet %d has a TTL of %d, want %d to %d", i+1, p.ttl, lo, hi)
			}
		}
	}
	certain, seconds := bySecond(both)
	t.Logf("pods that come back, by second: %v", slices.Collect(maps.Values(certain)))
	busiest := 0
	for _, n := range certain {
		busiest = max(busiest, n)
	}
	most := pods / 6
	if both[1].least >= 26 { // the windows are wide, and chance would have more than this
		most = pods / 10
	}
	if seconds < 12 || busiest > most {
		t.Errorf("%d of %d pods come back in one second, and all of them in %d; want at most %d, in 12", busiest, pods, seconds, most)
	}
}

// TestShared is TestSpread without ttlfloor on the node, which shows what the rule
// is there for, and that the one in the cluster does not do it.
func TestShared(t *testing.T) {
	withInterface(t)
	startCluster(t)
	startNode(t, upstream, line, "")
	both := waves(t)
	certain, _ := bySecond(both)
	t.Logf("pods that come back, by second: %v", slices.Collect(maps.Values(certain)))
	last, first := both[0].pods[0].earliest, both[0].pods[0].latest
	for _, w := range both {
		for _, p := range w.pods {
			if p.earliest.After(last) {
				last = p.earliest
			}
			if p.latest.Before(first) {
				first = p.latest
			}
		}
	}
	if apart := last.Sub(first); apart > time.Second { // the age of an entry is rounded to seconds
		t.Errorf("pods come back %v apart, want one instant", apart)
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
		{"Linkerd, on the node: 30 in the cache, whatever the cluster gave", node, linkerd, 18, 30},
		// Each name is asked for once, so that no cache has counted it down.
		{"another name, in the cluster", upstream, "cluster" + one, 30, 30},
		{"another name, on the node", node, "node" + one, 30, 30},
		{"outside, in the cluster", upstream, "cluster.example.org.", 30, 30},
		{"outside, on the node", node, "node.example.org.", 30, 30},
		{"backwards, on the node", node, "10.0.96.10.in-addr.arpa.", 30, 30},
		{"backwards and IPv6, on the node", node, "a.ip6.arpa.", 30, 30},
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
	for _, name := range []string{linkerd, "a" + one, "www.example.org.", "10.0.96.10.in-addr.arpa.", "a.ip6.arpa."} {
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
	begin := time.Now()
	answer(t, node, linkerd, dns.TypeSRV)
	answer(t, node, short, dns.TypeA)
	cluster.stop(t, syscall.SIGKILL)

	// stays asks for a name and returns whether that was before a time since the
	// begin, until when there has to be an answer.
	stays := func(name string, qtype uint16, until time.Duration) bool {
		t.Helper()
		m, err := ask(node, name, qtype)
		if time.Since(begin) >= until {
			return false
		}
		if err != nil || m.Rcode != dns.RcodeSuccess || len(m.Answer) == 0 {
			t.Fatalf("%s: %v\n%v", name, err, m)
		}
		return true
	}
	for stays(short, dns.TypeA, 6*time.Second) {
		stays(linkerd, dns.TypeSRV, 29*time.Second)
		<-time.After(50 * time.Millisecond)
	}
	fails := func(name string) bool {
		m, err := ask(node, name, dns.TypeA)
		return err == nil && m.Rcode == dns.RcodeServerFailure
	}
	eventually(t, "an entry ends", func() bool { return fails(short) })
	if !fails("new" + one) {
		t.Error("a name that was not asked for has an answer, with the cluster gone")
	}
	stays(linkerd, dns.TypeSRV, 29*time.Second)

	startCluster(t)
	eventually(t, "answers are back", func() bool {
		m, err := ask(node, short, dns.TypeA)
		return err == nil && m.Rcode == dns.RcodeSuccess
	})
}

// TestUpgrade starts the next server of a node beside the last one, as maxSurge of
// the DaemonSet has it, and then ends that, several times. A query that lies in the
// socket of the last one is lost with it; it is counted apart, and has an answer when
// the client, as all do, asks again.
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
	answered := func(within time.Duration) bool {
		m, err := askFor(within, node, linkerd, dns.TypeSRV)
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
				if !answered(2 * time.Second) {
					again.Add(1)
					if !answered(patience) {
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
	t.Logf("%d queries, %d lost, %d asked again, in %d upgrades", asked.Load(), lost.Load(), again.Load(), upgrades)
	if lost.Load() > 0 {
		t.Error("queries were lost")
	}
}
