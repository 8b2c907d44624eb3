package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const coredns = "--namespace=kube-system rollout status deployment/coredns --timeout=4m"

// many lookups of a pod are enough to tell whether answers are lost.
const many = 400

// TestBase runs deploy/base on a node: what it may do there, and what becomes of answers
// while it is changed, rightly or not.
func TestBase(t *testing.T) {
	onMachine(t, options{}, func(c *cluster) {
		c.apply(t, mesh)
		c.apply(t, c.render(t, "../../deploy/base"))
		c.must(t, "--namespace=kube-system scale deployment/coredns --replicas=2")
		c.must(t, coredns)
		c.services(t, 0)
		served(t, clusterDNS, meshName, dns.TypeA, 33, 45)
		served(t, clusterDNS, "kubernetes.default.svc.cluster.local.", dns.TypeA, 30, 30)

		t.Run("rights", func(t *testing.T) { rights(t) })
		t.Run("probes", func(t *testing.T) { probes(t, c, "kube-system") })

		l := c.startClients(t, "shop", "", goAndLibc)
		t.Run("resolv.conf", func(t *testing.T) {
			for pod, s := range l.listen(t) {
				if !strings.Contains(s.Resolv, "nameserver "+clusterDNS+"\n") || strings.Count(s.Resolv, "nameserver") != 1 {
					t.Errorf("%s has\n%s", pod, s.Resolv)
				}
			}
		})
		t.Run("restart", func(t *testing.T) {
			l.orderly(t, "restart", many, func() {
				c.must(t, "--namespace=kube-system rollout restart deployment/coredns")
				c.must(t, coredns)
			})
		})
		t.Run("wrong image", func(t *testing.T) {
			l.orderly(t, "wrong image", many, func() {
				c.must(t, "--namespace=kube-system set image deployment/coredns coredns=localhost/none:v1")
				c.waitFor(t, "kube-system", "ErrImage", "ImagePullBackOff")
				if n := c.readyPods(t, "kube-system"); n != 2 {
					t.Errorf("%d pods are ready, want the 2 that were", n)
				}
			})
			l.orderly(t, "undo", many, func() {
				c.must(t, "--namespace=kube-system rollout undo deployment/coredns")
				c.must(t, coredns)
			})
		})
		t.Run("without the capability", func(t *testing.T) {
			l.during(t, "without the capability", many, func() {
				c.must(t, `--namespace=kube-system patch deployment/coredns --type=json --patch=[{"op":"remove","path":"/spec/template/spec/containers/0/securityContext/capabilities/add"}]`)
				c.waitFor(t, "kube-system", "RunContainerError", "CrashLoopBackOff", "Error")
				if n := c.readyPods(t, "kube-system"); n != 2 {
					t.Errorf("%d pods are ready, want the 2 that were", n)
				}
				c.must(t, "--namespace=kube-system rollout undo deployment/coredns")
				c.must(t, coredns)
			})
		})
		t.Run("broken Corefile", func(t *testing.T) {
			l.during(t, "broken Corefile", many, func() {
				c.corefile(t, "ttlfloor 30s", "ttlfloor 30 s")
				c.logged(t, "reload failed")
				c.corefile(t, "ttlfloor 30s", "ttlfloor 60s")
				c.logged(t, "Reloading complete")
				served(t, clusterDNS, meshName, dns.TypeA, 66, 90)
			})
		})
		t.Run("killed", func(t *testing.T) {
			// Until the kubelet has seen it, half of the queries are refused, and libc may give up.
			l.count(t, "one of two servers killed", 0, func() {
				do(t, "kill -KILL "+filepath.Base(running("/coredns")[0]))
				eventually(t, func() error {
					if n := len(running("/coredns")); n != 2 {
						return fmt.Errorf("%d servers, want the other and a new one", n)
					}
					return nil
				})
				c.must(t, coredns)
				time.Sleep(15 * time.Second) // until those that were on their way are over
			})
			l.during(t, "after that", many, func() {})
		})
	})
}

// rights looks at what the servers may do.
func rights(t *testing.T) {
	t.Helper()
	dirs := running("/coredns")
	if len(dirs) == 0 {
		t.Fatal("no server runs")
	}
	const netBindService = 1 << 10 // capability(7)
	for _, dir := range dirs {
		for name, want := range map[string]string{
			"Uid": "65532 65532 65532 65532", "Gid": "65532 65532 65532 65532",
			"CapEff": fmt.Sprintf("%016x", netBindService), "CapBnd": fmt.Sprintf("%016x", netBindService),
			"NoNewPrivs": "1", "Seccomp": "2",
		} {
			if got, err := field(dir+"/status", name); err != nil || got != want {
				t.Errorf("%s is %q (%v), want %q", name, got, err, want)
			}
		}
		mounts, err := os.ReadFile(filepath.Join(dir, "mounts")) // #nosec G304 -- of the system
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(mounts)) {
			if f := strings.Fields(line); f[1] == "/" && !slices.Contains(strings.Split(f[3], ","), "ro") {
				t.Errorf("its root can be written to: %s", line)
			}
		}
		resolv, err := os.ReadFile(filepath.Join(dir, "root/etc/resolv.conf")) // #nosec G304 -- of the system
		if err != nil || !strings.Contains(string(resolv), machineIP) {
			t.Errorf("its resolv.conf is %q (%v), want that of the node", resolv, err)
		}
		if limit, err := memoryLimit(dir); err != nil || limit != "178257920" {
			t.Errorf("its limit of memory is %s (%v), want 170 MiB", limit, err)
		}
		port, err := exec.Command("nsenter", "--net", "--target="+filepath.Base(dir), "sysctl", "--values", "net.ipv4.ip_unprivileged_port_start").Output() // #nosec G204 -- from the code
		if strings.TrimSpace(string(port)) != "53" {
			t.Errorf("ports from %s on are open to all (%v), want 53", port, err)
		}
	}
}

