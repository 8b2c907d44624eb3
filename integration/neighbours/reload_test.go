package neighbours

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coredns/caddy"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

var reloads = flag.Int("reloads", 10, "how many reloads the tests of them make")

// rules returns a server block of the n-th Corefile in a row.
func rules(addr, file string, n int, with bool) string {
	_, port, _ := strings.Cut(addr, ":")
	lines := []string{"bind 127.0.0.1", "cache 5", file}
	if with {
		lines = append(lines, fmt.Sprintf("ttlfloor %ds", 30+n), fmt.Sprintf("ttlfloor %ds z%d.example {\ntypes A\n}", 60+n, n%7))
	}
	return ".:" + port + " {\n" + strings.Join(lines, "\n") + "\n}\n"
}

// TestReloadUnderLoad reloads a CoreDNS process by signal while dnsperf keeps
// asking it, and compares the queries that are lost with those without ttlfloor.
func TestReloadUnderLoad(t *testing.T) {
	dnsperf := tool(t, "dnsperf", "dnsperf")
	binary := filepath.Join(t.TempDir(), "coredns")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/coredns").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := "file " + write(t, "zone", zone) + " example"
	queries := write(t, "queries", "a.example. A\nzero.example. A\nnx.example. A\na.z1.example. A\ns.example. SRV\na.example. AAAA\n")
	run := func(with bool) (sent, lost int) {
		t.Helper()
		free, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := free.LocalAddr().String()
		if err := free.Close(); err != nil {
			t.Fatal(err)
		}
		_, port, _ := strings.Cut(addr, ":")
		corefile := write(t, "Corefile", rules(addr, file, 0, with))
		server := exec.Command(binary, "-conf", corefile)
		out, err := server.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		server.Stderr = server.Stdout
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = server.Process.Kill()
			_ = server.Wait()
		}()
		reloaded := make(chan string, 4**reloads)
		go func() {
			for lines := bufio.NewScanner(out); lines.Scan(); {
				if line := lines.Text(); strings.Contains(line, "Reloading complete") || strings.Contains(line, "Restart failed") || strings.HasPrefix(line, "CoreDNS-") {
					reloaded <- line
				}
			}
		}()
		wait := func() string {
			t.Helper()
			select {
			case line := <-reloaded:
				return line
			case <-time.After(20 * time.Second):
				t.Fatal("the server did not start or reload in 20 seconds")
				return ""
			}
		}
		wait()

		load := exec.Command(dnsperf, "-s", "127.0.0.1", "-p", port, "-d", queries, "-c", "4", "-q", "40", "-Q", "3000", "-l", "300", "-t", "5")
		var report strings.Builder
		load.Stdout, load.Stderr = &report, &report
		if err := load.Start(); err != nil {
			t.Fatal(err)
		}
		pace := time.NewTicker(200 * time.Millisecond) // so that there are queries between two reloads
		defer pace.Stop()
		for n := 1; n <= *reloads; n++ {
			<-pace.C
			content, want := rules(addr, file, n, with), "Reloading complete"
			if with && n%10 == 0 {
				content, want = strings.Replace(content, "ttlfloor ", "ttlfloor 30x ", 1), "Restart failed"
			}
			writeTo(t, corefile, content)
			if err := server.Process.Signal(syscall.SIGUSR1); err != nil {
				t.Fatal(err)
			}
			if line := wait(); !strings.Contains(line, want) {
				t.Fatalf("reload %d: %q, want %q", n, line, want)
			}
			if n%10 == 0 { // the rules of this reload, or of the one before if it is broken
				floor := uint32(30 + n)
				if with {
					floor--
				}
				m := (&serverAt{addr}).ask(t, "zero.example.")
				if ttl := m.Answer[0].Header().Ttl; with && (ttl < floor || ttl > floor*3/2+1) {
					t.Errorf("reload %d: TTL %d, want the rules with floor %d", n, ttl, floor)
				}
			}
		}
		if err := load.Process.Signal(os.Interrupt); err != nil { // and it reports
			t.Fatal(err)
		}
		if err := load.Wait(); err != nil {
			t.Fatalf("%v\n%s", err, &report)
		}
		number := func(what string) int {
			m := regexp.MustCompile(what + `:\s+(\d+)`).FindStringSubmatch(report.String())
			if m == nil {
				t.Fatalf("no %q in\n%s", what, &report)
			}
			n, _ := strconv.Atoi(m[1])
			return n
		}
		return number("Queries sent"), number("Queries lost")
	}
	for range 3 { // a busy machine may drop a packet; one that is lost by ttlfloor is lost every time
		sent, lost := run(true)
		sentBase, lostBase := run(false)
		t.Logf("with ttlfloor %d of %d lost, without %d of %d", lost, sent, lostBase, sentBase)
		if sent < 1000 || sentBase < 1000 {
			t.Fatal("too few queries to tell")
		}
		if lost <= lostBase {
			return
		}
	}
	t.Error("each time more queries were lost than without ttlfloor")
}

