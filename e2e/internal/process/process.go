// Package process starts the programs that tests need, as children that die with them.
package process

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

// Process is a child of the test. It dies with it.
type Process struct {
	Name   string
	Output Output
	cmd    *exec.Cmd
	done   chan struct{} // closed when it has exited
	err    error         // how it exited; to be read after done
}

// Output is what a process has written, on both streams.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

// String returns all of it.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Lines returns the last n lines.
func (o *Output) Lines(n int) string {
	all := strings.Split(strings.TrimRight(o.String(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-n):], "\n")
}

// Start starts a program. The environment is that of the test and env.
func Start(name, path string, env []string, args ...string) (*Process, error) {
	p := &Process{Name: name, done: make(chan struct{})}
	p.cmd = exec.Command(path, args...) // #nosec G204 -- from the tests
	p.cmd.Stdout, p.cmd.Stderr = &p.Output, &p.Output
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

// Exited tells whether the process has.
func (p *Process) Exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Err is how it exited, nil before it has.
func (p *Process) Err() error {
	if !p.Exited() {
		return nil
	}
	return p.err
}

// Kill ends the process at once, as a crash does.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have exited
	<-p.done
}

// Terminate asks the process to end, as the kubelet does, and kills it after grace.
func (p *Process) Terminate(grace time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(grace):
		p.Kill()
		return fmt.Errorf("%s: did not end within %v of SIGTERM", p.Name, grace)
	}
}

// ShowIfFailed puts the end of the output into the test's, if that failed.
func (p *Process) ShowIfFailed(tb testing.TB) {
	tb.Helper()
	if tb.Failed() {
		tb.Logf("the end of what %s wrote:\n%s", p.Name, p.Output.Lines(60))
	}
}

// Poll calls f until it returns nil, and returns its last error after d.
func Poll(d time.Duration, f func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(d); ; <-tick.C {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
