// Package deploy tests the manifests of deploy/ as far as that takes no cluster.
package deploy

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/file"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/metrics"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"

	"github.com/miekg/dns"
	_ "github.com/ttlfloor/ttlfloor"
	"github.com/ttlfloor/ttlfloor/internal/chain"
)

func TestMain(m *testing.M) {
	caddy.Quiet, dnsserver.Quiet = true, true
	if err := chain.Set(); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// zone stands for what the plugin kubernetes has.
const zone = `$ORIGIN cluster.local.
@ 30 IN SOA ns.dns hostmaster 1 7200 1800 86400 30
linkerd-dst-headless.linkerd.svc 30 IN SRV 0 50 8086 10-42-0-15.linkerd-dst-headless.linkerd.svc
linkerd-dst-headless.linkerd.svc 30 IN A 10.42.0.15
linkerd-dst-headless.linkerd.svc 30 IN AAAA fd00::15
headless.shop.svc 30 IN A 10.42.0.16
headless.shop.svc 30 IN SRV 0 50 8086 10-42-0-16.headless.shop.svc
`

// upstream starts a server for everything outside: RDS has 5 seconds, Consul 0,
// and others 300.
func upstream(t *testing.T) (addr string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	handler := func(w dns.ResponseWriter, r *dns.Msg) {
		q, ttl := r.Question[0], "300"
		switch {
		case dns.IsSubDomain("rds.amazonaws.com.", q.Name):
			ttl = "5"
		case dns.IsSubDomain("consul.", q.Name):
			ttl = "0"
		}
		data := map[uint16]string{
			dns.TypeA: "192.0.2.1", dns.TypeAAAA: "2001:db8::1", dns.TypeSRV: "0 0 80 a.example.", dns.TypeTXT: `"text"`,
		}[q.Qtype]
		rr, err := dns.NewRR(strings.Join([]string{q.Name, ttl, "IN", dns.TypeToString[q.Qtype], data}, " "))
		if err != nil {
			panic(err)
		}
		m := new(dns.Msg).SetReply(r)
		m.Answer = []dns.RR{rr}
		_ = w.WriteMsg(m)
	}
	s := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(handler)}
	go func() { _ = s.ActivateAndServe() }()
	t.Cleanup(func() { _ = s.Shutdown() })
	return conn.LocalAddr().String()
}

var (
	kubernetes = regexp.MustCompile(`(?m)^    kubernetes .*\{\n(        .*\n)+    \}\n`)
	forward    = regexp.MustCompile(`forward \. [^ ]+ \{`)
	blocks     = regexp.MustCompile(`(?m)^(\S+):53 \{\n`)
)

// boot starts a Corefile of deploy/ and returns its address. A zone file is in the
// place of Kubernetes, all addresses are other ones, and *loop* is out, which would
// look for itself on port 53.
func boot(t *testing.T, path string) (addr string) {
	t.Helper()
	corefile := string(read(t, path))
	file := filepath.Join(t.TempDir(), "zone")
	if err := os.WriteFile(file, []byte(zone), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, edit := range []struct {
		what *regexp.Regexp
		with string
	}{
		{kubernetes, "    file " + file + " cluster.local\n"},
		{forward, "forward . " + upstream(t) + " {"},
		{blocks, "$1:0 {\n    bind 127.0.0.1\n"},
		{regexp.MustCompile(`health \{\n        lameduck 10s\n`), "health 127.0.0.1:0 {\n        lameduck 1ms\n"},
		{regexp.MustCompile(`(?m)^    ready$`), "    ready 127.0.0.1:0"},
		{regexp.MustCompile(`prometheus :9153`), "prometheus 127.0.0.1:0"},
		{regexp.MustCompile(`(?m)^    loop\n`), ""},
	} {
		if !edit.what.MatchString(corefile) {
			t.Fatalf("%s has no %v", path, edit.what)
		}
		corefile = edit.what.ReplaceAllString(corefile, edit.with)
	}
	inst, err := caddy.Start(caddy.CaddyfileInput{Contents: []byte(corefile), Filepath: path, ServerTypeName: "dns"})
	if err != nil {
		t.Fatalf("%v\n%s", err, corefile)
	}
	t.Cleanup(func() {
		if err := inst.Stop(); err != nil {
			t.Error(err)
		}
		if errs := inst.ShutdownCallbacks(); errs != nil {
			t.Error(errs)
		}
	})
	if n := len(inst.Servers()); n != 1 {
		t.Fatalf("%d servers, want one with all zones", n)
	}
	return inst.Servers()[0].LocalAddr().String()
}

// TestCorefiles has the rules of each Corefile serve what its comments say.
func TestCorefiles(t *testing.T) {
	type row struct {
		why, name string
		qtype     uint16
		lo, hi    uint32
	}
	const linkerd, headless = "linkerd-dst-headless.linkerd.svc.cluster.local.", "headless.shop.svc.cluster.local."
	for path, rows := range map[string][]row{
		"base": {
			{"Linkerd", linkerd, dns.TypeSRV, 33, 45},
			{"its fallback", linkerd, dns.TypeA, 33, 45},
			{"and IPv6", linkerd, dns.TypeAAAA, 33, 45},
			{"no other name", headless, dns.TypeA, 30, 30},
			{"nor outside", "www.example.org.", dns.TypeA, 30, 30},
		},
		"overlays/istio": {
			{"the cluster's names", headless, dns.TypeA, 33, 45},
			{"Linkerd's are some", linkerd, dns.TypeAAAA, 33, 45},
			{"not for other types", headless, dns.TypeSRV, 30, 30},
			{"hosts outside", "www.example.org.", dns.TypeA, 20, 30},
			{"and IPv6", "www.example.org.", dns.TypeAAAA, 20, 30},
			{"not for other types outside", "www.example.org.", dns.TypeTXT, 30, 30},
			{"databases that fail over", "db.eu-west-1.rds.amazonaws.com.", dns.TypeA, 5, 5},
		},
		"overlays/consul": {
			{"addresses", "web.service.consul.", dns.TypeA, 11, 15},
			{"and IPv6", "web.service.consul.", dns.TypeAAAA, 11, 15},
			{"SRV apart", "web.service.consul.", dns.TypeSRV, 22, 30},
			{"with a tag", "v1.web.service.consul.", dns.TypeSRV, 22, 30},
			{"in a data center", "web.service.dc1.consul.", dns.TypeSRV, 22, 30},
			{"no prepared queries", "web.query.consul.", dns.TypeA, 0, 5},
			{"no nodes", "n1.node.consul.", dns.TypeA, 0, 5},
			{"no other name", headless, dns.TypeA, 30, 30},
		},
	} {
		t.Run(path, func(t *testing.T) {
			addr := boot(t, "../../deploy/"+path+"/Corefile")
			for _, row := range rows {
				r := new(dns.Msg).SetQuestion(row.name, row.qtype)
				m, _, err := (&dns.Client{Timeout: time.Minute}).Exchange(r, addr)
				if err != nil || len(m.Answer) != 1 {
					t.Fatalf("%s: %v\n%v", row.why, err, m)
				}
				if ttl := m.Answer[0].Header().Ttl; ttl < row.lo || ttl > row.hi {
					t.Errorf("%s: %s has TTL %d, want %d to %d", row.why, row.name, ttl, row.lo, row.hi)
				}
			}
		})
	}
}
