//go:build linux

package nodecache

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	node     = "169.254.20.10" // the cache of the node
	upstream = "127.0.0.2"     // the servers of the cluster, in the place of the Service kube-dns-upstream
	outside  = "127.0.0.3"     // what those forward to
	patience = 20 * time.Second
)

// process is a CoreDNS that runs, with what it logged.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it is gone

	mu  sync.Mutex
	log bytes.Buffer
}

// Write implements io.Writer for the log.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// start runs a Corefile and returns when it serves. The process is killed at the
// end of the test.
func start(t *testing.T, corefile string, env ...string) *process {
	t.Helper()
	binary := program(t, "coredns")
	p := &process{done: make(chan struct{})}
	p.cmd = exec.Command(binary, "-conf", write(t, "Corefile", corefile))
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop(t, syscall.SIGKILL)
		if t.Failed() {
			t.Logf("log of the server of\n%s\n%s", corefile, p.logged())
		}
	})
	eventually(t, "the server starts", func() bool {
		select {
		case <-p.done:
			t.Fatal("the server ended")
		default:
		}
		return strings.Contains(p.logged(), "\nCoreDNS-") // printed when all servers listen
	})
	return p
}

// stop ends a process, if it is not gone yet, and waits until it is.
func (p *process) stop(t *testing.T, signal syscall.Signal) {
	t.Helper()
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("the server goes on after signal %v", signal)
	}
}

// startNode runs the Corefile of the node, as it stands or as edited.
func startNode(t *testing.T, to string, edits ...string) *process {
	t.Helper()
	return start(t, edited(t, "../../deploy/node-cache/Corefile", edits...), "KUBE_DNS_UPSTREAM_SERVICE_HOST="+to)
}

// startCluster runs the Corefile of the cluster with a zone file in the place of
// Kubernetes, and other addresses.
func startCluster(t *testing.T) *process {
	t.Helper()
	startOutside(t)
	corefile := edited(t, "../../deploy/base/Corefile",
		".:53 {\n", ".:53 {\n    bind "+upstream+"\n",
		"health {", "health "+upstream+":8080 {",
		"    ready\n", "    ready "+upstream+":8181\n",
		"forward . /etc/resolv.conf", "forward . "+outside,
		"    kubernetes cluster.local in-addr.arpa ip6.arpa {\n        pods insecure\n        fallthrough in-addr.arpa ip6.arpa\n        ttl 30\n    }\n",
		"    file "+write(t, "zone", zone)+" cluster.local\n",
	)
	return start(t, corefile)
}

const zone = `$ORIGIN cluster.local.
@ 30 IN SOA ns.dns hostmaster 1 7200 1800 86400 30
@ 30 IN NS ns.dns
linkerd-dst-headless.linkerd.svc 30 IN SRV 0 50 8086 10-42-0-15.linkerd-dst-headless.linkerd.svc
linkerd-dst-headless.linkerd.svc 30 IN SRV 0 50 8086 10-42-1-7.linkerd-dst-headless.linkerd.svc
10-42-0-15.linkerd-dst-headless.linkerd.svc 30 IN A 10.42.0.15
10-42-1-7.linkerd-dst-headless.linkerd.svc 30 IN A 10.42.1.7
*.short.default.svc 7 IN A 10.96.7.8
*.one.default.svc 30 IN A 10.96.7.9
*.fleets.linkerd.svc 30 IN SRV 0 50 8086 10-42-0-15.linkerd-dst-headless.linkerd.svc
*.fleets.linkerd.svc 30 IN SRV 0 50 8086 10-42-1-7.linkerd-dst-headless.linkerd.svc
`

const (
	linkerd = "linkerd-dst-headless.linkerd.svc.cluster.local."
	fleets  = ".fleets.linkerd.svc.cluster.local." // any name below it is there
	one     = ".one.default.svc.cluster.local."    // the same
)

// startOutside runs a server for all names that are not of the cluster.
func startOutside(t *testing.T) {
	t.Helper()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) { _ = w.WriteMsg(addressOf(r, 60)) })
	for _, network := range []string{"udp", "tcp"} {
		serve(t, network, outside, handler)
	}
}

// serve runs a handler on port 53 of an address until the end of the test.
func serve(t *testing.T, network, host string, handler dns.Handler) {
	t.Helper()
	started := make(chan struct{})
	s := &dns.Server{
		Net: network, Addr: net.JoinHostPort(host, "53"), Handler: handler,
		ReusePort: true, NotifyStartedFunc: func() { close(started) },
	}
	failed := make(chan error, 1)
	go func() { failed <- s.ListenAndServe() }()
	select {
	case <-started:
	case err := <-failed:
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shutdown() })
}

// addressOf returns a response with one A record.
func addressOf(r *dns.Msg, ttl uint32) *dns.Msg {
	m := new(dns.Msg).SetReply(r)
	m.Answer = []dns.RR{&dns.A{
		Hdr: dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: ttl},
		A:   net.IPv4(192, 0, 2, 1),
	}}
	return m
}

// ask sends a query over UDP and returns the response.
func ask(host, name string, qtype uint16) (*dns.Msg, error) {
	return askFor(patience, host, name, qtype)
}

// askFor waits no longer than a time for the response.
func askFor(within time.Duration, host, name string, qtype uint16) (*dns.Msg, error) {
	return askFrom(nil, within, host, name, qtype)
}

// askFrom asks from an address, or from the system's if that is nil.
func askFrom(from net.IP, within time.Duration, host, name string, qtype uint16) (*dns.Msg, error) {
	c := dns.Client{Timeout: within, Dialer: &net.Dialer{Timeout: within}}
	if from != nil {
		c.Dialer.LocalAddr = &net.UDPAddr{IP: from}
	}
	m, _, err := c.Exchange(new(dns.Msg).SetQuestion(name, qtype), net.JoinHostPort(host, "53"))
	return m, err
}

// answer is ask for a name that is there.
func answer(t *testing.T, host, name string, qtype uint16) *dns.Msg {
	t.Helper()
	m, err := ask(host, name, qtype)
	if err != nil {
		t.Fatalf("%s at %s: %v", name, host, err)
	}
	if m.Rcode != dns.RcodeSuccess || len(m.Answer) == 0 {
		t.Fatalf("%s at %s: want an answer, got\n%v", name, host, m)
	}
	return m
}

// ttlOf returns the TTL of the answer for a name that is there.
func ttlOf(t *testing.T, host, name string, qtype uint16) uint32 {
	t.Helper()
	return answer(t, host, name, qtype).Answer[0].Header().Ttl
}

// get returns the body of an HTTP resource that is there.
func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := (&http.Client{Timeout: 5 * time.Second}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%s", url, resp.Status, err, body)
	}
	return string(body)
}

// edited returns a file of the repository with pairs of strings replaced, each of
// which has to be there.
func edited(t *testing.T, path string, pairs ...string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := string(b)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(s, pairs[i]) {
			t.Fatalf("%s lacks %q", path, pairs[i])
		}
		s = strings.ReplaceAll(s, pairs[i], pairs[i+1])
	}
	return s
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in %v it is not so that %s", patience, what)
		}
	}
}
