package neighbours

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var rounds = flag.Int("rounds", 20, "how often BenchmarkServer goes through its servers")

// BenchmarkServer has whole CoreDNS processes on one core each, asked by dnsperf
// at full rate for a second, one after the other and round after round. It reports the
// medians of CPU time per query, and of its ratio to that of *cache* alone in
// the same round. Their zone has 60,000 names, so that the heap is that of a
// server in a cluster: with one of a few MB, collections are most of what is
// measured.
func BenchmarkServer(b *testing.B) {
	dnsperf, err := exec.LookPath("dnsperf")
	if err != nil {
		b.Skip("needs dnsperf (Debian package dnsperf)")
	}
	binary := filepath.Join(b.TempDir(), "coredns")
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", binary, "./cmd/coredns").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	servers := []struct{ name, directives string }{
		{"cache", "cache 30"},
		{"any", "any\ncache 30"}, // does nothing here: what one more plugin costs
		{"ttlfloor", "ttlfloor 30s example\ncache 30"},
		{"rewrite-regex", "rewrite ttl regex (.*)\\.example\\. 30-\ncache 30"},
		{"rewrite-suffix", "rewrite ttl suffix .example. 30-\ncache 30"},
	}
	ask := make([]func() float64, len(servers))
	for i, s := range servers {
		ask[i] = serve(b, dnsperf, binary, s.directives)
		ask[i]()
	}
	micros, ratios := make([][]float64, len(servers)), make([][]float64, len(servers))
	for b.Loop() {
		for range *rounds {
			for i := range servers {
				us := ask[i]()
				micros[i] = append(micros[i], us)
				ratios[i] = append(ratios[i], us/micros[0][len(micros[0])-1])
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, s := range servers {
		b.ReportMetric(median(micros[i]), s.name+"-us/query")
		if i > 0 {
			b.ReportMetric(median(ratios[i]), s.name+"/cache")
		}
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// serve boots a server. What it returns has dnsperf ask it for a second, and
// returns the microseconds of CPU time that a query took.
func serve(b *testing.B, dnsperf, binary, directives string) func() float64 {
	b.Helper()
	dir := b.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		return path
	}
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := free.LocalAddr().String()
	_ = free.Close()
	_, port, _ := strings.Cut(addr, ":")
	corefile := file("Corefile", fmt.Sprintf(".:%s {\nbind 127.0.0.1\nerrors\nprometheus 127.0.0.1:0\nloadbalance\nreload\n%s\nfile %s example\n}\n",
		port, directives, file("zone", zone+services())))
	server := exec.Command(binary, "-quiet", "-conf", corefile)
	server.Env = append(os.Environ(), "GOMAXPROCS=1")
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	for range 200 {
		if m, err := dns.Exchange(new(dns.Msg).SetQuestion("a.example.", dns.TypeA), addr); err == nil && len(m.Answer) > 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	queries := file("queries", "a.example A\n")
	return func() float64 {
		before := cpuTime(b, server.Process.Pid)
		out, err := exec.Command(dnsperf, "-s", "127.0.0.1", "-p", port, "-d", queries, "-l", "1", "-c", "4", "-q", "50").CombinedOutput()
		found := completed.FindSubmatch(out)
		if err != nil || found == nil {
			b.Fatalf("%v\n%s", err, out)
		}
		n, _ := strconv.ParseFloat(string(found[1]), 64)
		if n == 0 {
			b.Fatalf("no query was answered\n%s", out)
		}
		return float64(cpuTime(b, server.Process.Pid)-before) / float64(time.Microsecond) / n
	}
}

// services are names as in a large cluster.
func services() string {
	var b strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&b, "service-%d 30 IN A 10.96.%d.%d\n", i, i/256%256, i%256)
	}
	return b.String()
}

var completed = regexp.MustCompile(`Queries completed:\s+(\d+)`)

// cpuTime is what a process has used, in Linux's ticks of 10 ms.
func cpuTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] { // utime and stime, 14th and 15th of the whole
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
