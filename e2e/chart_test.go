//go:build chart

package e2e

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The chart is in no registry that these tests reach, so this one is run by hand:
//
//	make helm CHART=DIR
var chart = flag.String("chart", "", "folder of the chart coredns/coredns")

// helm runs helm as the administrator.
func helm(t *testing.T, args ...string) string {
	t.Helper()
	path, err := filepath.Abs("../bin/helm")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+plane.kubeconfig)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestChart has helm put the official chart, with the values of deploy/helm, in the place of
// what kubeadm made.
func TestChart(t *testing.T) {
	dir, err := filepath.Abs(*chart)
	if err != nil || *chart == "" {
		t.Fatalf("-chart is %q, want the folder of the chart (%v)", *chart, err)
	}
	rollback(t)
	values := []string{"coredns", dir, "--namespace=kube-system", "--values=../deploy/helm/values.yaml"}
	helm(t, append([]string{"upgrade", "--install", "--take-ownership", "--force-conflicts"}, values...)...)

	words := func(corefile string) []string {
		return strings.Fields(strings.ReplaceAll(regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(corefile, ""), "dns://", ""))
	}
	got := deployment(t).corefile(t)
	if a, b := strings.Join(words(got), " "), strings.Join(words(read(t, "../deploy/base/Corefile")), " "); a != b {
		t.Errorf("the Corefile is\n%s\nwant\n%s", a, b)
	}
	p := startReady(t, coreDNSProgram, got)
	p.healthy(t)

	service, err := plane.admin.CoreV1().Services("kube-system").Get(background, "kube-dns", meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ports := map[core.Protocol]bool{}
	for _, port := range service.Spec.Ports {
		ports[port.Protocol] = ports[port.Protocol] || port.Port == 53
	}
	if !ports[core.ProtocolUDP] || !ports[core.ProtocolTCP] {
		t.Errorf("the Service has %v, want port 53 of UDP and TCP", service.Spec.Ports)
	}
	pod := theDeployment(t).Spec.Template
	if !contains(pod.Labels, service.Spec.Selector) {
		t.Errorf("the Service selects %v, the pods have %v", service.Spec.Selector, pod.Labels)
	}
	if !strings.HasPrefix(pod.Spec.Containers[0].Image, "ghcr.io/ttlfloor/coredns:") {
		t.Errorf("the image is %s", pod.Spec.Containers[0].Image)
	}

	// Differences that docs/operations.md tells of.
	for kind, name := range map[string]string{"clusterrole": "coredns", "clusterrolebinding": "coredns", "service": "coredns-metrics"} {
		mustKubectl(t, "", "--namespace=kube-system", "get", kind, name)
	}
	checksum := regexp.MustCompile(`checksum/config: (\w+)`)
	sum := func(more ...string) string {
		found := checksum.FindStringSubmatch(helm(t, append(append([]string{"template"}, values...), more...)...))
		if found == nil {
			t.Fatal("the chart has no checksum/config")
		}
		return found[1]
	}
	if before, after := sum(), sum("--set=servers[0].port=54"); before == after {
		t.Error("pods are not restarted when the Corefile changes")
	}
}
