package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kubectl runs kubectl as the administrator and returns what it prints.
func kubectl(stdin string, args ...string) (string, error) {
	cmd := exec.Command(kubectlProgram, append([]string{"--cache-dir=" + plane.path("kubectl"), "--request-timeout=30s"}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+plane.kubeconfig)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, &errs)
	}
	return out.String(), nil
}

// mustKubectl is kubectl for what has to work.
func mustKubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := kubectl(stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// apply applies a kustomization as its head says.
func apply(dir string, options ...string) error {
	rendered, err := kubectl("", "kustomize", dir)
	if err != nil {
		return err
	}
	_, err = kubectl(rendered, append([]string{"apply", "--server-side", "--force-conflicts", "-f", "-"}, options...)...)
	return err
}

// before is what the cluster had before ours was installed, and what an
// administrator notes down to go back to.
var before struct{ corefile, image, rules string }

// install puts the manifests in the place of what kubeadm has installed.
func install() error {
	_, err := kubectl("", "create", "--field-manager=kubeadm", "-f", "testdata/kubeadm.yaml")
	for _, note := range []struct {
		of   *string
		args []string
	}{
		{&before.corefile, []string{"get", "configmap", "coredns", "-o", "jsonpath={.data.Corefile}"}},
		{&before.image, []string{"get", "deployment", "coredns", "-o", "jsonpath={.spec.template.spec.containers[0].image}"}},
		{&before.rules, []string{"get", "clusterrole", "system:coredns", "-o", "jsonpath={.rules}"}},
	} {
		if err == nil {
			*note.of, err = kubectl("", append([]string{"--namespace=kube-system"}, note.args...)...)
		}
	}
	if err == nil {
		err = apply("../deploy/base")
	}
	return err
}

// access returns a kubeconfig for a ServiceAccount, with a token that the API
// server issued for it, at a port of loopback.
func access(t *testing.T, serviceAccount string, port int) string {
	t.Helper()
	token := mustKubectl(t, "", "create", "token", "--namespace=kube-system", "--duration=1h", serviceAccount)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := plane.writeKubeconfig(path, port, strings.TrimSpace(token)); err != nil {
		t.Fatal(err)
	}
	return path
}

// deployed is what the applied Deployment says.
type deployed struct {
	serviceAccount string
	configMap, key string // of the Corefile
}

// deployment reads it from the API server.
func deployment(t *testing.T) deployed {
	t.Helper()
	d, err := plane.admin.AppsV1().Deployments("kube-system").Get(background, "coredns", meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod := d.Spec.Template.Spec
	args := strings.Join(pod.Containers[0].Args, " ")
	for _, mount := range pod.Containers[0].VolumeMounts {
		for _, volume := range pod.Volumes {
			if volume.Name != mount.Name || volume.ConfigMap == nil {
				continue
			}
			for _, item := range volume.ConfigMap.Items {
				if args == "-conf "+mount.MountPath+"/"+item.Path {
					return deployed{pod.ServiceAccountName, volume.ConfigMap.Name, item.Key}
				}
			}
		}
	}
	t.Fatalf("no ConfigMap is mounted where the arguments %q have the Corefile", args)
	return deployed{}
}

// corefile returns the Corefile of the applied ConfigMap.
func (d deployed) corefile(t *testing.T) string {
	t.Helper()
	m, err := plane.admin.CoreV1().ConfigMaps("kube-system").Get(background, d.configMap, meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Data[d.key] == "" {
		t.Fatalf("ConfigMap %q has no key %q", d.configMap, d.key)
	}
	return m.Data[d.key]
}
