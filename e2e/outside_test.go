package e2e

import (
	"testing"
	"time"

	"github.com/miekg/dns"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestOutsideTheRules asks for names that no rule is for, and wants what stock
// CoreDNS answers that runs beside it with the same Corefile but for the rules:
// each record with its TTL, fresh and then from the cache.
func TestOutsideTheRules(t *testing.T) {
	corefile := deployment(t).corefile(t)
	ours, stock := startReady(t, coreDNSProgram, corefile), startReady(t, stockProgram, withoutRules(corefile))
	web, err := plane.admin.CoreV1().Services("shop").Get(background, "web", meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	arpa := func(addr string) string {
		name, err := dns.ReverseAddr(addr)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	var questions []dns.Question
	for _, name := range []string{
		"web.shop.svc.cluster.local.", "_http._tcp.web.shop.svc.cluster.local.", "db.shop.svc.cluster.local.", "db-0.db.shop.svc.cluster.local.",
		"outside.shop.svc.cluster.local.", "nx.shop.svc.cluster.local.", "10-1-2-3.shop.pod.cluster.local.", "kubernetes.default.svc.cluster.local.",
		"dns-version.cluster.local.", "cluster.local.", "svc.cluster.local.", "nx.cluster.local.",
		"notlinkerd.svc.cluster.local.", "linkerd.pod.cluster.local.", "WEB.shop.SVC.cluster.local.",
		arpa(web.Spec.ClusterIPs[0]), arpa(web.Spec.ClusterIPs[1]), arpa("10.42.0.15"), arpa("fd00:10:42::f"), arpa("10.42.9.9"),
		"www.example.org.", "low.example.org.", "zero.example.org.", "alias.example.org.", "example.org.", "_sip._udp.example.org.", "nx.example.org.",
		"linkerd.svc.cluster.local.example.org.", ".",
	} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT, dns.TypePTR, dns.TypeMX, dns.TypeSOA, dns.TypeCNAME, dns.TypeHTTPS} {
			questions = append(questions, dns.Question{Name: name, Qtype: qtype})
		}
	}
	begin := time.Now()
	type pair struct {
		at   time.Time
		took time.Duration // between the two
		ttls []uint32
	}
	fresh := make([]pair, len(questions))
	for i, q := range questions {
		at := time.Now()
		a, ttls := sections(ask(t, ours.dns, q.Name, q.Qtype), true)
		b, _ := sections(ask(t, stock.dns, q.Name, q.Qtype), true)
		if a != b {
			t.Errorf("%s %s, fresh:\n%s\n\nstock:\n%s", q.Name, dns.Type(q.Qtype), a, b)
		}
		fresh[i] = pair{at, time.Since(at), ttls}
	}
	if first := time.Until(begin.Add(1500 * time.Millisecond)); first > 0 {
		<-time.After(first) // so that the cache has counted down
	}
	counted, compared := 0, 0
	for n, q := range questions {
		at := time.Now()
		a, as := sections(ask(t, ours.dns, q.Name, q.Qtype), false)
		b, bs := sections(ask(t, stock.dns, q.Name, q.Qtype), false)
		if a != b || len(as) != len(bs) || len(as) != len(fresh[n].ttls) {
			t.Errorf("%s %s, again:\n%s\n\nstock:\n%s", q.Name, dns.Type(q.Qtype), a, b)
			continue
		}
		// The two were asked one after the other, and an entry may have ended for one of
		// them only.
		apart := uint32((fresh[n].took+time.Since(at))/time.Second) + 1
		age := uint32(time.Since(fresh[n].at)/time.Second) + 1
		for i := range as {
			first := fresh[n].ttls[i]
			if age < first {
				compared++
				if max(as[i], bs[i])-min(as[i], bs[i]) > apart {
					t.Errorf("%s %s, again: TTLs %v, stock %v", q.Name, dns.Type(q.Qtype), as, bs)
				}
			}
			if as[i] < first {
				counted++
			}
		}
	}
	if counted == 0 {
		t.Error("no TTL had counted down, so the cache was not asked")
	}
	t.Logf("%d questions, each asked twice of both, and %d TTLs compared", len(questions), compared)

	// The contrast: inside the rule the two differ, so the comparison can tell.
	a, _ := sections(ask(t, ours.dns, policy, dns.TypeSRV), true)
	b, _ := sections(ask(t, stock.dns, policy, dns.TypeSRV), true)
	if a == b {
		t.Error("inside the rule there is no difference to stock")
	}
}
