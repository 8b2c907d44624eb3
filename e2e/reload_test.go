package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/miekg/dns"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const reloaded = "Reloading complete"

// set changes the ConfigMap in the cluster, and returns what the API server then
// has of it. It is set back when the test ends.
func (d deployed) set(t *testing.T, corefile string) string {
	t.Helper()
	maps := plane.admin.CoreV1().ConfigMaps("kube-system")
	m, err := maps.Get(background, d.configMap, meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	was := m.Data[d.key]
	m.Data[d.key] = corefile
	if _, err := maps.Update(background, m, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m, err := maps.Get(background, d.configMap, meta.GetOptions{})
		if err == nil {
			m.Data[d.key] = was
			_, err = maps.Update(background, m, meta.UpdateOptions{})
		}
		if err != nil {
			t.Error(err)
		}
	})
	return d.corefile(t)
}

// has asks for a name of the mesh and wants a TTL of the window of a floor.
func (p *pod) has(t *testing.T, floor uint32) {
	t.Helper()
	m := ask(t, p.dns, dstHeadless, dns.TypeSRV)
	if len(m.Answer) == 0 {
		t.Fatalf("no answer:\n%v", m)
	}
	if ttl := m.Answer[0].Header().Ttl; ttl < floor*11/10 || ttl > floor*3/2 {
		t.Errorf("TTL %d, want the rule with a floor of %d", ttl, floor)
	}
}

// TestConfigMapChanges changes the Corefile in the cluster while clients ask: good
// ones, which take effect, and broken ones, with which the old rules go on. No
// query is lost. But for the interval of reload the Corefile is that of the
// manifests.
func TestConfigMapChanges(t *testing.T) {
	d := deployment(t)
	original := quickly(t, d.corefile(t))
	p := startReady(t, coreDNSProgram, d.set(t, original))
	p.has(t, 30)
	l := startLoad(t, behind(p), questions...)
	l.more(t, 200)

	const rule = "\n    ttlfloor 30s linkerd.svc.cluster.local\n"
	goods, bads := 0, 0
	good := func(corefile string, floor uint32) {
		t.Helper()
		goods++
		p.layOut(t, d.set(t, corefile))
		p.waitFor(t, reloaded, goods)
		p.has(t, floor)
		p.waitReady(t)
		p.healthy(t)
	}
	for _, c := range []struct{ name, rule, says string }{
		{"a TTL that is none", "\n    ttlfloor 30x linkerd.svc.cluster.local\n", `"30x"`},
		{"a second rule for the zone", rule + rule[1:], `"linkerd.svc.cluster.local."`},
		{"an option that is none", "\n    ttlfloor 30s linkerd.svc.cluster.local {\n        jiter off\n    }\n", `"jiter"`},
		{"a plugin that is none", rule + "    ttlflor 30s\n", `'ttlflor'`},
	} {
		good(change(t, original, rule, "\n    ttlfloor 40s linkerd.svc.cluster.local\n"), 40)
		t.Run(c.name, func(t *testing.T) {
			bads++
			begin := len(p.Output.String())
			broken := change(t, original, rule, c.rule)
			p.layOut(t, d.set(t, broken))
			p.waitFor(t, "Corefile changed but reload failed", bads)
			said := p.Output.String()[begin:]
			line := ""
			for text := range strings.Lines(said) {
				if strings.Contains(text, "reload failed") {
					line = text
				}
			}
			t.Logf("an operator sees: %s", line)
			if !strings.Contains(line, c.says) || !strings.Contains(line, "/Corefile:") {
				t.Errorf("want the file, the line and %s", c.says)
			}
			p.has(t, 40)
			l.more(t, 100)
			if got := p.metric(t, "coredns_reload_failed_total"); int(got) != bads {
				t.Errorf("coredns_reload_failed_total is %v, want %d", got, bads)
			}
			p.healthy(t)
			if code, _, err := p.readyStatus(); err != nil || code != http.StatusOK {
				t.Errorf("ready: %d, %v", code, err)
			}
		})
		good(original, 30)
	}
	l.more(t, 200)
	l.stop(t)
}

// TestBrokenAtStart starts pods with a Corefile that is broken: they exit and say
// where. In a cluster the rollout stops there and the old pods go on.
func TestBrokenAtStart(t *testing.T) {
	d := deployment(t)
	corefile := d.corefile(t)
	const rule = "\n    ttlfloor 30s linkerd.svc.cluster.local\n"
	for _, c := range []struct{ name, program, corefile, says string }{
		{"two rules for a zone", coreDNSProgram, change(t, corefile, rule, rule+rule[1:]), `"linkerd.svc.cluster.local."`},
		{"a plugin that stock CoreDNS does not have", stockProgram, corefile, `'ttlfloor'`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := startPod(t, c.program, c.corefile, plane.kubeconfig)
			eventually(t, patience, func() error {
				if !p.Exited() {
					return fmt.Errorf("%s has not exited", p.Name)
				}
				return nil
			})
			out := p.Output.String()
			t.Logf("an operator sees: %s", out)
			if p.Err() == nil || !strings.Contains(out, c.says) || !strings.Contains(out, "/Corefile:") {
				t.Errorf("it exited with %v, want a failure that has the file, the line and %s", p.Err(), c.says)
			}
		})
	}
}
