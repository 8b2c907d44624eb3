package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// meshName is in the zone of the rule: a headless service of Linkerd's control plane.
const meshName = "linkerd-dst-headless.linkerd.svc.cluster.local."

// mesh is its namespace, and the service with addresses.
const mesh = `
apiVersion: v1
kind: Namespace
metadata: {name: linkerd}
---
apiVersion: v1
kind: Service
metadata: {name: linkerd-dst-headless, namespace: linkerd}
spec: {clusterIP: None, ipFamilyPolicy: PreferDualStack, ports: [{name: grpc, port: 8086}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: linkerd-dst-headless-4, namespace: linkerd, labels: {kubernetes.io/service-name: linkerd-dst-headless}}
addressType: IPv4
endpoints: [{addresses: [10.244.200.1]}, {addresses: [10.244.200.2]}, {addresses: [10.244.200.3]}]
ports: [{name: grpc, port: 8086}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: linkerd-dst-headless-6, namespace: linkerd, labels: {kubernetes.io/service-name: linkerd-dst-headless}}
addressType: IPv6
endpoints: [{addresses: ["fd00:244:0:ff::1"]}, {addresses: ["fd00:244:0:ff::2"]}]
ports: [{name: grpc, port: 8086}]
`

// said is what a client in a pod has to say; see client/main.go.
type said struct {
	Lookups int
	Failed  []string
	Slow    []time.Duration
	Socket  []string
	Late    int
	Resolv  string
}

// direct asks clients. Connections are not kept: pods end, and others get their addresses.
var direct = http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// clients are pods that look names up as applications do: one for each resolver on each node.
type clients struct {
	c         *cluster
	namespace string
	resolvers map[string]string // the image of each
	heard     map[string]said   // what each has said last, by pod, those that are gone included
}

// Resolvers that clients have. musl, as Alpine has it, asks all servers at once.
var (
	goAndLibc = map[string]string{"go": goImage, "libc": libcImage}
	andMusl   = map[string]string{"go": goImage, "libc": libcImage, "musl": muslImage}
)

// startClients starts them in a namespace of their own, whose annotations are given in YAML.
func (c *cluster) startClients(t *testing.T, namespace, annotations string, resolvers map[string]string) *clients {
	t.Helper()
	manifests := fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, annotations: {%s}}\n", namespace, annotations)
	names := strings.Join([]string{c.in(meshName), "kubernetes.default", "www.example.org"}, ",")
	for name, image := range resolvers {
		manifests += fmt.Sprintf(`---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: %[1]s, namespace: %[2]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 1
      automountServiceAccountToken: false
      tolerations: [{operator: Exists}]
      containers:
      - {name: client, image: "%[3]s", imagePullPolicy: Never, args: [-names, "%[4]s"]}
`, name, namespace, image, names)
	}
	c.apply(t, manifests)
	l := &clients{c, namespace, resolvers, map[string]said{}}
	l.wait(t)
	return l
}

// in is a name in the domain of the cluster.
func (c *cluster) in(name string) string {
	return strings.Replace(name, "cluster.local", c.domain, 1)
}

// wait waits until all run and have looked something up.
func (l *clients) wait(t *testing.T) {
	t.Helper()
	for name := range l.resolvers {
		l.c.must(t, fmt.Sprintf("--namespace=%s rollout status daemonset/%s --timeout=4m", l.namespace, name))
	}
	eventually(t, func() error {
		now, err := l.hear(t)
		for pod, s := range now {
			if s.Lookups == 0 {
				return fmt.Errorf("%s has looked nothing up", pod)
			}
		}
		return err
	})
}

// again starts them anew.
func (l *clients) again(t *testing.T) {
	t.Helper()
	l.listen(t)
	l.c.must(t, "--namespace="+l.namespace+" rollout restart daemonset")
	l.wait(t)
}

// listen collects what running pods have to say.
func (l *clients) listen(t *testing.T) (all map[string]said) {
	t.Helper()
	eventually(t, func() (err error) {
		all, err = l.hear(t)
		return err
	})
	return all
}

