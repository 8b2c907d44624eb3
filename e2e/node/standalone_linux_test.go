package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// standaloneIP is the address of settings.env.
const (
	standaloneIP  = "10.96.0.53"
	standaloneIP6 = "fd00:96::35"
)

// few lookups have to do where each waits for seconds.
const few = 20

const standaloneReady = "--namespace=ttlfloor rollout status deployment/ttlfloor-dns --timeout=4m"

// stock puts kubeadm's CoreDNS into the cluster, as it comes.
func (c *cluster) stock(t *testing.T) {
	t.Helper()
	b, err := os.ReadFile("../testdata/kubeadm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if c.quotas {
		c.apply(t, quotaOfSystem)
	}
	c.apply(t, c.adapt(string(b)))
	c.must(t, coredns)
}

// TestStandalone has a second CoreDNS beside the cluster's own, and the pods of a mesh ask
// it first. No lookup is lost while it is installed, changed, ended and removed, and none
// without it.
func TestStandalone(t *testing.T) {
	onMachine(t, options{nodes: 2, quotas: true}, func(c *cluster) {
		c.stock(t)
		c.apply(t, mesh)
		c.services(t, 0)
		l := c.startClients(t, "shop", "linkerd.io/inject: enabled", andMusl)
		others := c.startClients(t, "plain", "", goAndLibc)
		has := func(l *clients, servers ...string) {
			t.Helper()
			want := "nameserver " + strings.Join(servers, "\nnameserver ")
			for pod, s := range l.listen(t) {
				if got := strings.TrimSpace(lines(s.Resolv, "nameserver")); got != want {
					t.Errorf("%s asks\n%s\nwant\n%s", pod, got, want)
				}
			}
		}
		has(l, clusterDNS)

		manifests := c.render(t, "../../deploy/standalone")
		for _, phase := range []struct {
			name    string
			run     func(*testing.T, string, int, func())
			lookups int
			do      func()
		}{
			{"installed", l.during, many, func() {
				c.apply(t, manifests)
				c.must(t, standaloneReady)
			}},
			{"asked", l.during, many, func() {
				eventually(t, func() error { return c.selects(t, "shop") })
				l.again(t)
				has(l, standaloneIP, clusterDNS)
				l.waits(t)
				others.again(t)
				has(others, clusterDNS)
				served(t, standaloneIP, meshName, dns.TypeA, 33, 45)
			}},
			{"restarted", l.orderly, many, func() {
				c.must(t, "--namespace=ttlfloor rollout restart deployment/ttlfloor-dns")
				c.must(t, standaloneReady)
			}},
			{"wrong image", l.during, many, func() {
				c.must(t, "--namespace=ttlfloor set image deployment/ttlfloor-dns coredns=localhost/none:v1")
				c.waitFor(t, "ttlfloor", "ErrImage", "ImagePullBackOff")
				if n := c.readyPods(t, "ttlfloor"); n != 2 {
					t.Errorf("%d pods are ready, want the 2 that were", n)
				}
				c.must(t, "--namespace=ttlfloor rollout undo deployment/ttlfloor-dns")
				c.must(t, standaloneReady)
			}},
			{"one server killed", l.during, many, func() {
				do(t, "kill -KILL "+filepath.Base(running("/coredns")[0]))
				c.must(t, standaloneReady)
			}},
			{"all pods deleted at once", l.during, many, func() {
				c.must(t, "--namespace=ttlfloor delete pods --all --grace-period=0 --force")
				c.must(t, standaloneReady)
			}},
			{"a node drained", l.orderly, many, func() {
				if out := c.must(t, "--namespace=ttlfloor get pods --output=jsonpath={.items[*].spec.nodeName}"); !strings.Contains(out, "node-2") {
					t.Errorf("the servers are on %s, want one on node-2", out)
				}
				c.must(t, "drain node-2 --ignore-daemonsets --timeout=3m")
				c.must(t, "uncordon node-2")
			}},
			{"both servers evicted at once", l.orderly, many, func() {
				evict := func(pod string) error {
					return c.admin.PolicyV1().Evictions("ttlfloor").Evict(background, &policy.Eviction{ObjectMeta: meta.ObjectMeta{Namespace: "ttlfloor", Name: pod}})
				}
				pods := strings.Fields(c.must(t, "--namespace=ttlfloor get pods --output=jsonpath={.items[*].metadata.name}"))
				if len(pods) != 2 {
					t.Fatalf("pods %q, want 2", pods)
				}
				if err := evict(pods[0]); err != nil {
					t.Error(err)
				}
				if err := evict(pods[1]); !errors.IsTooManyRequests(err) {
					t.Errorf("the second may be evicted before the first is there again (%v)", err)
				}
				c.must(t, standaloneReady)
			}},
			{"the policy removed", l.during, many, func() {
				c.must(t, "delete mutatingadmissionpolicy ttlfloor-dns")
				eventually(t, func() error {
					if c.selects(t, "shop") == nil {
						return fmt.Errorf("pods are still changed")
					}
					return nil
				})
				l.again(t)
				has(l, clusterDNS)
				c.apply(t, manifests)
				eventually(t, func() error { return c.selects(t, "shop") })
				l.again(t)
				has(l, standaloneIP, clusterDNS)
			}},
			{"no server left", l.during, few, func() {
				c.must(t, "--namespace=ttlfloor delete deployment ttlfloor-dns --cascade=foreground")
				eventually(t, func() error {
					if n := len(c.pods(t, "ttlfloor")); n > 0 {
						return fmt.Errorf("%d pods are left", n)
					}
					return nil
				})
			}},
			{"no Service left", l.during, few, func() { c.must(t, "--namespace=ttlfloor delete service ttlfloor-dns") }},
			{"installed again", l.during, many, func() {
				c.apply(t, manifests)
				c.must(t, standaloneReady)
			}},
		} {
			t.Run(phase.name, func(t *testing.T) { phase.run(t, phase.name, phase.lookups, phase.do) })
		}
		t.Run("a node without power", func(t *testing.T) { c.powerFails(t, l, "node-2") })
		t.Run("all removed", func(t *testing.T) {
			l.during(t, "all removed", few, func() {
				// Pods of a node that is gone never end.
				if _, err := c.kubectl(manifests, "delete", "--wait=false", "--ignore-not-found", "-f", "-"); err != nil {
					t.Error(err)
				}
			})
		})
	})
}