type serverAt struct{ addr string }

func (s *serverAt) ask(t *testing.T, name string) *dns.Msg {
	t.Helper()
	return server{udp: s.addr}.ask(t, new(dns.Msg).SetQuestion(name, dns.TypeA), "udp")
}

// TestReloadLeavesNothing reloads an instance and looks at what is left of the
// ones before: goroutines, memory and metric series.
func TestReloadLeavesNothing(t *testing.T) {
	file := "file " + write(t, "zone", zone) + " example"
	corefile := func(n int) caddy.Input {
		return caddy.CaddyfileInput{Contents: []byte(rules("127.0.0.1:0", file, n, true)), Filepath: "Corefile", ServerTypeName: "dns"}
	}
	state := func() (goroutines int, heap uint64, series int) {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		families, err := prometheus.DefaultGatherer.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if strings.HasPrefix(f.GetName(), "coredns_ttlfloor_") {
				series += len(f.GetMetric())
			}
		}
		return runtime.NumGoroutine(), m.HeapAlloc, series
	}
	before := goleak.IgnoreCurrent()
	inst, err := caddy.Start(corefile(0))
	if err != nil {
		t.Fatal(err)
	}
	// A server that is stopped before it serves is not stopped at all.
	(&serverAt{inst.Servers()[0].LocalAddr().String()}).ask(t, "zero.example.")
	var goroutines, series int
	var heap uint64
	for n := 1; n <= *reloads; n++ {
		if inst, err = inst.Restart(corefile(n)); err != nil {
			t.Fatal(err)
		}
		s := &serverAt{inst.Servers()[0].LocalAddr().String()}
		s.ask(t, "zero.example.")
		s.ask(t, fmt.Sprintf("a.z%d.example.", n%7))
		if n == 5 {
			goroutines, heap, series = state()
		}
	}
	g, h, s := state()
	for deadline := time.Now().Add(10 * time.Second); (g > goroutines || h > heap+heap/10) && time.Now().Before(deadline); {
		g, h, s = state() // retired instances are still on their way out
	}
	t.Logf("after 5 and %d reloads: %d and %d goroutines, %d and %d KiB, %d and %d series", *reloads, goroutines, g, heap>>10, h>>10, series, s)
	if g > goroutines || h > heap+heap/10 || s != series {
		t.Errorf("after 5 and %d reloads: %d and %d goroutines, %d and %d bytes, %d and %d series", *reloads, goroutines, g, heap, h, series, s)
	}
	if err := inst.Stop(); err != nil {
		t.Error(err)
	}
	if errs := inst.ShutdownCallbacks(); errs != nil {
		t.Error(errs)
	}
	var left error
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if left = goleak.Find(before); left == nil {
			break
		}
	}
	if _, _, s = state(); left != nil || s != 0 {
		t.Errorf("%d series are left, and %v", s, left)
	}
}
