package neighbours

import (
	"flag"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

var reloads = flag.Int("reloads", 10, "how many reloads the tests of them make")

// rules returns a server block of the n-th Corefile in a row.
func rules(addr, file string, n int) string {
	_, port, _ := strings.Cut(addr, ":")
	return fmt.Sprintf(`.:%s {
bind 127.0.0.1
cache 5
%s
ttlfloor %ds
ttlfloor %ds z%d.example {
types A
}
}
`, port, file, 30+n, 60+n, n%7)
}

type serverAt struct{ addr string }

func (s *serverAt) ask(t *testing.T, name string) *dns.Msg {
	t.Helper()
	return server{udp: s.addr}.ask(t, new(dns.Msg).SetQuestion(name, dns.TypeA), "udp")
}

// serves waits until an instance serves over UDP and TCP.
func serves(t *testing.T, inst *caddy.Instance) {
	t.Helper()
	at := inst.Servers()[0]
	s := server{udp: at.LocalAddr().String(), tcp: at.Addr().String()}
	for _, network := range []string{"udp", "tcp"} {
		s.ask(t, new(dns.Msg).SetQuestion("zero.example.", dns.TypeA), network)
	}
}

// TestReloadLeavesNothing reloads an instance and looks at what is left of the
// ones before: goroutines, memory and metric series.
func TestReloadLeavesNothing(t *testing.T) {
	file := "file " + write(t, "zone", zone) + " example"
	corefile := func(n int) caddy.Input {
		return caddy.CaddyfileInput{Contents: []byte(rules("127.0.0.1:0", file, n)), Filepath: "Corefile", ServerTypeName: "dns"}
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
	// A server that is stopped before it serves, over UDP or TCP, is not stopped at all.
	serves(t, inst)
	var goroutines, series int
	var heap uint64
	for n := 1; n <= *reloads; n++ {
		if inst, err = inst.Restart(corefile(n)); err != nil {
			t.Fatal(err)
		}
		serves(t, inst)
		(&serverAt{inst.Servers()[0].LocalAddr().String()}).ask(t, fmt.Sprintf("a.z%d.example.", n%7))
		if n == 5 {
			goroutines, heap, series = state()
		}
	}
	g, h, s := state()
	for deadline := time.Now().Add(patience); (g > goroutines || h > heap+heap/10) && time.Now().Before(deadline); {
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
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if left = goleak.Find(before); left == nil {
			break
		}
	}
	if _, _, s = state(); left != nil || s != 0 {
		t.Errorf("%d series are left, and %v", s, left)
	}
}
