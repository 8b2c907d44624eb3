package monitoring

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// tool returns the path of a program, or skips the test and says which Debian
// package has it.
func tool(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: apt-get install %s", name, debian)
	}
	return path
}

// build builds a command of the repository.
func build(t *testing.T, name string) string {
	t.Helper()
	path := t.TempDir() + "/" + name
	if out, err := exec.Command("go", "build", "-C", "../../cmd/"+name, "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("cmd/%s does not build: %v\n%s", name, err, out)
	}
	return path
}

// patience is how long a test waits for what has to come, however slow the
// machine is.
const patience = 5 * time.Minute

// process is a child of the test. It dies with it.
type process struct {
	cmd    *exec.Cmd
	output output
	done   chan struct{} // closed when it has exited
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

// start starts a program that runs until it is killed, or the test is over. What
// it wrote is shown if the test has failed then.
func start(t *testing.T, path string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.SysProcAttr = diesWithParent()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // it is killed, and that is an error
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			lines := strings.FieldsFunc(p.output.String(), func(r rune) bool { return r == '\n' || r == '\r' })
			t.Logf("the end of what %s wrote:\n%s", path, strings.Join(lines[max(0, len(lines)-20):], "\n"))
		}
	})
	return p
}

// kill ends the process at once, as a crash does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have exited
	<-p.done
}

// running fails the test if the process has exited by itself.
func (p *process) running(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
		t.Fatalf("%s has exited: %v\n%s", p.cmd.Path, p.cmd.ProcessState, p.output.String())
	default:
	}
}

// eventually calls f until it returns nil, and fails with its last error after d.
func eventually(t *testing.T, d time.Duration, f func() error) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(d); ; <-tick.C {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", d, err)
		}
	}
}

// freeAddr returns an address of loopback that is free for UDP and TCP. Its port is
// below those that clients are given, so that it stays free while a server is
// killed and started again.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		c, err := net.ListenPacket("udp", addr)
		_ = l.Close()
		if err == nil {
			_ = c.Close()
			return addr
		}
	}
	t.Fatal("no port of 1000 is free")
	return ""
}