// memoryLimit is that of the control group of a process, in bytes.
func memoryLimit(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup")) // #nosec G304 -- of the system
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		file := ""
		switch {
		case f[1] == "memory":
			file = "/sys/fs/cgroup/memory" + f[2] + "/memory.limit_in_bytes"
		case f[1] == "" && unified():
			file = "/sys/fs/cgroup" + f[2] + "/memory.max"
		default:
			continue
		}
		limit, err := os.ReadFile(file) // #nosec G304 -- of the system
		return strings.TrimSpace(string(limit)), err
	}
	return "", fmt.Errorf("%s has no group for memory:\n%s", dir, b)
}

// probes wants no probe to have failed but that of readiness before a pod was ready.
func probes(t *testing.T, c *cluster, namespace string) {
	t.Helper()
	events, err := c.admin.CoreV1().Events(namespace).List(background, meta.ListOptions{FieldSelector: "reason=Unhealthy"})
	if err != nil {
		t.Fatal(err)
	}
	since := map[string]time.Time{} // each is ready
	for _, pod := range c.pods(t, namespace) {
		for _, is := range pod.Status.Conditions {
			if is.Type == core.PodReady && is.Status == core.ConditionTrue {
				since[pod.Name] = is.LastTransitionTime.Time
			}
		}
	}
	for i := range events.Items {
		if e := &events.Items[i]; !strings.Contains(e.Message, "Readiness") || e.LastTimestamp.After(since[e.InvolvedObject.Name]) {
			t.Errorf("%s, %d times: %s", e.InvolvedObject.Name, e.Count, e.Message)
		}
	}
}

// pods are those of a namespace.
func (c *cluster) pods(t *testing.T, namespace string) []core.Pod {
	t.Helper()
	pods, err := c.admin.CoreV1().Pods(namespace).List(background, meta.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pods.Items
}

// readyPods counts those that are ready.
func (c *cluster) readyPods(t *testing.T, namespace string) (n int) {
	t.Helper()
	for _, pod := range c.pods(t, namespace) {
		for _, condition := range pod.Status.Conditions {
			if condition.Type == core.PodReady && condition.Status == core.ConditionTrue && pod.DeletionTimestamp == nil {
				n++
			}
		}
	}
	return n
}

// waitFor waits for a container that waits, or has ended, for one of some reasons.
func (c *cluster) waitFor(t *testing.T, namespace string, reasons ...string) {
	t.Helper()
	eventually(t, func() error {
		var seen []string
		for _, pod := range c.pods(t, namespace) {
			for _, status := range pod.Status.ContainerStatuses {
				reason := ""
				if status.State.Waiting != nil {
					reason = status.State.Waiting.Reason
				}
				if status.State.Terminated != nil {
					reason = status.State.Terminated.Reason
				}
				if slices.ContainsFunc(reasons, func(r string) bool { return strings.HasPrefix(reason, r) }) {
					return nil
				}
				seen = append(seen, reason)
			}
		}
		return fmt.Errorf("the reasons are %q, want one of %q", seen, reasons)
	})
}

// corefile changes the one of the ConfigMap that is in the manifests.
func (c *cluster) corefile(t *testing.T, was, is string) {
	t.Helper()
	m, err := c.admin.CoreV1().ConfigMaps("kube-system").Get(background, "coredns", meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("../../deploy/base/Corefile")
	if err != nil || !strings.Contains(string(b), was) {
		t.Fatalf("no %q in the Corefile: %v", was, err)
	}
	m.Data["Corefile"] = strings.Replace(string(b), was, is, 1)
	if _, err := c.admin.CoreV1().ConfigMaps("kube-system").Update(background, m, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// logged waits until all servers have written something.
func (c *cluster) logged(t *testing.T, text string) {
	t.Helper()
	eventually(t, func() error {
		for _, pod := range c.pods(t, "kube-system") {
			out, err := c.kubectl("", "--namespace=kube-system", "logs", pod.Name)
			if err != nil {
				return err
			}
			if !strings.Contains(out, text) {
				return fmt.Errorf("%s did not write %q:\n%s", pod.Name, text, out)
			}
		}
		return nil
	})
}
