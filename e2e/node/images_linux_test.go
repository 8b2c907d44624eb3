package node

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// bin is where programs and images are built, and stay.
func bin(name string) string {
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", "e2e", name))
	if err != nil {
		panic(err)
	}
	return path
}

// Names of images that the tests build.
const (
	pauseImage = "localhost/pause:test"
	goImage    = "localhost/client-go:test"
	libcImage  = "localhost/client-libc:test"
	muslImage  = "localhost/client-musl:test"
	stockImage = "docker.io/stock/coredns:v1.15.0" // as ../testdata/kubeadm.yaml has it
)

// ourArchive is what "make image" wrote.
const ourArchive = "../../bin/image/coredns.tar"

// ourImage is the name that it has in there.
func ourImage() (string, error) {
	f, err := os.Open(ourArchive)
	if err != nil {
		return "", fmt.Errorf("%w; make image builds it", err)
	}
	defer func() { _ = f.Close() }()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err != nil {
			return "", fmt.Errorf("%s: index.json: %w", ourArchive, err)
		}
		if h.Name != "index.json" {
			continue
		}
		var index struct {
			Manifests []struct{ Annotations map[string]string }
		}
		if err := json.NewDecoder(r).Decode(&index); err != nil {
			return "", err
		}
		for _, m := range index.Manifests {
			if name := m.Annotations["org.opencontainers.image.ref.name"]; name != "" {
				return name, nil
			}
		}
		return "", errors.New(ourArchive + " has no name; a node imports nothing of it")
	}
}

// build builds the programs and images, once.
var build = sync.OnceValue(func() error {
	version, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes").Output()
	if err != nil {
		return fmt.Errorf("the version of k8s.io/kubernetes: %w", err)
	}
	// The parts of a cluster compare theirs.
	versioned := []string{"-ldflags=-X k8s.io/component-base/version.gitVersion=" + strings.TrimSpace(string(version))}
	for _, b := range []struct {
		out, pkg string
		flags    []string
		env      string
	}{
		{"coredns-stock", "github.com/coredns/coredns", []string{"-C=../.."}, "CGO_ENABLED=0"},
		{"etcd", "go.etcd.io/etcd/server/v3", nil, ""},
		{"kube-apiserver", commands + "kube-apiserver", versioned, ""},
		{"kube-controller-manager", commands + "kube-controller-manager", versioned, ""},
		{"kube-scheduler", commands + "kube-scheduler", versioned, ""},
		{"kubelet", commands + "kubelet", versioned, ""},
		{"kube-proxy", commands + "kube-proxy", versioned, ""},
		{"kubectl", commands + "kubectl", nil, ""},
		{"client-go", "./client", nil, "CGO_ENABLED=0"},
		{"client-libc", "./client", []string{"-tags=netcgo"}, "CGO_ENABLED=1"},
		{"client-musl", "./client", []string{"-tags=netcgo", "-ldflags=-linkmode=external -extldflags=-static"}, "CGO_ENABLED=1 CC=musl-gcc"},
	} {
		cmd := exec.Command("go", append(append([]string{"build"}, b.flags...), "-o", bin(b.out), b.pkg)...) // #nosec G204 -- from the code
		cmd.Env = append(os.Environ(), strings.Fields(b.env)...)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("building %s: %w", b.pkg, err)
		}
	}
	libraries, err := needs(bin("client-libc"))
	if err != nil {
		return err
	}
	return errors.Join(
		image(pauseImage, bin("client-go"), nil, nil, "pause"),
		image(goImage, bin("client-go"), nil, nil, "ask"),
		image(libcImage, bin("client-libc"), nil, libraries, "ask"),
		image(muslImage, bin("client-musl"), nil, nil, "ask"),
		image(stockImage, bin("coredns-stock"), port53, nil),
	)
})

// commands are those of Kubernetes.
const commands = "k8s.io/kubernetes/cmd/"

// needs are the libraries of a program, by ldd(1).
func needs(program string) (paths []string, err error) {
	out, err := exec.Command("ldd", program).Output() // #nosec G204 -- from the code
	if err != nil {
		return nil, err
	}
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "/") {
			paths = append(paths, word)
		}
	}
	return paths, nil
}

// archiveOf is where the archive of an image is.
func archiveOf(name string) string {
	return bin(strings.NewReplacer("/", "-", ":", "-").Replace(name) + ".tar")
}

// image writes an archive as "docker save" does, with a program and files that have the
// paths that they have here.
func image(name, program string, attributes map[string]string, files []string, args ...string) error {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	add := func(from, to string, records map[string]string) error {
		b, err := os.ReadFile(from) // #nosec G304 -- from the code
		if err != nil {
			return err
		}
		return addFile(w, strings.TrimPrefix(to, "/"), b, records)
	}
	err := add(program, "/program", attributes)
	for _, path := range files {
		if err == nil {
			err = add(path, path, nil)
		}
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	sum := sha256.Sum256(layer.Bytes())
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux",
		"config": map[string]any{"Entrypoint": append([]string{"/program"}, args...), "User": "65534:65534"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	f, err := os.Create(archiveOf(name))
	if err != nil {
		return err
	}
	out := tar.NewWriter(f)
	return errors.Join(addFile(out, "config.json", config, nil), addFile(out, "layer.tar", layer.Bytes(), nil), addFile(out, "manifest.json", manifest, nil), out.Close(), f.Close())
}

// port53 has a program open port 53 without being root, as that of the CoreDNS project may:
// CAP_NET_BIND_SERVICE, as capability(7) keeps it in a file.
var port53 = map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x04" + strings.Repeat("\x00", 14)}

func addFile(w *tar.Writer, name string, b []byte, records map[string]string) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(b)), PAXRecords: records}); err != nil {
		return err
	}
	_, err := io.Copy(w, bytes.NewReader(b))
	return err
}
