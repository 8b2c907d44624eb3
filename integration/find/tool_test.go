//go:build linux

package find

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// outcome is what a run of the tool came to.
type outcome struct {
	stdout, stderr string
	status         int
}

// storm runs the tool in a directory.
func storm(t *testing.T, dir, stdin string, args ...string) outcome {
	t.Helper()
	return background(t, dir, strings.NewReader(stdin), args...)(nil)
}

// background starts the tool. What is returned waits for its end, after a signal if it is
// not nil. It is killed where it takes much too long.
func background(t *testing.T, dir string, stdin io.Reader, args ...string) (wait func(os.Signal) outcome) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	cmd := exec.CommandContext(ctx, tool, args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, stdin, &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func(s os.Signal) outcome {
		defer cancel()
		if s != nil {
			_ = cmd.Process.Signal(s) // it may have ended
		}
		if err := cmd.Wait(); err != nil && !cmd.ProcessState.Exited() {
			t.Errorf("%q: %v\n%s", args, err, &stderr)
		}
		return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	}
}

// report is what find writes as JSON, as far as tests look at it.
type report struct {
	Queries  int
	Findings []finding
	Rules    []struct{ Line string }
	Untold   []string
}

type finding struct {
	Kind       string
	Name       string
	Type       string
	Clients    int
	Period     time.Duration `json:"period_ns"`
	Known      bool          `json:"follow_ttls"`
	TTLs       []uint32
	Prediction *struct {
		Busiest int `json:"busiest_second"`
	}
}

// reported reads the report of a run that went well.
func reported(t *testing.T, o outcome) (r report) {
	t.Helper()
	if o.status != 0 {
		t.Fatalf("status %d:\n%s", o.status, o.stderr)
	}
	if err := json.Unmarshal([]byte(o.stdout), &r); err != nil {
		t.Fatalf("%v\n%s", err, o.stdout)
	}
	return r
}

// look has find read files.
func look(t *testing.T, args ...string) report {
	t.Helper()
	return reported(t, storm(t, "", "", append([]string{"find", "-json", "-", "-floor", "5"}, args...)...))
}

// listens waits until somebody does at a socket.
func listens(t *testing.T, socket string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			must(t, conn.Close())
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// must fails at the first error.
func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
