package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what has to come, however slow the
// machine is.
const patience = 3 * time.Minute

// process is a child of the test. It dies with it.
type process struct {
	name   string
	cmd    *exec.Cmd
	output output
	done   chan struct{} // closed when it has exited
	err    error         // how it exited; to be read after done
}

// output is what a process has written, on both streams.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// lines returns the last n lines.
func (o *output) lines(n int) string {
	all := strings.Split(strings.TrimRight(o.String(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-n):], "\n")
}

// start starts a program. The environment is that of the test and env.
func start(name, path string, env []string, args ...string) (*process, error) {
	p := &process{name: name, done: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = diesWithParent()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// exited tells whether the process has.
func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the process at once, as a crash does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have exited
	<-p.done
}

// terminate asks the process to end, as the kubelet does, and kills it after grace.
func (p *process) terminate(grace time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
		p.kill()
		return fmt.Errorf("%s: did not end within %v of SIGTERM", p.name, grace)
	}
}

// showIfFailed puts the end of the output into the test's, if that failed.
func (p *process) showIfFailed(t *testing.T) {
	t.Helper()
	if t.Failed() {
		t.Logf("the end of what %s wrote:\n%s", p.name, p.output.lines(60))
	}
}

// eventually calls f until it returns nil, and fails with its last error after d.
func eventually(t *testing.T, d time.Duration, f func() error) {
	t.Helper()
	if err := poll(d, f); err != nil {
		t.Fatalf("after %v: %v", d, err)
	}
}

// poll calls f until it returns nil, and returns its last error after d.
func poll(d time.Duration, f func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(d); ; <-tick.C {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
