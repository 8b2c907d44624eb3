package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// questions that are asked while something is done to the servers: of the mesh,
// of the cluster, and of what is forwarded.
var questions = []dns.Question{
	{Name: dstHeadless, Qtype: dns.TypeSRV}, {Name: policy, Qtype: dns.TypeSRV}, {Name: policy, Qtype: dns.TypeAAAA},
	{Name: "web.shop.svc.cluster.local.", Qtype: dns.TypeA}, {Name: "www.example.org.", Qtype: dns.TypeA},
}

// TestAPIServerRestart kills the API server while clients ask, and starts it
// again. No answer is lost, and what happens afterwards is seen.
func TestAPIServerRestart(t *testing.T) {
	h := headless{"linkerd", "after-restart", "grpc", 8090, endpoints("10.42.6.1", "fd00:10:42:6::1")}
	p := startReady(t, coreDNSProgram, deployment(t).corefile(t))
	l := startLoad(t, behind(p), questions...)
	l.more(t, 200)
	plane.api.Kill()
	l.more(t, 500)
	// Nobody has asked for this name yet, so it comes from no cache.
	fresh := mesh[2]
	if m := ask(t, p.dns, fresh.target(fresh.endpoints[0]), dns.TypeA); content(m.Answer) != fresh.endpoints[0].address {
		t.Errorf("a name that is asked for the first time while the API server is down:\n%v", m)
	}
	if code, _, err := p.readyStatus(); err != nil || code != http.StatusOK {
		t.Errorf("ready while the API server is down: %d, %v; want no restart or removal for that", code, err)
	}
	p.healthy(t)
	down := time.Now()
	if err := plane.startAPI(); err != nil {
		plane.show()
		t.Fatal(err)
	}
	t.Logf("the API server is back after %v", time.Since(down).Round(time.Millisecond))
	if err := h.make(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	eventually(t, patience, func() error { // the plugin tries again at intervals that grow to 30 seconds
		if got := content(ask(t, p.dns, h.fqdn(), dns.TypeA).Answer); got != "10.42.6.1" {
			return fmt.Errorf("%q, want the new endpoint", got)
		}
		return nil
	})
	t.Logf("a new service is in DNS %v after it was made", time.Since(begin).Round(time.Millisecond))
	l.more(t, 200)
	l.stop(t)
}

// TestNoAPIServer starts a pod that can't reach the API server: it serves what
// needs none, says once that it is waiting, and begins when it can.
func TestNoAPIServer(t *testing.T) {
	d := deployment(t)
	port := freePort() // nobody is there
	p := startPod(t, coreDNSProgram, d.corefile(t), access(t, d.serviceAccount, port))
	eventually(t, patience, func() error {
		m, err := exchange(p.dns, "www.example.org.", dns.TypeA)
		if err == nil && content(m.Answer) != "192.0.2.1" {
			err = fmt.Errorf("no answer:\n%v", m)
		}
		return err
	})
	p.healthy(t)
	notReady := func() {
		t.Helper()
		if code, body, err := p.readyStatus(); err != nil || code != http.StatusServiceUnavailable || body != "kubernetes" {
			t.Errorf("ready: %d %q, %v; want 503 and the name of the plugin", code, body, err)
		}
	}
	notReady()
	const unsynced = "starting server with unsynced Kubernetes API"
	p.waitFor(t, unsynced, 1)

	// The log does not grow with the queries, but for retries now and then.
	lines := func() int { return strings.Count(p.Output.String(), "\n") }
	const asked = 500
	before, begin := lines(), time.Now()
	for range asked {
		if m := ask(t, p.dns, policy, dns.TypeSRV); m.Rcode != dns.RcodeServerFailure {
			t.Fatalf("a name of the cluster: %s, want SERVFAIL, which nobody takes for an absence", dns.RcodeToString[m.Rcode])
		}
	}
	if grown := lines() - before; grown > asked/50 {
		t.Errorf("%d lines for %d queries in %v", grown, asked, time.Since(begin))
	} else {
		t.Logf("%d lines while %d queries were answered in %v", grown, asked, time.Since(begin).Round(time.Millisecond))
	}
	notReady()
	if n := strings.Count(p.Output.String(), unsynced); n != 1 {
		t.Errorf("it says %q %d times, want once", unsynced, n)
	}

	forwardTo(t, port, local(plane.port))
	eventually(t, patience, func() error {
		code, _, err := p.readyStatus()
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("ready: %d", code)
		}
		return err
	})
	insideTheRule(t, ask(t, p.dns, policy, dns.TypeSRV))
}

// forwardTo listens on a port and carries what comes there to an address.
func forwardTo(t *testing.T, port int, to string) {
	t.Helper()
	l, err := net.Listen("tcp", local(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return // closed
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				go func() {
					_, _ = io.Copy(pair[0], pair[1]) // until either side is gone
					_ = pair[0].Close()
				}()
			}
		}
	}()
}
