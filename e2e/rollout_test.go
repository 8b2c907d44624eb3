package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestRollout changes a cluster's CoreDNS from kubeadm's to ours, and back, as a
// Deployment with two replicas does: the ConfigMap is there for all at once, one
// pod is ended while one more starts, and when that one is ready, the next. A pod
// that ends is still asked for a while, since nodes are slow to hear of it. Not
// one answer is lost.
func TestRollout(t *testing.T) {
	ours, stock := quickly(t, deployment(t).corefile(t)), quickly(t, before.corefile)
	for _, c := range []struct {
		name              string
		fromProgram, from string
		toProgram         string
		command           func(*testing.T)
		oldPodsSay        string // to the new Corefile
		lowest, highest   uint32 // TTL of a name of the mesh afterwards
	}{
		{"install", stockProgram, stock, coreDNSProgram, reinstall, "Corefile changed but reload failed", floor, ceiling},
		{"rollback", coreDNSProgram, ours, stockProgram, rollback, reloaded, outsideTheRules, outsideTheRules},
	} {
		t.Run(c.name, func(t *testing.T) {
			old := []*pod{startReady(t, c.fromProgram, c.from), startReady(t, c.fromProgram, c.from)}
			s := behind(old...)
			l := startLoad(t, s, questions...)
			l.more(t, 200)
			c.command(t)
			to := quickly(t, deployment(t).corefile(t))
			for _, p := range old {
				p.layOut(t, to)
			}
			for _, p := range old {
				p.waitFor(t, c.oldPodsSay, 1)
			}
			l.more(t, 200)
			for _, p := range old {
				ended := make(chan error, 1)
				go func() { ended <- s.end(p) }()
				next := startReady(t, c.toProgram, to)
				s.add(next)
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
			l.more(t, 200)
			for range old {
				m := ask(t, s.next(), policy, dns.TypeSRV)
				if len(m.Answer) == 0 || m.Answer[0].Header().Ttl < c.lowest || m.Answer[0].Header().Ttl > c.highest {
					t.Errorf("want TTLs of %d to %d:\n%v", c.lowest, c.highest, m)
				}
			}
			l.stop(t)
		})
	}
}

// rollback gives the cluster back what it had: the rights, the Corefile, which the
// pods with ttlfloor know how to serve, and then the image. It is undone when the test
// ends.
func rollback(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { reinstall(t) })
	file := filepath.Join(t.TempDir(), "Corefile")
	if err := os.WriteFile(file, []byte(before.corefile), 0o600); err != nil {
		t.Fatal(err)
	}
	mustKubectl(t, "", "patch", "clusterrole", "system:coredns", "--type=merge", "-p", `{"rules": `+before.rules+`}`)
	if got := rights(t); !slices.Contains(got, right{"", "pods", "list"}) {
		t.Errorf("the rights are %v, want kubeadm's, with pods", got)
	}
	configMap := mustKubectl(t, "", "--namespace=kube-system", "create", "configmap", "coredns", "--from-file="+file, "--dry-run=client", "-o", "yaml")
	mustKubectl(t, configMap, "replace", "-f", "-")
	mustKubectl(t, "", "--namespace=kube-system", "set", "image", "deployment/coredns", "coredns="+before.image)
	if got := theDeployment(t).Spec.Template.Spec.Containers[0].Image; got != before.image {
		t.Errorf("image %q, want that which was there before, %q", got, before.image)
	}
}

// reinstall applies the manifests over whatever is there.
func reinstall(t *testing.T) {
	t.Helper()
	if err := apply("../deploy/base"); err != nil {
		t.Error(err)
	}
	if got := theDeployment(t).Spec.Template.Spec.Containers[0].Image; got == before.image {
		t.Errorf("image %q after the manifests were applied", got)
	}
}

// end ends a pod: it gets SIGTERM and is asked no more after a second, the time
// that nodes are given to hear of it.
func (s *service) end(p *pod) error {
	const heard = time.Second
	time.AfterFunc(heard, func() { s.remove(p) })
	return p.Terminate(patience)
}
