package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
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
	own      string // Corefile of the platform without us; "" is ours without the rules
	ours     string // Corefile with our line
	replicas int
	sticky   bool     // a client keeps to one of them, by sessionAffinity
	second   bool     // clients ask the platform's own as well, and take either answer
	front    string   // Corefile of servers in front, which ask ours; "" is none
	nodes    int      // of them
	change   []string // what is said in the Corefiles, and what is said instead
	most     float64  // herd
}

const (
	platformFiles  = "testdata/platforms/"
	standaloneFile = "../../../../deploy/standalone/server/Corefile"
	nodeCacheFile  = "../../../../deploy/node-cache/Corefile"
	works          = 1.10 // where the document says that a way works
)

// The ways, on clusters of 1,000 proxies on 20 nodes.
var ways = []way{
	replace("kubeadm", "kubeadm", 2),
	replace("k3s", "k3s", 1),
	replace("RKE2", "rke2", 2),
	replace("Talos", "talos", 2),
	replace("EKS, self-managed", "eks", 2),
	standaloneOn("k3s", "k3s"),
	standaloneOn("EKS, add-on", "eks"),
	standaloneOn("AKS", "aks-own"),
	standaloneOn("GKE, kube-dns", "gke-own"),
	standaloneOn("OpenShift", "openshift-own"),
	forward("AKS", "aks", 2, 2),
	forward("AKS with LocalDNS", "aks-localdns", 20, 2.5),
	forward("GKE, kube-dns", "gke-kube-dns", 2, 15),
	forward("OpenShift", "openshift", 20, 2.5),
	{platform: "NodeLocal DNSCache", name: "replace, `ttlfloor 30s`", ours: platformFiles + "kubeadm.Corefile", replicas: 2,
		front: platformFiles + "nodelocal.Corefile", nodes: 20, most: 30},
	{platform: "NodeLocal DNSCache", name: "replace, `ttlfloor 20s`", ours: platformFiles + "kubeadm.Corefile", replicas: 2,
		front: platformFiles + "nodelocal.Corefile", nodes: 20, change: []string{"ttlfloor 30s", "ttlfloor 20s"}, most: 2},
	{platform: "NodeLocal DNSCache", name: "node cache", ours: platformFiles + "kubeadm.Corefile", replicas: 2, front: nodeCacheFile, nodes: 20, most: 1.4},
	{platform: "any", name: "standalone, 3 servers", own: platformFiles + "kubeadm.Corefile", ours: standaloneFile, replicas: 3, sticky: true, most: works},
	{platform: "any", name: "standalone, 10 servers", own: platformFiles + "kubeadm.Corefile", ours: standaloneFile, replicas: 10, sticky: true, most: works},
	{platform: "any", name: "standalone, on each node", own: platformFiles + "kubeadm.Corefile", ours: standaloneFile, replicas: 20, sticky: true, most: 1.4},
	{platform: "any", name: "standalone, without `sessionAffinity`", own: platformFiles + "kubeadm.Corefile", ours: standaloneFile, replicas: 2, most: works},
	{platform: "any", name: "standalone, asked together with the cluster's own", own: platformFiles + "kubeadm.Corefile", ours: standaloneFile,
		replicas: 2, sticky: true, second: true, most: 12},
}

func replace(platform, file string, replicas int) way {
	return way{platform: platform, name: "replace", ours: platformFiles + file + ".Corefile", replicas: replicas, most: works}
}

func standaloneOn(platform, file string) way {
	return way{platform: platform, name: "standalone", own: platformFiles + file + ".Corefile", ours: standaloneFile, replicas: 2, sticky: true, most: works}
}

func forward(platform, file string, nodes int, most float64) way {
	return way{platform: platform, name: "forward a zone", ours: standaloneFile, replicas: 2, sticky: true,
		front: platformFiles + file + ".Corefile", nodes: nodes, most: most}
}

// TestPlatforms runs the Corefiles of platforms with a fleet of proxies, and compares the
// table in the document. With -update it writes it.
func TestPlatforms(t *testing.T) {
	t.Setenv("CLUSTER_DOMAIN", "cluster.local")
	t.Setenv("CLUSTER_DNS", "10.96.0.10")
	// What the ways with two servers are about, the manifests have to say.
	for file, want := range map[string]string{"service.yaml": "  sessionAffinity: ClientIP\n", "deployment.yaml": "  replicas: 2\n"} {
		if b, err := os.ReadFile(filepath.Join(filepath.Dir(standaloneFile), file)); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s does not say %q (%v)", file, want, err)
		}
	}
	var table bytes.Buffer
	fmt.Fprintf(&table, "| platform | way | without *ttlfloor* | with it |\n| --- | --- | --- | --- |\n")
	some := ways
	if underRace { // which takes ten times as long
		some = ways[:2]
	}
	for _, w := range some {
		t.Run(w.platform+", "+w.name, func(t *testing.T) {
			without, with := w.herd(t, none), w.herd(t, "")
			t.Logf("the busiest second has %.2f times the mean, and %.2f without", with, without)
			if with > w.most {
				t.Errorf("want %.2f at most", w.most)
			}
			if without < 3 {
				t.Errorf("%.2f without: the fleet is none that needs it", without)
			}
			fmt.Fprintf(&table, "| %s | %s | %.1f | %.2f |\n", w.platform, w.name, without, with)
		})
	}
	if t.Failed() || underRace {
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
	file := w.ours
	if jitter == none && w.own != "" {
		file = w.own
	}
	r := base(storm.Treatment{Name: w.platform, Directives: w.directives(t, file, jitter, "ttlfloor", "cache")}, w.ttl(t, file))
	r.Length, r.Replicas, r.Sticky = 8*time.Minute, w.replicas, w.sticky
	if w.second && jitter != none {
		r.Second = w.directives(t, w.own, none, "ttlfloor", "cache")
	}
	if w.front != "" {
		r.PerNode, r.Node = r.Clients/w.nodes, w.directives(t, w.front, jitter, "ttlfloor", "cache")
	}
	return r
}

// ttl is that of names of the cluster, by a Corefile.
func (w *way) ttl(t *testing.T, file string) uint32 {
	t.Helper()
	m := regexp.MustCompile(`ttl (\d+)`).FindStringSubmatch(strings.Join(w.directives(t, file, none, "kubernetes"), ""))
	if m == nil {
		return 5 // the plugin's own
	}
	n, err := strconv.ParseUint(m[1], 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
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
