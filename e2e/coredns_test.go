package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ttlfloor/ttlfloor/e2e/internal/process"
)

// pod is a CoreDNS process that was started as the Deployment starts it.
type pod struct {
	*process.Process
	place    place
	dns      string // its address
	dir      string // where its ConfigMap is laid out
	versions int    // of it that were laid out
}

// startPod starts a program with a Corefile, with the access of a kubeconfig.
func startPod(t *testing.T, program, corefile, kubeconfig string, env ...string) *pod {
	t.Helper()
	return startPodAt(t, program, corefile, newPlace(upstream(t), kubeconfig), env...)
}

// startPodAt starts one at a place.
func startPodAt(t *testing.T, program, corefile string, at place, env ...string) *pod {
	t.Helper()
	p := &pod{dir: t.TempDir(), place: at, dns: local(at.dns)}
	p.layOut(t, corefile)
	var err error
	if p.Process, err = process.Start(filepath.Base(program), program, env, "-conf", filepath.Join(p.dir, "Corefile")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		p.ShowIfFailed(t)
	})
	return p
}

// startReady starts one and returns when it is ready.
func startReady(t *testing.T, program, corefile string) *pod {
	t.Helper()
	p := startPod(t, program, corefile, access(t, deployment(t).serviceAccount, plane.port))
	p.waitReady(t)
	return p
}

// layOut writes the Corefile as the kubelet updates a ConfigMap that is mounted:
// into a new directory, which a link then points to, in one step.
func (p *pod) layOut(t *testing.T, corefile string) {
	t.Helper()
	p.versions++
	version := filepath.Join(p.dir, fmt.Sprintf("..version-%d", p.versions))
	if err := os.Mkdir(version, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(version, "Corefile"), []byte(p.place.move(corefile)), 0o600); err != nil {
		t.Fatal(err)
	}
	link, file := filepath.Join(p.dir, "..data"), filepath.Join(p.dir, "Corefile")
	if err := os.Symlink(filepath.Base(version), link+"_tmp"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+"_tmp", link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("..data/Corefile", file); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
}

// get returns the status and the body of a page at one of its ports.
func get(port int, path string) (int, string, error) {
	client := http.Client{Timeout: patience}
	res, err := client.Get("http://" + local(port) + path)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

// readyStatus is what the readiness probe of the kubelet sees.
func (p *pod) readyStatus() (int, string, error) { return get(p.place.ready, "/ready") }

// healthy is what the liveness probe wants.
func (p *pod) healthy(t *testing.T) {
	t.Helper()
	if code, _, err := get(p.place.health, "/health"); err != nil || code != http.StatusOK {
		t.Errorf("health: %d, %v", code, err)
	}
}

// waitReady waits until it is ready, and until it listens: CoreDNS says that it is
// ready some 100 ms before, which is less than it takes a node to hear of it.
func (p *pod) waitReady(t *testing.T) {
	t.Helper()
	eventually(t, patience, func() error {
		if p.Exited() {
			t.Fatalf("it has exited: %v", p.Err())
		}
		code, body, err := p.readyStatus()
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("not ready: %d %q", code, body)
		}
		if err != nil {
			return err
		}
		c, err := net.Dial("tcp", p.dns)
		if err == nil {
			err = c.Close()
		}
		return err
	})
}

// waitFor waits until it has written a text n times.
func (p *pod) waitFor(t *testing.T, text string, n int) {
	t.Helper()
	eventually(t, patience, func() error {
		if got := strings.Count(p.Output.String(), text); got < n {
			return fmt.Errorf("it has written %q %d times, want %d", text, got, n)
		}
		return nil
	})
}

// metric returns the sum over the series of a metric whose line has all of the
// labels.
func (p *pod) metric(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	_, page, err := get(p.place.metrics, "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
lines:
	for line := range strings.SplitSeq(page, "\n") {
		series, value, ok := strings.Cut(line, " ")
		if !ok || series != name && !strings.HasPrefix(series, name+"{") {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(series, label) {
				continue lines
			}
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("metric %q: %v", line, err)
		}
		sum += v
	}
	return sum
}
