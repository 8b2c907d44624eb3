// Package neighbours has tests of whole chains of CoreDNS with ttlfloor in
// them: what a client sees with it may differ from what it sees without only in
// TTLs, and in the MINIMUM of an unsigned negative answer's SOA.
package neighbours

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/core/plugin" // every plugin of upstream

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

// patience is how long a test waits for what has to come, however slow the
// machine is.
const patience = time.Minute

// server is a CoreDNS on loopback.
type server struct{ udp, tcp string }

func start(t *testing.T, corefile string) server {
	t.Helper()
	inst, err := caddy.Start(caddy.CaddyfileInput{Contents: []byte(corefile), Filepath: "Corefile", ServerTypeName: "dns"})
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
	s := inst.Servers()[0]
	var got server
	if a := s.LocalAddr(); a != nil {
		got.udp = a.String()
	}
	if a := s.Addr(); a != nil {
		got.tcp = a.String()
	}
	return got
}

func (s server) ask(t *testing.T, r *dns.Msg, network string) *dns.Msg {
	t.Helper()
	addr := s.udp
	if network == "tcp" {
		addr = s.tcp
	}
	c := dns.Client{Net: network, Timeout: patience, UDPSize: dns.MaxMsgSize}
	m, _, err := c.Exchange(r, addr)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// write writes a file for a Corefile and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	writeTo(t, path, content)
	return path
}

