package lab

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

// platformsDocument has a table of what TestPlatforms finds.
const platformsDocument = "../../../../docs/platforms.md"

// A way is how ttlfloor comes to a platform.
type way struct {
	platform string
	name     string
	ours     string // Corefile with our line
	replicas int
	sticky   bool     // a client asks the one of its node
	front    string   // Corefile of servers in front, which ask ours; "" is none
	nodes    int      // of them
	change   []string // what is said in the Corefiles, and what is said instead
	works    bool     // the document says so: the herd is 1.10 at most
}

const (
	platformFiles  = "testdata/platforms/"
	standaloneFile = "../../../../deploy/standalone/server/Corefile"
	nodeCacheFile  = "../../../../deploy/node-cache/Corefile"
)

// The ways, on clusters of 1,000 proxies on 20 nodes.
var ways = []way{
	{platform: "kubeadm", name: "replace", ours: platformFiles + "kubeadm.Corefile", replicas: 2, works: true},
	{platform: "k3s", name: "replace", ours: platformFiles + "k3s.Corefile", replicas: 1, works: true},
	{platform: "RKE2", name: "replace", ours: platformFiles + "rke2.Corefile", replicas: 2, works: true},
	{platform: "Talos", name: "replace", ours: platformFiles + "talos.Corefile", replicas: 2, works: true},
	{platform: "EKS, self-managed", name: "replace", ours: platformFiles + "eks.Corefile", replicas: 2, works: true},
	standaloneOn("EKS, add-on and Auto Mode"),
	standaloneOn("AKS"),
	{platform: "AKS", name: "forward a zone", ours: standaloneFile, replicas: 2, sticky: true,
		front: platformFiles + "aks.Corefile", nodes: 2},
	{platform: "AKS with LocalDNS", name: "forward a zone", ours: standaloneFile, replicas: 2, sticky: true,
		front: platformFiles + "aks-localdns.Corefile", nodes: 20},
	standaloneOn("GKE"),
	{platform: "GKE, kube-dns", name: "forward a zone", ours: standaloneFile, replicas: 2, sticky: true,
		front: platformFiles + "gke-kube-dns.Corefile", nodes: 2},
	standaloneOn("OpenShift"),
	{platform: "OpenShift", name: "forward a zone", ours: standaloneFile, replicas: 2, sticky: true,
		front: platformFiles + "openshift.Corefile", nodes: 20},
	{platform: "NodeLocal DNSCache", name: "replace, `ttlfloor 30s`", ours: platformFiles + "kubeadm.Corefile", replicas: 2,
		front: platformFiles + "nodelocal.Corefile", nodes: 20},
	{platform: "NodeLocal DNSCache", name: "replace, `ttlfloor 20s`", ours: platformFiles + "kubeadm.Corefile", replicas: 2,
		front: platformFiles + "nodelocal.Corefile", nodes: 20, change: []string{"ttlfloor 30s", "ttlfloor 20s"}},
	{platform: "NodeLocal DNSCache", name: "node cache", ours: platformFiles + "kubeadm.Corefile", replicas: 2,
		front: nodeCacheFile, nodes: 20},
	standaloneOn("NodeLocal DNSCache"),
	{platform: "any", name: "standalone, but on each node", ours: standaloneFile, replicas: 20, sticky: true},
	{platform: "any", name: "standalone, but without `sessionAffinity`", ours: standaloneFile, replicas: 2},
}

func standaloneOn(platform string) way {
	return way{platform: platform, name: "standalone", ours: standaloneFile, replicas: 2, sticky: true, works: true}
}

// TestPlatforms runs the Corefiles of platforms with a fleet of proxies, and compares the
// table in the document. With -update it writes it.
func TestPlatforms(t *testing.T) {
	t.Setenv("CLUSTER_DOMAIN", "cluster.local")
	t.Setenv("CLUSTER_DNS", "10.96.0.10")
	var table bytes.Buffer
	fmt.Fprintf(&table, "| platform | way | without *ttlfloor* | with it |\n| --- | --- | --- | --- |\n")
	for _, w := range ways {
		t.Run(w.platform+", "+w.name, func(t *testing.T) {
			without, with := w.herd(t, none), w.herd(t, "")
			t.Logf("the busiest second has %.2f times the mean, and %.2f without", with, without)
			if w.works && with > 1.10 {
				t.Errorf("want 1.10 at most, as it is said to work")
			}
			if w.works && without < 3 {
				t.Errorf("%.2f without: the fleet is none that needs it", without)
			}
			fmt.Fprintf(&table, "| %s | %s | %.1f | %.2f |\n", w.platform, w.name, without, with)
		})
	}
	if t.Failed() {
		return
	}
	text, err := os.ReadFile(platformsDocument)
	if err != nil {
		t.Fatal(err)
	}
	pattern := regexp.MustCompile(`(?s)<!-- table platforms -->\n.*?<!-- end -->`)
	now := pattern.ReplaceAllLiteral(text, []byte("<!-- table platforms -->\n"+table.String()+"<!-- end -->"))
	switch {
	case !pattern.Match(text):
		t.Error("the document has no table platforms")
	case *update:
		if err := os.WriteFile(platformsDocument, now, 0o600); err != nil {
			t.Fatal(err)
		}
	case !bytes.Equal(now, text):
		t.Errorf("the table of docs/platforms.md is not\n%s\n-update writes it", &table)
	}
}

// herd is the busiest second over the mean in minutes 5 to 8, of three seeds. Without
// ttlfloor its rules are about other names.
func (w *way) herd(t *testing.T, jitter string) (mean float64) {
	t.Helper()
	const seeds = 3
	for seed := range uint64(seeds) {
		mean += memo(fmt.Sprintf("%v, %s, %d", *w, jitter, seed), func(string) outcome {
			r := w.run(t, jitter)
			r.Seed = seed
			o, of := outcomeOf(do(t, r), 5)
			o.early = of(5, 8)
			return o
		}).early.herd / seeds
	}
	return mean
}

func (w *way) run(t *testing.T, jitter string) Run {
	t.Helper()
	ours := w.directives(t, w.ours, jitter, "ttlfloor", "cache")
	ttl := uint32(5) // the plugin's own
	if m := regexp.MustCompile(`ttl (\d+)`).FindStringSubmatch(strings.Join(w.directives(t, w.ours, jitter, "kubernetes"), "")); m != nil {
		n, err := strconv.ParseUint(m[1], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		ttl = uint32(n)
	}
	r := base(storm.Treatment{Name: w.platform, Directives: ours}, ttl)
	r.Length, r.Replicas, r.Sticky = 8*time.Minute, w.replicas, w.sticky
	if w.front != "" {
		r.PerNode, r.Node = r.Clients/w.nodes, w.directives(t, w.front, jitter, "ttlfloor", "cache")
	}
	return r
}

// directives are those of some plugins in the first server block of a Corefile.
func (w *way) directives(t *testing.T, path, jitter string, plugins ...string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`(?m)^(\S+) .*\{$`).FindSubmatch(b)
	if block == nil {
		t.Fatalf("%s has no server block", path)
	}
	all := directivesOf(t, path, string(block[1]), plugins...)
	for i, d := range all {
		all[i] = strings.NewReplacer(w.change...).Replace(d)
		if jitter == none && strings.HasPrefix(d, "ttlfloor") {
			all[i] = "ttlfloor 1s other.example"
		}
	}
	return all
}
