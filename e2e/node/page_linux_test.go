package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPage types the commands of docs/platforms.md on a second CoreDNS, as they stand, where
// the image is the only thing that differs.
func TestPage(t *testing.T) {
	onMachine(t, options{}, func(c *cluster) {
		c.stock(t)
		c.apply(t, mesh)
		c.apply(t, `apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: client, image: "`+goImage+`", imagePullPolicy: Never, args: [-names, kubernetes.default]}]
`)
		root := t.TempDir()
		do(t, "cp -r ../../deploy "+root)
		image, err := ourImage()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(root, "deploy/standalone/server/kustomization.yaml")
		_, tag, _ := strings.Cut(strings.TrimPrefix(image, "ghcr.io/"), ":")
		do(t, "sed -i s/newTag:.*/newTag:\\x20"+tag+"/ "+file)
		if err := os.MkdirAll(filepath.Join(root, "bin"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(bin("kubectl"), filepath.Join(root, "bin/kubectl")); err != nil {
			t.Fatal(err)
		}

		text, err := os.ReadFile("../../docs/platforms.md")
		if err != nil {
			t.Fatal(err)
		}
		_, section, _ := strings.Cut(string(text), "\n## Standalone\n")
		section, _, _ = strings.Cut(section, "\n## ")
		shows := map[string]string{ // by what is in a block, what it prints
			"get service kube-dns":   clusterDNS + "\n" + serviceCIDR + "\n",
			"label namespace shop":   standaloneIP,
			"delete mutatingadmissi": "deleted",
			"get pods --all-namespa": "<none>",
		}
		blocks := regexp.MustCompile(`(?s)~~~ sh\n(.*?)~~~`).FindAllStringSubmatch(section, -1)
		for _, block := range blocks {
			if strings.Contains(block[1], "make node") {
				continue
			}
			// As the page says, the API server takes some seconds to know of a policy, and that it is gone.
			const labelled = "--labels=ttlfloor.github.io/dns=enabled"
			switch {
			case strings.Contains(block[1], "label namespace"):
				c.selected(t, true, "default", labelled)
			case strings.Contains(block[1], "get pods --all-namespaces"):
				c.selected(t, false, "default", labelled)
			}
			cmd := exec.Command("bash", "-ec", block[1]) // #nosec G204 -- from the document
			cmd.Dir = root
			cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "PATH="+root+"/bin:"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			t.Logf("%s\n%s", block[1], out)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(block[1], "get pods --all-namespaces") {
				eventually(t, func() error { // those that end are listed for a while
					out, err := c.kubectl("", "get", "pods", "--all-namespaces", "--output=custom-columns=POD:.metadata.name,SERVERS:.spec.dnsConfig.nameservers")
					if err == nil && strings.Contains(out, standaloneIP) {
						err = fmt.Errorf("a pod still asks %s:\n%s", standaloneIP, out)
					}
					return err
				})
			}
			for in, want := range shows {
				if strings.Contains(block[1], in) {
					if !strings.Contains(string(out), want) {
						t.Errorf("want %q among it", want)
					}
					delete(shows, in)
				}
			}
		}
		for in := range shows {
			t.Errorf("the page has no block with %q", in)
		}
		if out, _ := c.kubectl("", "get", "namespace", "ttlfloor", "--ignore-not-found", "--output=name"); strings.TrimSpace(out) != "" {
			t.Error("the namespace is left")
		}
	})
}