func writeTo(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

const zone = `$ORIGIN example.
@ 5 SOA ns hostmaster 1 7200 1800 86400 1
@ 5 NS ns
ns 5 A 192.0.2.53
a 5 A 192.0.2.1
a 5 A 192.0.2.2
a 5 AAAA 2001:db8::1
one 5 CNAME two
two 9 CNAME a
*.wild 5 TXT "wild"
sub 5 NS ns.sub
ns.sub 5 A 192.0.2.54
old 5 DNAME new
x.new 5 A 192.0.2.3
s 5 SRV 0 0 80 a
s 5 SRV 0 0 80 ns
m 5 MX 10 a
zero 0 A 192.0.2.4
long 86400 TXT "long"
`

type query struct {
	name  string
	qtype uint16
}

var (
	positive = []query{
		{"a.example.", dns.TypeA}, {"a.example.", dns.TypeAAAA}, {"A.eXample.", dns.TypeA}, {"one.example.", dns.TypeA}, {"b.wild.example.", dns.TypeTXT},
		{"b.sub.example.", dns.TypeA}, {"x.old.example.", dns.TypeA}, {"s.example.", dns.TypeSRV}, {"m.example.", dns.TypeMX},
		{"zero.example.", dns.TypeA}, {"long.example.", dns.TypeTXT}, {"example.", dns.TypeSOA}, {"example.", dns.TypeNS},
	}
	negative = []query{{"nx.example.", dns.TypeA}, {"a.example.", dns.TypeTXT}}
	both     = slices.Concat(positive, negative)
	address  = []query{{"a.example.", dns.TypeA}, {"nx.example.", dns.TypeA}}
)

// TestNeighbours asks chains of plugins twice, with and without ttlfloor.
func TestNeighbours(t *testing.T) {
	file := "file " + write(t, "zone", zone) + " example"
	key, _ := dnskey(t)
	up := start(t, ".:0 {\nbind 127.0.0.1\n"+file+"\n}")
	primary := start(t, "example:0 {\nbind 127.0.0.1\ntransfer {\nto *\n}\n"+file+"\n}")
	tmpl := func(ttl int, owner string) string {
		return fmt.Sprintf("template IN A {\nanswer \"%s %d IN A 192.0.2.1\"\n}", owner, ttl)
	}
	for _, tt := range []struct {
		name    string
		lines   []string
		queries []query
		edit    func(*dns.Msg) // of the query
		again   int            // ask so many times more, into a cache
		signed  bool           // DNSSEC has a ceiling of its own

		untouched bool
	}{
		{name: "file", lines: []string{file}, queries: both},
		{name: "cache", lines: []string{"cache", file}, queries: both, again: 2},
		{name: "cache with keepttl", lines: []string{"cache {\nkeepttl\n}", file}, queries: both, again: 2},
		{name: "cache with prefetch", lines: []string{"cache {\nprefetch 1 1m 90%\n}", file}, queries: both, again: 4},
		{name: "cache with denial and MINTTL", lines: []string{"cache {\nsuccess 100 3600 20\ndenial 100 1800 20\n}", file}, queries: both, again: 2},
		{name: "cache with serve_stale", lines: []string{"cache {\nserve_stale 1h verify\n}", file}, queries: both, again: 1},
		{name: "forward", lines: []string{"forward . " + up.udp}, queries: both},
		{name: "cache and forward", lines: []string{"cache", "forward . " + up.udp}, queries: both, again: 1},
		{name: "auto", lines: []string{"auto {\ndirectory " + autoDir(t) + " db\\.(.*) {1}\nreload 0\n}"}, queries: both},
		{name: "secondary", lines: []string{"secondary example {\ntransfer from " + primary.tcp + "\n}"}, queries: both},
		{name: "dnssec", lines: []string{"dnssec example {\nkey file " + key + "\n}", file}, queries: both, edit: do, signed: true},
		{name: "dnssec, for a client that does not ask for it", lines: []string{"dnssec example {\nkey file " + key + "\n}", file}, queries: both},
		{name: "rewrite name", lines: []string{"rewrite name suffix .example. .example. answer auto", file}, queries: both},
		{name: "rewrite ttl", lines: []string{"rewrite ttl regex .* 2-7", file}, queries: both},
		{name: "autopath and hosts", lines: []string{"autopath " + write(t, "resolv.conf", "search sub.example example\n"), "hosts {\n192.0.2.9 a.example\nttl 1\nfallthrough\n}", file}, queries: address},
		{name: "loadbalance", lines: []string{"loadbalance", file}, queries: both},
		{name: "minimal", lines: []string{"minimal", file}, queries: both},
		{name: "dns64", lines: []string{"dns64 {\nallow_ipv4\n}", file}, queries: []query{{"a.example.", dns.TypeAAAA}, {"nx.example.", dns.TypeAAAA}}},
		{name: "hosts", lines: []string{"hosts {\n192.0.2.9 a.example\nttl 1\n}"}, queries: []query{{"a.example.", dns.TypeA}, {"9.2.0.192.in-addr.arpa.", dns.TypePTR}}},
		{name: "template", lines: []string{tmpl(0, "{{ .Name }}")}, queries: []query{{"a.example.", dns.TypeA}}},
		{name: "acl", lines: []string{"acl {\nblock type A net 127.0.0.0/8\n}", file}, queries: both},
		{name: "acl that filters", lines: []string{"acl {\nfilter type A net 127.0.0.0/8\n}", file}, queries: both},
		{name: "any, which is outside", lines: []string{"any", file}, queries: []query{{"a.example.", dns.TypeANY}}, untouched: true},
		{name: "ANY of file", lines: []string{file}, queries: []query{{"a.example.", dns.TypeANY}}},
		{name: "chaos", lines: []string{"chaos v", file}, queries: []query{{"version.bind.", dns.TypeTXT}}, edit: func(r *dns.Msg) { r.Question[0].Qclass = dns.ClassCHAOS }},
		{name: "header", lines: []string{"header {\nresponse set ra\n}", file}, queries: both},
		{name: "bufsize", lines: []string{"bufsize 512", file}, queries: both, edit: do},
		{name: "multisocket", lines: []string{"multisocket 2", file}, queries: address},
		{name: "nsid and cookies", lines: []string{"nsid n", file}, queries: both, edit: func(r *dns.Msg) {
			do(r)
			opt := r.IsEdns0()
			opt.Option = append(opt.Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID}, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0011223344556677"})
		}},
		{name: "whoami", lines: []string{"whoami"}, queries: []query{{"a.example.", dns.TypeA}}},
		{name: "CD", lines: []string{"cache", file}, queries: both, edit: func(r *dns.Msg) { r.CheckingDisabled = true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			block := func(more ...string) string {
				return ".:0 {\nbind 127.0.0.1\n" + strings.Join(slices.Concat(tt.lines, more), "\n") + "\n}\n"
			}
			with, without := start(t, block("ttlfloor 30s")), start(t, block())
			if tt.name == "secondary" {
				transferred(t, with)
				transferred(t, without)
			}
			for _, q := range tt.queries {
				for range 1 + tt.again {
					r := new(dns.Msg).SetQuestion(q.name, q.qtype)
					if tt.edit != nil {
						tt.edit(r)
					}
					got, want := with.ask(t, r.Copy(), "udp"), without.ask(t, r.Copy(), "udp")
					if tt.untouched && text(got, false) != text(want, false) {
						t.Errorf("got\n%v\nwithout ttlfloor\n%v", got, want)
					}
					if !tt.signed && !tt.untouched && r.Question[0].Qclass == dns.ClassINET {
						checkTTLs(t, got, want)
					}
					checkSame(t, got, want)
				}
			}
		})
	}
}

// transferred waits for a secondary server to have its zone.
func transferred(t *testing.T, s server) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if m := s.ask(t, new(dns.Msg).SetQuestion("example.", dns.TypeSOA), "udp"); len(m.Answer) > 0 {
			return
		}
	}
	t.Fatalf("no zone after %v", patience)
}

