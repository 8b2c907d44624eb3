package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// custom are kinds that the manifests may have and this API server does not know,
// since an operator brings them.
var custom = []string{"PrometheusRule", "ServiceMonitor", "PodMonitor", "MutatingPolicy"}

// kustomizations are those of the manifests beside the base, and what the
// Corefile of each does: the TTLs of an answer.
var kustomizations = map[string][]struct {
	name            string
	qtype           uint16
	lowest, highest uint32
}{
	"../deploy/overlays/consul": {
		{"api.service.consul.", dns.TypeA, 11, 15},
		{"api.service.consul.", dns.TypeSRV, 22, 30},
		{policy, dns.TypeSRV, outsideTheRules, outsideTheRules},
	},
	"../deploy/overlays/istio": {
		{"web.shop.svc.cluster.local.", dns.TypeA, floor, ceiling},
		{"web.shop.svc.cluster.local.", dns.TypeAAAA, floor, ceiling},
		{policy, dns.TypeSRV, outsideTheRules, outsideTheRules},
		{"low.example.org.", dns.TypeA, 22, 30},
		{"www.example.org.", dns.TypeA, 20, 30},       // 30 from the cache, which is not raised
		{"_sip._udp.example.org.", dns.TypeSRV, 5, 5}, // the cache's least
	},
	standalone: {
		{policy, dns.TypeSRV, floor, ceiling},
		{"web.shop.svc.cluster.local.", dns.TypeA, outsideTheRules, outsideTheRules},
	},
	standalone + "/server":  {{policy, dns.TypeSRV, floor, ceiling}},
	standalone + "/kyverno": {{policy, dns.TypeSRV, floor, ceiling}},
	combined: {
		{policy, dns.TypeSRV, floor, ceiling},
		{"web.shop.svc.cluster.local.", dns.TypeAAAA, floor, ceiling},
		{"web.shop.svc.cluster.local.", dns.TypeSRV, outsideTheRules, outsideTheRules},
		{"low.example.org.", dns.TypeA, 22, 30},
		{"api.service.consul.", dns.TypeA, 11, 15},
		{"api.service.consul.", dns.TypeSRV, 22, 30},
	},
	"testdata/standalone": {
		{policy, dns.TypeSRV, floor, ceiling},
		{"web.shop.svc.cluster.local.", dns.TypeA, floor, ceiling},
		{"web.shop.svc.cluster.local.", dns.TypeSRV, outsideTheRules, outsideTheRules},
		{"low.example.org.", dns.TypeA, 22, 30},
	},
	nodeCache: {
		{policy, dns.TypeSRV, 11, ceiling}, // what the cluster gives, cut to 30 by the cache
		{"web.shop.svc.cluster.local.", dns.TypeA, 1, 30},
		{"www.example.org.", dns.TypeA, 1, 30},
	},
}

// standalone is a second server beside the cluster's own, which it asks for the world.
const standalone = "../deploy/standalone"

// nodeCache is a second tier: it asks the servers of the cluster.
const nodeCache = "../deploy/node-cache"

// combined is the base with components that overlays have one by one.
const combined = "testdata/combined"

