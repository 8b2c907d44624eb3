package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"

	"github.com/miekg/dns"
	"github.com/ttlfloor/ttlfloor/internal/chain"
)

func TestMain(m *testing.M) {
	caddy.Quiet, dnsserver.Quiet = true, true
	if err := chain.Set(); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// TestOrder has the place of ttlfloor among the directives of this CoreDNS.
func TestOrder(t *testing.T) {
	i := slices.Index(dnsserver.Directives, "ttlfloor")
	if i < 1 || dnsserver.Directives[i-1] != "tsig" || dnsserver.Directives[i+1] != "rewrite" {
		t.Errorf("the order of this CoreDNS is %q", dnsserver.Directives)
	}
}

func TestVersion(t *testing.T) {
	defer func(v string) { version = v }(version)
	version = "1.2.3"
	if got := ttlfloorVersion(); got != "1.2.3" {
		t.Errorf("got %q, want what the release set", got)
	}
	version = ""
	if got := ttlfloorVersion(); got == "" {
		t.Error("no version without a release")
	}
}

// boot starts a Corefile and returns the server's addresses for UDP.
func boot(t *testing.T, name, corefile string) []string {
	t.Helper()
	inst, err := caddy.Start(caddy.CaddyfileInput{Contents: []byte(corefile), Filepath: name, ServerTypeName: "dns"})
	if err != nil {
		t.Fatalf("%s does not boot: %v\n%s", name, err, corefile)
	}
	t.Cleanup(func() {
		if err := inst.Stop(); err != nil {
			t.Error(err)
		}
		if errs := inst.ShutdownCallbacks(); errs != nil {
			t.Error(errs)
		}
	})
	var addrs []string
	for _, s := range inst.Servers() {
		addrs = append(addrs, s.LocalAddr().String())
	}
	return addrs
}

// anyPort lets a Corefile of a document run beside others: it binds loopback
// and port 0 in place of what it says.
func anyPort(corefile string) string {
	corefile = strings.NewReplacer(":1053 {", ":0 {", ":1054 {", ":0 {", "127.0.0.1:9153", "127.0.0.1:0").Replace(corefile)
	if !strings.Contains(corefile, "bind 127.0.0.1") {
		corefile = strings.Replace(corefile, "{\n", "{\nbind 127.0.0.1\n", 1)
	}
	return corefile
}

// corefiles returns the blocks of a document that are marked as Corefiles.
func corefiles(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for i, part := range strings.Split(string(b), "\n~~~ corefile\n") {
		if block, _, ok := strings.Cut(part, "\n~~~"); ok && i > 0 {
			blocks = append(blocks, block+"\n")
		}
	}
	return blocks
}

// TestDocuments boots the Corefiles of all documents.
func TestDocuments(t *testing.T) {
	dnsserver.Port = "0"
	documents, err := filepath.Glob("../../*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range append(documents, more...) {
		for i, corefile := range corefiles(t, path) {
			n++
			t.Run(fmt.Sprintf("%s/%d", filepath.Base(path), i+1), func(t *testing.T) {
				if addrs := boot(t, path, anyPort(corefile)); len(addrs) == 0 {
					t.Error("no server")
				}
			})
		}
	}
	if n < 5 {
		t.Errorf("%d Corefiles in %q, want those of the README at least", n, documents)
	}
}

// ruleBlock is a block of a document with a rule that has a FLOOR, and no placeholders.
var ruleBlock = regexp.MustCompile(`(?ms)^ *~~~ txt\n( *ttlfloor \d.*?)^ *~~~$`)

// TestRulesOfDocuments boots the rules that documents show without a Corefile around them.
func TestRulesOfDocuments(t *testing.T) {
	dnsserver.Port = "0"
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, path := range documents {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range ruleBlock.FindAllStringSubmatch(string(b), -1) {
			seen[filepath.Base(path)] = true
			boot(t, path, ".:0 {\n    bind 127.0.0.1\n    whoami\n"+block[1]+"}\n")
		}
	}
	for _, path := range []string{"adopt.md", "node-cache.md", "operations.md"} {
		if !seen[path] {
			t.Errorf("no rule in docs/%s", path)
		}
	}
}

// TestReadmeSections holds the README to the form of CoreDNS's man pages.
func TestReadmeSections(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, section := range []string{"Name", "Description", "Syntax", "Metrics", "Examples", "Bugs", "See Also"} {
		i := strings.Index(string(b)[at:], "\n## "+section+"\n")
		if i < 0 {
			t.Fatalf("no section %q in its place", section)
		}
		at += i
	}
}

// ask queries one of the servers that has the zone.
func ask(t *testing.T, addrs []string, name string, qtype uint16) *dns.Msg {
	t.Helper()
	c := dns.Client{Timeout: time.Minute, UDPSize: dns.DefaultMsgSize}
	for _, addr := range addrs {
		m, _, err := c.Exchange(new(dns.Msg).SetQuestion(name, qtype), addr)
		if err != nil {
			t.Fatal(err)
		}
		if m.Rcode != dns.RcodeRefused {
			return m
		}
	}
	t.Fatalf("no server has %s", name)
	return nil
}

// TestExample asks the example what its head says.
func TestExample(t *testing.T) {
	b, err := os.ReadFile("../../Corefile.example")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(b), "\n") {
		if line = strings.TrimSpace(line); line != "" && line != "}" && !strings.Contains(line, "# ") && !strings.HasPrefix(line, "#") && !strings.HasSuffix(line, ".example:1053 {") && !strings.HasPrefix(line, "cluster.local:") {
			t.Errorf("line %d has no reason beside it: %s", i+1, line)
		}
	}
	addrs := boot(t, "Corefile.example", anyPort(string(b)))
	for _, name := range []string{"linkerd-policy.linkerd.svc.cluster.local.", "linkerd-dst-headless.linkerd.svc.cluster.local.", "api.countdown.example."} {
		back := map[int64]bool{} // seconds in which who asked is back; on a slow machine they are more
		for range 40 {
			m := ask(t, addrs, name, dns.TypeSRV)
			if len(m.Answer) < 2 || len(m.Extra) != len(m.Answer) {
				t.Fatalf("want SRV records and as many addresses:\n%v", m)
			}
			ttl := m.Answer[0].Header().Ttl
			back[time.Now().Unix()+int64(ttl)] = true
			for _, rr := range append(m.Answer, m.Extra...) {
				if rr.Header().Ttl != ttl || ttl < 33 || ttl > 45 {
					t.Fatalf("want one TTL from 33 to 45:\n%v", m)
				}
			}
		}
		if len(back) < 10 {
			t.Errorf("%s: 40 clients are back in %d seconds, want 10", name, len(back))
		}
	}
	for _, name := range []string{"nx.cluster.local.", "linkerd-policy.linkerd.svc.cluster.local."} {
		m := ask(t, addrs, name, dns.TypeTXT)
		if soa, ok := m.Ns[0].(*dns.SOA); !ok || soa.Hdr.Ttl < 5 || soa.Minttl < soa.Hdr.Ttl || (m.Rcode == dns.RcodeNameError) != strings.HasPrefix(name, "nx.") {
			t.Errorf("%s: want a negative answer for 5 seconds or more:\n%v", name, m)
		}
	}
	if m := ask(t, addrs, "api.plain.example.", dns.TypeSRV); m.Answer[0].Header().Ttl != 0 || m.Extra[0].Header().Ttl != 0 {
		t.Errorf("want the contrast to have a TTL of 0:\n%v", m)
	}
}

