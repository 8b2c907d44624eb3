//go:build unix

package neighbours

import (
	"bufio"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestReloadUnderLoad reloads a CoreDNS process by signal, with other rules each
// time and now and then with broken ones, while clients keep asking it. A query
// without an answer in two seconds is asked again and counted apart; none has no
// answer then.
func TestReloadUnderLoad(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "coredns")
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", binary, "./cmd/coredns").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := serverAt{free.LocalAddr().String()}
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	file := "file " + write(t, "zone", zone) + " example"
	corefile := write(t, "Corefile", rules(s.addr, file, 0))
	process := exec.Command(binary, "-conf", corefile)
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	process.Stderr = process.Stdout
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	}()
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	waitFor := func(want string) {
		t.Helper()
		for deadline := time.After(patience); ; {
			select {
			case line, ok := <-lines:
				if strings.Contains(line, want) {
					return
				}
				if !ok {
					t.Fatalf("the server ended before it said %q", want)
				}
			case <-deadline:
				t.Fatalf("the server did not say %q in %v", want, patience)
			}
		}
	}
	waitFor("CoreDNS-")

	var asked, again, lost atomic.Int64
	var clients sync.WaitGroup
	quit := make(chan struct{})
	for range 8 {
		clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-quit:
					return
				default:
				}
				q := both[n%len(both)]
				r := new(dns.Msg).SetQuestion(q.name, q.qtype)
				asked.Add(1)
				if _, _, err := (&dns.Client{Timeout: 2 * time.Second}).Exchange(r, s.addr); err == nil {
					continue
				}
				again.Add(1)
				if _, _, err := (&dns.Client{Timeout: patience}).Exchange(r, s.addr); err != nil {
					lost.Add(1)
				}
			}
		})
	}
	stop := sync.OnceFunc(func() { close(quit); clients.Wait() })
	defer stop()

	floor := uint32(30)
	for n := 1; n <= *reloads; n++ {
		for from, deadline := asked.Load(), time.Now().Add(patience); asked.Load() < from+200; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d queries in %v, want 200", asked.Load()-from, patience)
			}
		}
		content, want := rules(s.addr, file, n), "Reloading complete"
		if n%10 == 0 {
			content, want = strings.Replace(content, "ttlfloor ", "ttlfloor 30x ", 1), "Restart failed"
		} else {
			floor = uint32(30 + n)
		}
		writeTo(t, corefile, content)
		if err := process.Process.Signal(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		waitFor(want)
		if ttl := s.ask(t, "zero.example.").Answer[0].Header().Ttl; ttl < floor || ttl > floor*3/2+1 {
			t.Errorf("reload %d: TTL %d, want the rules with floor %d", n, ttl, floor)
		}
	}
	stop()
	t.Logf("%d queries, %d lost, %d asked again, in %d reloads", asked.Load(), lost.Load(), again.Load(), *reloads)
	if lost.Load() > 0 {
		t.Error("queries were lost")
	}
}
