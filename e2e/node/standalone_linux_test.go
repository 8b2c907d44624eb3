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
		has := func(t *testing.T, l *clients, servers ...string) {
			t.Helper()
			want := "nameserver " + strings.Join(servers, "\nnameserver ")
			for pod, s := range l.listen(t) {
				if got := strings.TrimSpace(lines(s.Resolv, "nameserver")); got != want {
					t.Errorf("%s asks\n%s\nwant\n%s", pod, got, want)
				}
			}
		}
		has(t, l, clusterDNS)

		manifests := c.render(t, "../../deploy/standalone")
		t.Run("installed", func(t *testing.T) {
			l.during(t, "installed", many, func() {
				c.apply(t, manifests)
				c.must(t, standaloneReady)
			})
		})
		t.Run("asked", func(t *testing.T) {
			l.during(t, "asked", many, func() {
				c.selected(t, true, "shop")
				l.again(t)
				has(t, l, standaloneIP, clusterDNS)
				l.waits(t)
				others.again(t)
				has(t, others, clusterDNS)
				served(t, standaloneIP, meshName, dns.TypeA, 33, 45)
			})
		})
		t.Run("restarted", func(t *testing.T) {
			l.orderly(t, "restarted", many, func() {
				c.must(t, "--namespace=ttlfloor rollout restart deployment/ttlfloor-dns")
				c.must(t, standaloneReady)
			})
		})
		t.Run("wrong image", func(t *testing.T) {
			l.during(t, "wrong image", many, func() {
				c.must(t, "--namespace=ttlfloor set image deployment/ttlfloor-dns coredns=localhost/none:v1")
				c.waitFor(t, "ttlfloor", "ErrImage", "ImagePullBackOff")
				if n := c.readyPods(t, "ttlfloor"); n != 2 {
					t.Errorf("%d pods are ready, want the 2 that were", n)
				}
				c.must(t, "--namespace=ttlfloor rollout undo deployment/ttlfloor-dns")
				c.must(t, standaloneReady)
			})
		})
		t.Run("one server killed", func(t *testing.T) {
			l.during(t, "one server killed", many, func() {
				do(t, "kill -KILL "+filepath.Base(running("/coredns")[0]))
				c.must(t, standaloneReady)
			})
		})
		t.Run("all pods deleted at once", func(t *testing.T) {
			l.during(t, "all pods deleted at once", many, func() {
				c.must(t, "--namespace=ttlfloor delete pods --all --grace-period=0 --force")
				c.must(t, standaloneReady)
			})
		})
		t.Run("a node drained", func(t *testing.T) {
			l.orderly(t, "a node drained", many, func() {
				if out := c.must(t, "--namespace=ttlfloor get pods --output=jsonpath={.items[*].spec.nodeName}"); !strings.Contains(out, "node-2") {
					t.Errorf("the servers are on %s, want one on node-2", out)
				}
				c.must(t, "drain node-2 --ignore-daemonsets --timeout=3m")
				c.must(t, "uncordon node-2")
			})
		})
		t.Run("both servers evicted at once", func(t *testing.T) {
			l.orderly(t, "both servers evicted at once", many, func() {
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
			})
		})
		t.Run("the policy removed", func(t *testing.T) {
			l.during(t, "the policy removed", many, func() {
				c.must(t, "delete mutatingadmissionpolicy ttlfloor-dns")
				c.selected(t, false, "shop")
				l.again(t)
				has(t, l, clusterDNS)
				c.apply(t, manifests)
				c.selected(t, true, "shop")
				l.again(t)
				has(t, l, standaloneIP, clusterDNS)
			})
		})
		t.Run("no server left", func(t *testing.T) {
			l.during(t, "no server left", few, func() {
				c.must(t, "--namespace=ttlfloor delete deployment ttlfloor-dns --cascade=foreground")
				eventually(t, func() error {
					if n := len(c.pods(t, "ttlfloor")); n > 0 {
						return fmt.Errorf("%d pods are left", n)
					}
					return nil
				})
			})
		})
		t.Run("no Service left", func(t *testing.T) {
			l.during(t, "no Service left", few, func() {
				c.must(t, "--namespace=ttlfloor delete service ttlfloor-dns")
			})
		})
		t.Run("installed again", func(t *testing.T) {
			l.during(t, "installed again", many, func() {
				c.apply(t, manifests)
				c.must(t, standaloneReady)
			})
		})
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

// selected waits until pods that are created in a namespace ask the server, or no longer do,
// which is so some time after the policy came or went.
func (c *cluster) selected(t *testing.T, want bool, namespace string, more ...string) {
	t.Helper()
	args := []string{"--namespace=" + namespace, "run", "probe", "--image=localhost/none", "--dry-run=server", "--output=jsonpath={.spec.dnsConfig.nameservers}"}
	eventually(t, func() error {
		out, err := c.kubectl("", append(args, more...)...)
		if err == nil && strings.Contains(out, c.pick(standaloneIP, standaloneIP6)[0]) != want {
			err = fmt.Errorf("a new pod has the servers %q, want the server among them: %v", out, want)
		}
		return err
	})
}