// TestWhyNot asks the peers in the README what its table says of them.
func TestWhyNot(t *testing.T) {
	var addrs []string
	for _, corefile := range corefiles(t, "../../README.md") {
		if strings.Contains(corefile, "keepttl") {
			addrs = boot(t, "README.md", anyPort(corefile))
		}
	}
	if addrs == nil {
		t.Fatal("the README has no such Corefile")
	}
	ttls := func(zone string) (positive, negative, minimum uint32) {
		soa := ask(t, addrs, "nx."+zone+".example.", dns.TypeA).Ns[0].(*dns.SOA)
		return ask(t, addrs, "www."+zone+".example.", dns.TypeA).Answer[0].Header().Ttl, soa.Hdr.Ttl, soa.Minttl
	}
	for range 3 {
		if p, n, m := ttls("rewrite"); p != 30 || n != 30 || m != 0 {
			t.Errorf("rewrite: %d %d %d", p, n, m)
		}
		if p, n, m := ttls("keepttl"); p != 5 || n != 5 || m != 0 {
			t.Errorf("keepttl: %d %d %d", p, n, m)
		}
		if p, n, m := ttls("minttl"); p > 30 || n > 5 || m != 0 {
			t.Errorf("minttl: %d %d %d", p, n, m)
		}
		if p, n, m := ttls("ttlfloor"); p < 33 || p > 45 || n < 5 || n > 8 || m != n {
			t.Errorf("ttlfloor: %d %d %d", p, n, m)
		}
	}
}
