package e2e

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What the rule of the manifests, "ttlfloor 30s" with the default window, gives
// out for the TTL of 30 that kubernetes has there.
const (
	floor, ceiling   = 33, 45
	negativeFloor    = 5
	outsideTheRules  = 30
	meshZone         = "linkerd.svc.cluster.local."
	dstHeadless      = "linkerd-dst-headless." + meshZone
	policy           = "linkerd-policy." + meshZone
	identityHeadless = "linkerd-identity-headless." + meshZone
)

// TestAnswers asks a pod with the rights, the Corefile and the workloads of the
// cluster for what Linkerd's proxies and others ask for.
func TestAnswers(t *testing.T) {
	p := startReady(t, coreDNSProgram, deployment(t).corefile(t))
	p.healthy(t)
	all := func(h headless, render func(endpoint) string, of string) string {
		var out []string
		for _, e := range h.endpoints {
			if of == "" || strings.Contains(e.address, of) {
				out = append(out, render(e))
			}
		}
		slices.Sort(out)
		return strings.Join(out, ", ")
	}
	address := func(e endpoint) string { return e.address }
	dst, pol, identity := mesh[0], mesh[1], mesh[2]
	web, err := plane.admin.CoreV1().Services("shop").Get(background, "web", meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	reverse := func(addr string) string {
		name, err := dns.ReverseAddr(addr)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, c := range []struct {
		name  string
		qtype uint16
		rcode int
		want  string
	}{
		{dstHeadless, dns.TypeSRV, dns.RcodeSuccess, all(dst, dst.srv, "")},
		{policy, dns.TypeSRV, dns.RcodeSuccess, all(pol, pol.srv, "")},
		{identityHeadless, dns.TypeSRV, dns.RcodeSuccess, all(identity, identity.srv, "")},
		{"_grpc._tcp." + dstHeadless, dns.TypeSRV, dns.RcodeSuccess, all(dst, dst.srv, "")},
		{"_http._tcp." + dstHeadless, dns.TypeSRV, dns.RcodeNameError, ""},
		{dstHeadless, dns.TypeA, dns.RcodeSuccess, all(dst, address, ".")},
		{dstHeadless, dns.TypeAAAA, dns.RcodeSuccess, all(dst, address, ":")},
		{dst.target(dst.endpoints[0]), dns.TypeA, dns.RcodeSuccess, "10.42.0.15"},
		{dst.target(dst.endpoints[0]), dns.TypeAAAA, dns.RcodeSuccess, ""},
		{dst.target(dst.endpoints[3]), dns.TypeAAAA, dns.RcodeSuccess, "fd00:10:42::f"},
		{policy, dns.TypeTXT, dns.RcodeSuccess, ""},
		{policy, dns.TypeHTTPS, dns.RcodeSuccess, ""},
		{"nx." + meshZone, dns.TypeA, dns.RcodeNameError, ""},
		{"nx." + meshZone, dns.TypeSRV, dns.RcodeNameError, ""},
		{strings.ToUpper(policy), dns.TypeA, dns.RcodeSuccess, all(pol, address, ".")},
		{"web.shop.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, web.Spec.ClusterIPs[0]},
		{"web.shop.svc.cluster.local.", dns.TypeAAAA, dns.RcodeSuccess, web.Spec.ClusterIPs[1]},
		{"_https._tcp.web.shop.svc.cluster.local.", dns.TypeSRV, dns.RcodeSuccess, "0 50 443 web.shop.svc.cluster.local."},
		{"db-1.db.shop.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, "10.42.3.2"},
		{"kube-dns.kube-system.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, "10.96.0.10"},
		{"nx.shop.svc.cluster.local.", dns.TypeA, dns.RcodeNameError, ""},
		{reverse(web.Spec.ClusterIPs[0]), dns.TypePTR, dns.RcodeSuccess, "web.shop.svc.cluster.local."},
		{reverse(web.Spec.ClusterIPs[1]), dns.TypePTR, dns.RcodeSuccess, "web.shop.svc.cluster.local."},
		{reverse("10.42.0.16"), dns.TypePTR, dns.RcodeSuccess, identity.target(identity.endpoints[0])},
		{reverse("fd00:10:42::10"), dns.TypePTR, dns.RcodeSuccess, identity.target(identity.endpoints[2])},
	} {
		t.Run(c.name+" "+dns.Type(c.qtype).String(), func(t *testing.T) {
			m := ask(t, p.dns, c.name, c.qtype)
			if got := content(m.Answer); m.Rcode != c.rcode || got != c.want {
				t.Errorf("%s %q, want %s %q", dns.RcodeToString[m.Rcode], got, dns.RcodeToString[c.rcode], c.want)
			}
			if dns.IsSubDomain(meshZone, c.name) {
				insideTheRule(t, m)
				return
			}
			for _, rr := range append(m.Answer, m.Ns...) {
				if ttl := rr.Header().Ttl; ttl != outsideTheRules {
					t.Errorf("TTL %d outside the rule, want %d:\n%v", ttl, outsideTheRules, rr)
				}
			}
		})
	}
	if got := p.metric(t, "coredns_ttlfloor_responses_total", `zone="`+meshZone+`"`, `outcome="jittered"`); got < 10 {
		t.Errorf("coredns_ttlfloor_responses_total is %v, want what was asked", got)
	}
}

// insideTheRule wants TTLs of the window, and a negative answer that lasts.
func insideTheRule(t *testing.T, m *dns.Msg) {
	t.Helper()
	for _, rr := range append(m.Answer, m.Extra...) {
		if ttl := rr.Header().Ttl; rr.Header().Rrtype != dns.TypeOPT && (ttl < floor || ttl > ceiling) {
			t.Errorf("TTL %d, want %d to %d:\n%v", ttl, floor, ceiling, rr)
		}
	}
	if len(m.Answer) > 0 {
		return
	}
	if len(m.Ns) != 1 {
		t.Errorf("%d records of authority, want an SOA", len(m.Ns))
		return
	}
	if soa, ok := m.Ns[0].(*dns.SOA); !ok || soa.Hdr.Ttl < negativeFloor || soa.Hdr.Ttl > ceiling || soa.Minttl < soa.Hdr.Ttl {
		t.Errorf("want a negative answer for %d to %d seconds:\n%v", negativeFloor, ceiling, m.Ns[0])
	}
}

// TestSearchPath resolves names as a program in a pod does, through the search
// path that the kubelet writes.
func TestSearchPath(t *testing.T) {
	p := startReady(t, coreDNSProgram, deployment(t).corefile(t))
	resolver := dns.ClientConfig{Search: []string{"shop.svc.cluster.local", "svc.cluster.local", "cluster.local"}, Ndots: 5}
	for _, c := range []struct {
		name    string
		queries int
		want    string
		inside  bool
	}{
		{"web", 1, "web.shop.svc.cluster.local.", false},
		{"linkerd-policy.linkerd", 2, policy, true},
		{"linkerd-policy.linkerd.svc", 3, policy, true},
		{"linkerd-policy.linkerd.svc.cluster.local.", 1, policy, true},
		{"linkerd-policy.linkerd.svc.cluster.local", 4, policy, true},
		{"www.example.org", 4, "www.example.org.", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, name := range resolver.NameList(c.name) {
				m := ask(t, p.dns, name, dns.TypeA)
				if i+1 < c.queries {
					if m.Rcode != dns.RcodeNameError {
						t.Errorf("%s: %s, want the walk to go on", name, dns.RcodeToString[m.Rcode])
					}
					continue
				}
				if name != c.want || m.Rcode != dns.RcodeSuccess || len(m.Answer) == 0 {
					t.Errorf("query %d is for %s, %s, want an answer for %s", i+1, name, dns.RcodeToString[m.Rcode], c.want)
				} else if c.inside {
					insideTheRule(t, m)
				}
				return
			}
			t.Error("the search path ended without an answer")
		})
	}
}

// TestSpread has a fleet that asks at once, as after a restart of the control
// plane, and looks at when it will be back.
func TestSpread(t *testing.T) {
	p := startReady(t, coreDNSProgram, deployment(t).corefile(t))
	const clients, each = 65, 6
	var mu sync.Mutex
	ttls := map[uint32]int{}
	// Only the server knows when it gave out a TTL. So these are the clients that are
	// back in a second for certain, and the seconds in which one may be.
	certain, possible := map[int64]int{}, map[int64]bool{}
	var clientsDone sync.WaitGroup
	for i := range clients {
		clientsDone.Go(func() {
			for n := range each {
				name := []string{dstHeadless, policy}[(i+n)%2]
				sent := time.Now()
				client := net.IPv4(127, 2, byte(i), byte(n+1)) // each is seen once
				m, err := exchangeFrom(client, patience, p.dns, name, dns.TypeSRV)
				if err == nil && len(m.Answer) != 6 {
					err = fmt.Errorf("%d answers", len(m.Answer))
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				ttl := m.Answer[0].Header().Ttl
				ttls[ttl]++
				first, last := sent.Unix()+int64(ttl), time.Now().Unix()+int64(ttl)
				if first == last {
					certain[first]++
				}
				for second := first; second <= last; second++ {
					possible[second] = true
				}
				mu.Unlock()
			}
		})
	}
	clientsDone.Wait()
	const mean = clients * each / (ceiling - floor + 1)
	t.Logf("clients by TTL, %d would be even: %v", mean, ttls)
	for ttl := range ttls {
		if ttl < floor || ttl > ceiling {
			t.Errorf("TTLs outside of %d to %d: %v", floor, ceiling, ttls)
			break
		}
	}
	if len(possible) <= ceiling-floor {
		t.Errorf("the clients are back in %d seconds, want the %d of the window", len(possible), ceiling-floor+1)
	}
	for _, n := range certain {
		if n > mean*4/3 {
			t.Errorf("%d of %d clients are back in one second, want about %d", n, clients*each, mean)
		}
	}
}