// hear is one attempt at that, which fails where a pod does not serve yet, or ends meanwhile.
func (l *clients) hear(t *testing.T) (map[string]said, error) {
	t.Helper()
	all := map[string]said{}
	for pod, address := range l.running(t) {
		var s said
		r, err := direct.Get("http://" + net.JoinHostPort(address, "8000"))
		if err == nil {
			err = json.NewDecoder(r.Body).Decode(&s)
			_ = r.Body.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", pod, err)
		}
		all[pod], l.heard[pod] = s, s
	}
	return all, nil
}

// waits has each look up a name of its own whose answer takes more than a second, which
// resolvers wait for by themselves.
func (l *clients) waits(t *testing.T) {
	t.Helper()
	for pod, address := range l.running(t) {
		r, err := direct.Get("http://" + net.JoinHostPort(address, "8000") + "/?name=slow-" + pod + ".example.org.")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s does not wait for a slow answer: %s", pod, text)
		}
	}
}

// running are the addresses of pods that run, by their names.
func (l *clients) running(t *testing.T) map[string]string {
	t.Helper()
	pods, err := l.c.admin.CoreV1().Pods(l.namespace).List(background, meta.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for i := range pods.Items {
		if pod := &pods.Items[i]; pod.Status.Phase == core.PodRunning && pod.DeletionTimestamp == nil && l.c.nodes[pod.Spec.NodeName] != nil {
			all[pod.Name] = pod.Status.PodIP
		}
	}
	return all
}

// during has them look up while something happens, and so many times after it, and wants
// each lookup answered.
func (l *clients) during(t *testing.T, what string, lookups int, f func()) {
	t.Helper()
	if lost := l.count(t, what, lookups, f); len(lost) > 0 {
		t.Errorf("%s: %d lookups were lost", what, len(lost))
	}
}

// orderly is during where servers end in good order, and wants each query answered that goes
// out of a socket that stays open, too.
func (l *clients) orderly(t *testing.T, what string, lookups int, f func()) {
	t.Helper()
	before := l.listen(t)
	l.during(t, what, lookups, f)
	for pod, s := range l.listen(t) {
		if late := s.Late - before[pod].Late; late > 0 {
			t.Logf("%s: %s: %d out of one socket were answered the third time", what, pod, late)
		}
		if lost := s.Socket[len(before[pod].Socket):]; len(lost) > 0 {
			t.Errorf("%s: lost of those out of one socket: %s: %q", what, pod, lost)
		}
	}
}

// count is during where lookups may be lost. It returns those.
func (l *clients) count(t *testing.T, what string, lookups int, f func()) (lost []string) {
	t.Helper()
	l.listen(t)
	before := maps.Clone(l.heard)
	f()
	after := l.listen(t)
	eventually(t, func() error {
		now, err := l.hear(t)
		if err != nil {
			return err
		}
		if len(now) == 0 {
			return errors.New("no client says anything")
		}
		for pod, s := range now {
			if n := s.Lookups - after[pod].Lookups; n < lookups {
				return fmt.Errorf("%s has made %d lookups, want %d", pod, n, lookups)
			}
		}
		return nil
	})
	sum := 0
	var slow []time.Duration
	for pod, s := range l.heard {
		was := before[pod]
		sum += s.Lookups - was.Lookups
		slow = append(slow, s.Slow[len(was.Slow):]...)
		for _, failed := range s.Failed[len(was.Failed):] {
			lost = append(lost, pod+": "+failed)
		}
	}
	slowest := "below a second"
	if len(slow) > 0 {
		slowest = slices.Max(slow).Round(time.Millisecond).String()
	}
	for _, l := range lost[:min(5, len(lost))] {
		t.Logf("%s: lost: %s", what, l)
	}
	t.Logf("%s: %d queries, %d lost, %d took a second or more, the slowest %s", what, sum, len(lost), len(slow), slowest)
	return lost
}