// powerFails has a node lose its power. Until the cluster knows, what was sent to its servers
// is lost, and a lookup may be: that is counted. Then none is.
func (c *cluster) powerFails(t *testing.T, l *clients, name string) {
	t.Helper()
	l.count(t, "power fails", few, func() {
		c.nodes[name].kill()
		delete(c.nodes, name)
		c.must(t, "wait --for=condition=Ready=Unknown node/"+name+" --timeout=2m")
		time.Sleep(30 * time.Second) // until those that were on their way are over: two attempts of five seconds for each of four names, some side by side
	})
	l.during(t, "after that", many, func() {})
}

// lines are those of a text that start with a word.
func lines(text, word string) string {
	var s strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, word+" ") {
			s.WriteString(line)
		}
	}
	return s.String()
}

// selects tells whether pods that are created in a namespace now ask the server, which is so
// some time after the policy came, and not so some time after it went.
func (c *cluster) selects(t *testing.T, namespace string, more ...string) error {
	t.Helper()
	out := c.must(t, "--namespace="+namespace+" run probe --image=localhost/none --dry-run=server --output=jsonpath={.spec.dnsConfig.nameservers} "+strings.Join(more, " "))
	if address := c.pick(standaloneIP, standaloneIP6)[0]; !strings.Contains(out, address) {
		return fmt.Errorf("a new pod has the servers %q, want %s among them", out, address)
	}
	return nil
}