func do(r *dns.Msg) { r.SetEdns0(4096, true) }

func autoDir(t *testing.T) string {
	t.Helper()
	return filepath.Dir(write(t, "db.example", zone))
}

// checkTTLs checks the floors of an unsigned response, and that it is raised if
// it has to be.
func checkTTLs(t *testing.T, got, want *dns.Msg) {
	t.Helper()
	raised := false
	for i, section := range [][]dns.RR{got.Answer, got.Ns, got.Extra} {
		for _, rr := range section {
			h := rr.Header()
			if h.Rrtype == dns.TypeOPT {
				continue
			}
			floor := uint32(30)
			if soa, ok := rr.(*dns.SOA); ok && i == 1 && len(got.Answer) == 0 {
				floor = 5
				if soa.Minttl < floor {
					t.Errorf("MINIMUM %d:\n%v", soa.Minttl, got)
				}
			}
			// What dns64 makes has the lesser TTL of the two lookups.
			if h.Rrtype == dns.TypeAAAA && strings.HasPrefix(rr.(*dns.AAAA).AAAA.String(), "64:ff9b::") {
				floor = 5
			}
			if h.Ttl < floor {
				t.Errorf("TTL %d, want %d or more:\n%v", h.Ttl, floor, got)
			}
			raised = raised || h.Ttl <= 4096 // what is above makes no storm, and stays
		}
	}
	if raised && text(got, false) == text(want, false) {
		t.Errorf("nothing was raised or spread:\n%v", got)
	}
}

// checkSame compares what is not a TTL.
func checkSame(t *testing.T, got, want *dns.Msg) {
	t.Helper()
	if want.Rcode == dns.RcodeServerFailure {
		t.Fatalf("the chain does not work without ttlfloor:\n%v", want)
	}
	if g, w := text(got, true), text(want, true); g != w {
		t.Errorf("got\n%s\nwithout ttlfloor\n%s", g, w)
	}
}

// text returns a message in lines that can be compared: the records of a section
// sorted, and masked the TTLs, the MINIMUM of an unsigned negative SOA, and what
// differs from one signature to the next.
func text(m *dns.Msg, mask bool) string {
	m = m.Copy()
	m.Id = 0
	signed := false
	for _, rr := range m.Ns {
		signed = signed || rr.Header().Rrtype == dns.TypeRRSIG
	}
	for i, section := range []*[]dns.RR{&m.Answer, &m.Ns, &m.Extra} {
		for _, rr := range *section {
			h := rr.Header()
			if h.Rrtype != dns.TypeOPT && mask {
				h.Ttl = 0
			}
			switch rr := rr.(type) {
			case *dns.SOA:
				if i == 1 && !signed && mask {
					rr.Minttl = 0
				}
			case *dns.RRSIG:
				rr.Signature, rr.Inception, rr.Expiration = "", 0, 0
			case *dns.OPT:
				for _, o := range rr.Option {
					if c, ok := o.(*dns.EDNS0_COOKIE); ok {
						c.Cookie = c.Cookie[:16]
					}
				}
			case *dns.SRV: // whoami has the client's port
				if strings.HasPrefix(h.Name, "_udp.") {
					rr.Port = 0
				}
			}
		}
		slices.SortFunc(*section, func(a, b dns.RR) int { return strings.Compare(a.String(), b.String()) })
	}
	return m.String()
}