// TestKustomizations has the API server judge each kustomization, and boots the
// Corefile of each. Components are none by themselves: testdata has some with them.
func TestKustomizations(t *testing.T) {
	dirs := []string{combined, "testdata/standalone"}
	var used string
	for _, dir := range dirs {
		used += read(t, dir+"/kustomization.yaml")
	}
	err := filepath.WalkDir("../deploy", func(path string, _ os.DirEntry, err error) error {
		if filepath.Base(path) != "kustomization.yaml" || path == "../deploy/base/kustomization.yaml" {
			return err
		}
		dir := filepath.Dir(path)
		if !strings.Contains(read(t, path), "\nkind: Component\n") {
			dirs = append(dirs, dir)
		} else if !strings.Contains(used, strings.TrimPrefix(dir, "..")) {
			t.Errorf("%s is in no kustomization of testdata", dir)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir := range kustomizations {
		if !slices.Contains(dirs, dir) {
			t.Errorf("%s has no kustomization.yaml", dir)
		}
	}
	for _, dir := range dirs {
		t.Run(strings.TrimPrefix(dir, "../"), func(t *testing.T) {
			t.Parallel()
			var known []string
			corefiles := 0
			for doc := range strings.SplitSeq(mustKubectl(t, "", "kustomize", dir), "\n---\n") {
				var object struct {
					meta.TypeMeta
					Data map[string]string
				}
				if err := yaml.Unmarshal([]byte(doc), &object); err != nil {
					t.Fatal(err)
				}
				if slices.Contains(custom, object.Kind) {
					continue
				}
				if object.Kind == "Namespace" { // in which the others are
					mustKubectl(t, doc, "apply", "--server-side", "-f", "-")
				}
				known = append(known, doc)
				if corefile := object.Data["Corefile"]; object.Kind == "ConfigMap" && corefile != "" {
					corefiles++
					boots(t, dir, corefile)
				}
			}
			if want := len(kustomizations[dir]) > 0; want && corefiles != 1 {
				t.Errorf("%d Corefiles, want one", corefiles)
			}
			out := mustKubectl(t, strings.Join(known, "\n---\n"), "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-")
			t.Logf("the API server says:\n%s", out)
		})
	}
}

// TestComponents has the components say what the overlays do, word by word, in the
// place that is theirs.
func TestComponents(t *testing.T) {
	rendered := mustKubectl(t, "", "kustomize", combined)
	var got string
	for doc := range strings.SplitSeq(rendered, "\n---\n") {
		var c core.ConfigMap
		if err := yaml.Unmarshal([]byte(doc), &c); err != nil {
			t.Fatal(err)
		}
		if c.Kind == "ConfigMap" {
			got += c.Data["Corefile"]
		}
	}
	const begin, end = "    # Rules of deploy/components begin here.\n", "    # Rules of deploy/components end here.\n"
	istio := strings.Split(read(t, "../deploy/overlays/istio/Corefile"), "\n\n")
	block, _, found := strings.Cut(read(t, "../deploy/overlays/consul/Corefile"), "\n\n.:53 {")
	base := read(t, "../deploy/base/Corefile")
	if len(istio) != 4 || !found || !strings.Contains(base, begin+end) {
		t.Fatal("the Corefiles have other parts than the components know of")
	}
	rules := strings.Join(istio[1:3], "\n\n") + "\n"
	if want := strings.Replace(base, begin+end, begin+rules+end, 1) + "\n" + block + "\n"; got != want {
		t.Errorf("the Corefile is\n%s\nwant\n%s", got, want)
	}
}

// TestEnds has each server be said to end while it still answers: see the readiness probe of
// deploy/base. What is between takes seconds to learn of it.
func TestEnds(t *testing.T) {
	const learns = 5
	for _, dir := range []string{"../deploy/base", "../deploy/overlays/consul", "../deploy/overlays/istio", standalone} {
		rendered := mustKubectl(t, "", "kustomize", dir)
		var probe *core.Probe
		for doc := range strings.SplitSeq(rendered, "\n---\n") {
			var d apps.Deployment
			if err := yaml.Unmarshal([]byte(doc), &d); err == nil && d.Kind == "Deployment" {
				probe = d.Spec.Template.Spec.Containers[0].ReadinessProbe
			}
		}
		lameduck := regexp.MustCompile(`lameduck (\d+)s\n`).FindStringSubmatch(rendered)
		if probe == nil || lameduck == nil {
			t.Fatalf("%s has no probe, or no lameduck", dir)
		}
		answers, err := strconv.Atoi(lameduck[1])
		if said := int(probe.PeriodSeconds * probe.FailureThreshold); err != nil || said == 0 || answers < said+learns {
			t.Errorf("%s: a server is said to end after %d seconds, and answers for %d (%v)", dir, said, answers, err)
		}
		if probe.SuccessThreshold < 2 { // "ready" says yes before the server listens
			t.Errorf("%s: a server is ready after %d answers", dir, probe.SuccessThreshold)
		}
	}
}

// boots starts a Corefile and asks for what the table has of it.
func boots(t *testing.T, dir, corefile string) {
	t.Helper()
	questions, ok := kustomizations[dir]
	if !ok {
		t.Errorf("say in the table what the Corefile of %s does", dir)
	}
	at := newPlace(upstream(t), access(t, deployment(t).serviceAccount, plane.port))
	if dir == nodeCache {
		at.upstream = startReady(t, coreDNSProgram, deployment(t).corefile(t)).dns
	}
	p := startPodAt(t, coreDNSProgram, corefile, at, "CLUSTER_DNS="+at.upstream, "CLUSTER_DOMAIN=cluster.local")
	if strings.Contains(corefile, "    ready") {
		p.waitReady(t)
	}
	for _, q := range questions {
		var m *dns.Msg
		eventually(t, patience, func() (err error) {
			if m, err = exchange(p.dns, q.name, q.qtype); err == nil && len(m.Answer) == 0 {
				err = fmt.Errorf("no answer:\n%v", m)
			}
			return err
		})
		for _, rr := range m.Answer {
			if ttl := rr.Header().Ttl; ttl < q.lowest || ttl > q.highest {
				t.Errorf("TTL %d, want %d to %d:\n%v", ttl, q.lowest, q.highest, rr)
			}
		}
	}
	p.healthy(t)
}

// TestApplyAgain applies the base a second time, and nothing changes.
func TestApplyAgain(t *testing.T) {
	rendered := mustKubectl(t, "", "kustomize", "../deploy/base")
	versions := func() string {
		return mustKubectl(t, rendered, "get", "-f", "-", "-o", `jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.resourceVersion}{"\n"}{end}`)
	}
	before := versions()
	if err := apply("../deploy/base"); err != nil {
		t.Fatal(err)
	}
	if after := versions(); after != before || before == "" {
		t.Errorf("versions\n%safter it was applied again\n%s", before, after)
	}
}

// TestTakenOver looks at what has become of kubeadm's Deployment, which keeps what
// ours does not speak of.
func TestTakenOver(t *testing.T) {
	pod := theDeployment(t).Spec.Template.Spec
	if len(pod.Containers) != 1 || len(pod.Volumes) != 1 || len(pod.Containers[0].VolumeMounts) != 1 {
		t.Fatalf("%d containers, %d volumes, want one of each", len(pod.Containers), len(pod.Volumes))
	}
	if pod.Containers[0].Image == before.image {
		t.Errorf("image %q, want ours", before.image)
	}
	ports := map[string]bool{}
	for _, p := range pod.Containers[0].Ports {
		if name := fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol); ports[name] {
			t.Errorf("port %s is there twice", name)
		} else {
			ports[name] = true
		}
	}
	if deployment(t).corefile(t) == before.corefile {
		t.Error("the Corefile is kubeadm's")
	}
}

// TestPodSecurity has the API server hold the pods of the Deployment to the
// strictest of the Pod Security Standards.
func TestPodSecurity(t *testing.T) {
	d := theDeployment(t)
	_, err := plane.admin.CoreV1().Namespaces().Create(background, &core.Namespace{ObjectMeta: meta.ObjectMeta{
		Name: "strict", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	create := func(spec core.PodSpec) error {
		_, err := plane.admin.CoreV1().Pods("strict").Create(background, &core.Pod{ObjectMeta: meta.ObjectMeta{Name: "coredns"}, Spec: spec},
			meta.CreateOptions{DryRun: []string{meta.DryRunAll}})
		return err
	}
	if err := create(d.Spec.Template.Spec); err != nil {
		t.Error(err)
	}
	lax := d.Spec.Template.Spec.DeepCopy()
	lax.Containers[0].SecurityContext.Capabilities.Drop = nil
	if err := create(*lax); err == nil {
		t.Error("a pod that keeps its capabilities is let in, so nobody looks")
	}
}

func theDeployment(t *testing.T) *apps.Deployment {
	t.Helper()
	d, err := plane.admin.AppsV1().Deployments("kube-system").Get(background, "coredns", meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestPortsAgree compares the ports of the Corefile with those that the
// Deployment and the Service send kubelet, Prometheus and clients to.
func TestPortsAgree(t *testing.T) {
	corefile := deployment(t).corefile(t)
	number := func(pattern, otherwise string) string {
		m := regexp.MustCompile(`(?m)` + pattern).FindStringSubmatch(corefile)
		switch {
		case m == nil:
			t.Fatalf("no %s in the Corefile", pattern)
		case m[1] != "":
			return m[1]
		}
		return otherwise
	}
	dnsPort := number(`^\.(?::(\d+))? \{`, "53")
	health, ready := number(`^ +health(?: :(\d+))?(?: \{)?$`, "8080"), number(`^ +ready(?: :(\d+))?$`, "8181")
	metrics := number(`^ +prometheus(?: :(\d+))?$`, "9153")

	container := theDeployment(t).Spec.Template.Spec.Containers[0]
	resolve := func(port intstr.IntOrString) string {
		for _, p := range container.Ports {
			if port.Type == intstr.String && p.Name == port.StrVal {
				return fmt.Sprint(p.ContainerPort)
			}
		}
		return port.String()
	}
	service, err := plane.admin.CoreV1().Services("kube-system").Get(background, "kube-dns", meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]string{}
	for _, p := range service.Spec.Ports {
		targets[fmt.Sprintf("%d/%s", p.Port, p.Protocol)] = resolve(p.TargetPort)
	}
	for _, c := range []struct{ name, got, want string }{
		{"liveness", resolve(container.LivenessProbe.HTTPGet.Port), health},
		{"readiness", resolve(container.ReadinessProbe.HTTPGet.Port), ready},
		{"scrape annotation", service.Annotations["prometheus.io/port"], metrics},
		{"service, UDP", targets["53/UDP"], dnsPort},
		{"service, TCP", targets["53/TCP"], dnsPort},
		{"service, metrics", targets["9153/TCP"], metrics},
	} {
		if c.got != c.want {
			t.Errorf("%s: port %q, want the Corefile's %s", c.name, c.got, c.want)
		}
	}
	if labels := theDeployment(t).Spec.Template.Labels; !contains(labels, service.Spec.Selector) {
		t.Errorf("the service selects %v, the pods have %v", service.Spec.Selector, labels)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func contains(all, some map[string]string) bool {
	for k, v := range some {
		if all[k] != v {
			return false
		}
	}
	return len(some) > 0
}
