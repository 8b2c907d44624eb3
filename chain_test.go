package ttlfloor

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/plugin"
	clog "github.com/coredns/coredns/plugin/pkg/log"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
)

// server is a real CoreDNS on loopback.
type server struct {
	*caddy.Instance
	udp, tcp string
}

func input(corefile string) caddy.Input {
	return caddy.CaddyfileInput{Contents: []byte(corefile), Filepath: "Corefile", ServerTypeName: "dns"}
}

// start boots a Corefile, whose servers share port 0, until the test is over.
func start(t *testing.T, corefile string) *server {
	t.Helper()
	inst, err := caddy.Start(input(corefile))
	if err != nil {
		t.Fatalf("%v\n%s", err, corefile)
	}
	s := &server{Instance: inst}
	t.Cleanup(func() { s.stop(t) })
	s.serves(t)
	for _, server := range inst.Servers() { // in any order
		if udp := server.LocalAddr(); udp != nil { // over TLS there is none
			s.udp, s.tcp = udp.String(), server.Addr().String()
		}
	}
	return s
}

// serves waits until all servers do, since CoreDNS does not stop those that do not
// yet. Their sockets would stay, and the kernel gives their ports to others as well
// (SO_REUSEPORT), who would then lose queries to them. A message without a question
// is answered by the server itself, and no plugin sees it.
func (s *server) serves(t *testing.T) {
	t.Helper()
	for _, server := range s.Servers() {
		for _, addr := range []net.Addr{server.LocalAddr(), server.Addr()} {
			if addr == nil {
				continue
			}
			conn, err := net.Dial(addr.Network(), addr.String())
			if err != nil {
				t.Fatal(err)
			}
			message := make([]byte, 12) // no more than a header
			if addr.Network() == "tcp" {
				message = append([]byte{0, 12}, message...)
			}
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err = conn.Write(message); err == nil {
				_, err = conn.Read(message)
			}
			if err != nil && server.LocalAddr() != nil { // over TLS it says nothing, or ends
				t.Fatalf("%s %s does not serve: %v", addr.Network(), addr, err)
			}
			_ = conn.Close()
		}
	}
}

func (s *server) stop(t *testing.T) {
	t.Helper()
	if s.Instance == nil {
		return
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if errs := s.ShutdownCallbacks(); errs != nil {
		t.Error(errs)
	}
	s.Instance = nil
}

// reload restarts a server with another Corefile.
func (s *server) reload(t *testing.T, corefile string) error {
	t.Helper()
	inst, err := s.Restart(input(corefile))
	s.Instance = inst
	s.serves(t)
	return err
}

// ask sends a query by UDP.
func (s *server) ask(t *testing.T, name string, qtype uint16) *dns.Msg {
	t.Helper()
	return s.send(t, new(dns.Msg).SetQuestion(name, qtype))
}

func (s *server) send(t *testing.T, r *dns.Msg) *dns.Msg {
	t.Helper()
	c := dns.Client{Timeout: 5 * time.Second, UDPSize: dns.MaxMsgSize}
	m, _, err := c.Exchange(r, s.udp)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// ttl asks for a name that has records, and returns the TTL of the first one.
func (s *server) ttl(t *testing.T, name string, qtype uint16) uint32 {
	t.Helper()
	m := s.ask(t, name, qtype)
	if len(m.Answer) == 0 {
		t.Fatalf("no answer: %v", m)
	}
	return m.Answer[0].Header().Ttl
}

func checkTTL(t *testing.T, what string, got, low, high uint32) {
	t.Helper()
	if got < low || got > high {
		t.Errorf("%s: TTL %d, want %d to %d", what, got, low, high)
	}
}

// block is a server block on a free port of 127.0.0.1.
func block(zones string, lines ...string) string {
	keys := strings.Fields(zones)
	for i, zone := range keys {
		keys[i] = zone + ":0"
	}
	return strings.Join(keys, " ") + " {\nbind 127.0.0.1\n" + strings.Join(lines, "\n") + "\n}\n"
}

// zoneFile writes a zone and returns the directive that serves it.
func zoneFile(t *testing.T, origin, zone string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "zone")
	if err := os.WriteFile(path, []byte("$ORIGIN "+origin+".\n"+zone), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file " + path + " " + origin
}

// source is a template that answers A with a TTL.
func source(ttl int) string {
	return fmt.Sprintf("template IN A {\nanswer \"{{ .Name }} %d IN A 192.0.2.1\"\n}", ttl)
}

func TestCache(t *testing.T) {
	s := start(t, block("example", "ttlfloor 30s", "cache 3600", source(7))+
		block("plain", "cache 3600", source(7)))
	ttls := map[uint32]bool{}
	for range 40 { // one miss, then hits
		ttl := s.ttl(t, "a.example.", dns.TypeA)
		checkTTL(t, "through cache", ttl, 33, 45)
		ttls[ttl] = true
	}
	if len(ttls) < 6 { // by chance, since the client does not wait
		t.Errorf("%d different TTLs in 40 answers from one entry, want 6", len(ttls))
	}
	if h := sample(t, "coredns_ttlfloor_received_ttl_seconds", "zone", "example.").GetHistogram(); h.GetSampleSum() > 7*40 || h.GetSampleCount() != 40 {
		t.Errorf("%d responses came from the cache with TTLs of %v in all, want 40 with 7 or what is left of it", h.GetSampleCount(), h.GetSampleSum())
	}
	checkTTL(t, "without a rule", s.ttl(t, "a.plain.", dns.TypeA), 1, 7)
}

// TestServeStale has the TTL of 0 that expired entries go out with, at once or
// after the cache has asked in vain.
func TestServeStale(t *testing.T) {
	for _, mode := range []string{"immediate", "verify"} {
		t.Run(mode, func(t *testing.T) {
			zone := mode + ".example."
			up := start(t, block(zone, source(1)))
			s := start(t, block(zone, "ttlfloor 30s", "cache {\nsuccess 100 1 1\nserve_stale 1h "+mode+"\n}", "forward . "+up.udp))
			checkTTL(t, "fresh", s.ttl(t, "a."+zone, dns.TypeA), 33, 45)
			up.stop(t)
			zero := func() float64 {
				return sample(t, "coredns_ttlfloor_zero_ttl_responses_total", "zone", zone).GetCounter().GetValue()
			}
			for deadline := time.Now().Add(10 * time.Second); zero() == 0 && time.Now().Before(deadline); {
				checkTTL(t, "stale", s.ttl(t, "a."+zone, dns.TypeA), 33, 45)
			}
			if zero() == 0 {
				t.Error("no response came with a TTL of 0")
			}
		})
	}
}

func TestForward(t *testing.T) {
	up := start(t, block("example", zoneFile(t, "example", `@ 0 SOA ns hostmaster 1 7200 1800 86400 0
@ 0 NS ns
ns 0 A 192.0.2.53
a 0 A 192.0.2.1
long 3600 A 192.0.2.2
`)))
	s := start(t, block("example", "ttlfloor 30s", "forward . "+up.udp))
	checkTTL(t, "zero", s.ttl(t, "a.example.", dns.TypeA), 33, 45)
	checkTTL(t, "long, with an NS record of TTL 0 in the message", s.ttl(t, "long.example.", dns.TypeA), 2160, 3600)
	soa := s.ask(t, "nx.example.", dns.TypeA).Ns[0].(*dns.SOA)
	checkTTL(t, "NXDOMAIN", soa.Hdr.Ttl, 5, 8)
	checkTTL(t, "MINIMUM of NXDOMAIN", soa.Minttl, soa.Hdr.Ttl, soa.Hdr.Ttl)
}

// TestFile asks a zone with everything in it, with and without ttlfloor, and
// lets only TTLs differ.
func TestFile(t *testing.T) {
	zone := zoneFile(t, "example", `@ 5 SOA ns hostmaster 1 7200 1800 86400 1
@ 5 NS ns
ns 5 A 192.0.2.53
a 5 A 192.0.2.1
a 5 A 192.0.2.2
one 5 CNAME two
two 9 CNAME a
*.wild 5 TXT "wild"
sub 5 NS ns.sub
ns.sub 5 A 192.0.2.54
old 5 DNAME new
x.new 5 A 192.0.2.3
s 5 SRV 0 0 80 a
m 5 MX 10 a
`)
	with := start(t, block("example", "ttlfloor 30s {\njitter off\n}", zone))
	without := start(t, block("example", zone))
	for _, tt := range []struct {
		name  string
		qtype uint16
		ttls  string // of all records, in order
	}{
		{"a.example.", dns.TypeA, "30 30 30"},
		{"one.example.", dns.TypeA, "30 30 30 30 30"},
		{"b.wild.example.", dns.TypeTXT, "30 30"},
		{"b.sub.example.", dns.TypeA, "30 30"},
		{"x.old.example.", dns.TypeA, "30 30 30 30"},
		{"s.example.", dns.TypeSRV, "30 30 30 30"},
		{"m.example.", dns.TypeMX, "30 30 30 30"},
		{"example.", dns.TypeSOA, "30 30"},
		{"nx.example.", dns.TypeA, "5/5"},
		{"a.example.", dns.TypeAAAA, "5/5"},
		{"one.example.", dns.TypeAAAA, "30 30 30"},
	} {
		t.Run(tt.name+dns.TypeToString[tt.qtype], func(t *testing.T) {
			got, want := with.ask(t, tt.name, tt.qtype), without.ask(t, tt.name, tt.qtype)
			var ttls []string
			for i, section := range sections(got) {
				for j, rr := range section {
					ttl := fmt.Sprint(rr.Header().Ttl)
					was := sections(want)[i][j]
					rr.Header().Ttl = was.Header().Ttl
					if soa, ok := rr.(*dns.SOA); ok && i == authority {
						ttl += fmt.Sprintf("/%d", soa.Minttl)
						soa.Minttl = was.(*dns.SOA).Minttl
					}
					ttls = append(ttls, ttl)
				}
			}
			if s := strings.Join(ttls, " "); s != tt.ttls {
				t.Errorf("TTLs %s, want %s", s, tt.ttls)
			}
			got.Id = want.Id
			if got.String() != want.String() {
				t.Errorf("got\n%v\nwithout ttlfloor\n%v", got, want)
			}
		})
	}
}

// TestInner has a CNAME whose target the server looks up itself: that lookup is
// not changed, or the cache would keep what one client was given.
func TestInner(t *testing.T) {
	s := start(t, block("example", "ttlfloor 30s", "cache 3600",
		zoneFile(t, "example", "@ 3600 SOA ns hostmaster 1 7200 1800 86400 1\n@ 3600 NS ns\nout 300 CNAME a.other.\n"))+
		block("other", "ttlfloor 60s {\njitter 1000% 1000%\n}", source(200)))
	for range 3 { // 200 is the lowest; spread below, it would be 300, that of the CNAME
		m := s.ask(t, "out.example.", dns.TypeA)
		if len(m.Answer) != 2 {
			t.Fatalf("got %v", m)
		}
		for _, rr := range m.Answer {
			checkTTL(t, rr.String(), rr.Header().Ttl, 198*60/100, 200)
		}
	}
	checkTTL(t, "asked for by itself", s.ttl(t, "a.other.", dns.TypeA), 659, 660)
	if got := sample(t, "coredns_ttlfloor_served_ttl_seconds", "zone", "other.").GetHistogram().GetSampleCount(); got != 1 {
		t.Errorf("%d responses for the inner zone, want 1", got)
	}
}

// TestRewriteName shows that the name that the client asked for decides.
func TestRewriteName(t *testing.T) {
	s := start(t, block(".", "ttlfloor 100s alias", "ttlfloor 30s real", "rewrite name suffix .alias .real answer auto", source(0)))
	checkTTL(t, "the alias", s.ttl(t, "a.alias.", dns.TypeA), 110, 150)
	checkTTL(t, "the real name", s.ttl(t, "a.real.", dns.TypeA), 33, 45)
	checkTTL(t, "another name", s.ttl(t, "a.other.", dns.TypeA), 0, 0)
}

func TestRules(t *testing.T) {
	s := start(t, block("example other", "ttlfloor 60s example {\ntypes SRV\n}", "ttlfloor 30s example", "ttlfloor 100s b.example", source(0),
		"template IN SRV {\nanswer \"{{ .Name }} 0 IN SRV 0 0 80 a.{{ .Zone }}\"\n}")+
		block("third", "ttlfloor 200s", source(0)))
	checkTTL(t, "A", s.ttl(t, "a.example.", dns.TypeA), 33, 45)
	checkTTL(t, "SRV", s.ttl(t, "a.example.", dns.TypeSRV), 66, 90)
	checkTTL(t, "the longer zone", s.ttl(t, "a.b.example.", dns.TypeA), 110, 150)
	checkTTL(t, "another zone of the block", s.ttl(t, "a.other.", dns.TypeA), 0, 0)
	checkTTL(t, "another block", s.ttl(t, "a.third.", dns.TypeA), 220, 300)
}

func TestViews(t *testing.T) {
	s := start(t, block("example", "view one {\nexpr name() startsWith 'one.'\n}", "ttlfloor 30s", source(0))+
		block("example", "view two {\nexpr name() startsWith 'two.'\n}", "ttlfloor 100s", source(0)))
	checkTTL(t, "view one", s.ttl(t, "one.example.", dns.TypeA), 33, 45)
	checkTTL(t, "view two", s.ttl(t, "two.example.", dns.TypeA), 110, 150)
	checkTTL(t, "view two again", s.ttl(t, "two.example.", dns.TypeA), 110, 150)
	for view, want := range map[string]uint64{"one": 1, "two": 2} {
		if got := sample(t, "coredns_ttlfloor_served_ttl_seconds", "view", view).GetHistogram().GetSampleCount(); got != want {
			t.Errorf("view %s: %d responses, want %d", view, got, want)
		}
	}
}

// TestReloadLabels has series end with their view or their server, and others go
// on.
func TestReloadLabels(t *testing.T) {
	count := func(label, value string) (n uint64) {
		for _, m := range gather(t)["coredns_ttlfloor_served_ttl_seconds"].GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					n += m.GetHistogram().GetSampleCount()
				}
			}
		}
		return n
	}
	t.Run("view", func(t *testing.T) {
		one := block("example", "view one {\nexpr name() startsWith 'one.'\n}", "ttlfloor 30s", source(0))
		two := block("example", "view two {\nexpr name() startsWith 'two.'\n}", "ttlfloor 30s", source(0))
		s := start(t, one+two)
		s.ask(t, "one.example.", dns.TypeA)
		s.ask(t, "two.example.", dns.TypeA)
		if err := s.reload(t, one); err != nil {
			t.Fatal(err)
		}
		s.ask(t, "one.example.", dns.TypeA)
		if one, two := count("view", "one"), count("view", "two"); one != 2 || two != 0 {
			t.Errorf("%d and %d responses, want 2 and none of the view that is gone", one, two)
		}
	})
	t.Run("server", func(t *testing.T) {
		both := "a.example:0 b.example:0 {\nbind 127.0.0.1 ::1\nttlfloor 30s\n" + source(0) + "\n}\n"
		s := start(t, both)
		ask := func() {
			for _, server := range s.Servers() {
				s.udp = server.LocalAddr().String()
				s.ask(t, "a.example.", dns.TypeA)
				s.ask(t, "b.example.", dns.TypeA)
			}
		}
		ask()
		for _, corefile := range []string{both, strings.Replace(both, " ::1", "", 1)} {
			if err := s.reload(t, corefile); err != nil {
				t.Fatal(err)
			}
			ask()
		}
		if four, six := count("server", "dns://127.0.0.1:0"), count("server", "dns://[::1]:0"); four != 6 || six != 0 {
			t.Errorf("%d and %d responses, want 6 and none of the address that is gone", four, six)
		}
	})
}

// TestObserve has a rule that decides, counts and shows everything, and changes
// nothing.
func TestObserve(t *testing.T) {
	var out bytes.Buffer
	clog.SetOutput(&out)
	t.Cleanup(func() { clog.SetOutput(os.Stdout) })
	s := start(t, block("trial.example", "metadata", "log . \"seen {/ttlfloor/received-ttl} {/ttlfloor/served-ttl}.\"",
		"ttlfloor 30s {\nobserve\njitter off\n}", source(7)))
	checkTTL(t, "observed", s.ttl(t, "a.trial.example.", dns.TypeA), 7, 7)
	of := func(metric string) *dto.Metric {
		return sample(t, "coredns_ttlfloor_"+metric, "zone", "trial.example.")
	}
	if v := of("observing").GetGauge().GetValue(); v != 1 {
		t.Errorf("observing is %v", v)
	}
	if h := of("served_ttl_seconds").GetHistogram(); h.GetSampleCount() != 1 || h.GetSampleSum() != 30 {
		t.Errorf("counted %d responses with %v s, want what would have gone out", h.GetSampleCount(), h.GetSampleSum())
	}
	if n := outcomeCount(t, "trial.example.", raised); n != 1 {
		t.Errorf("outcome raised counted %v times", n)
	}
	if err := s.reload(t, block("trial.example", "ttlfloor 30s {\njitter off\n}", source(7))); err != nil {
		t.Fatal(err)
	}
	checkTTL(t, "after the trial", s.ttl(t, "a.trial.example.", dns.TypeA), 30, 30)
	if v := of("observing").GetGauge().GetValue(); v != 0 {
		t.Errorf("observing is %v after the trial", v)
	}
	if err := s.reload(t, block("trial.example", "ttlfloor 30s {\nobserve\n}", "cache {\nx\n}")); err == nil {
		t.Fatal("reloaded")
	}
	if v := of("observing").GetGauge().GetValue(); v != 0 {
		t.Errorf("observing is %v after a reload that failed", v)
	}
	s.stop(t)
	if want := "seen 7 30."; !strings.Contains(out.String(), want) {
		t.Errorf("no %q in\n%s", want, &out)
	}
}

// outcomeCount returns how many responses of a zone had an outcome.
func outcomeCount(t *testing.T, zone string, o outcome) (n float64) {
	t.Helper()
	for _, m := range gather(t)["coredns_ttlfloor_responses_total"].GetMetric() {
		of := map[string]string{}
		for _, l := range m.GetLabel() {
			of[l.GetName()] = l.GetValue()
		}
		if of["zone"] == zone && of["outcome"] == outcomeNames[o] {
			n += m.GetCounter().GetValue()
		}
	}
	return n
}

// TestFromTheStart has the series of a rule before any query, at zero.
func TestFromTheStart(t *testing.T) { // case 44
	start(t, block("dead.example other.example", "ttlfloor 30s", source(0)))
	for _, zone := range []string{"dead.example.", "other.example."} {
		if n := len(series(t, zone)); n != int(outcomes)+int(comebacks)+8 {
			t.Errorf("%s has %d series before any query:\n%v", zone, n, series(t, zone))
		}
	}
}

// TestUnanswered has queries count when they come, whatever becomes of them.
func TestUnanswered(t *testing.T) { // case 42
	s := start(t, block("failing.example", "ttlfloor 30s", "forward . 127.0.0.1:1 {\nmax_fails 0\n}"))
	for range 20 {
		if m := s.ask(t, "a.failing.example.", dns.TypeA); m.Rcode != dns.RcodeServerFailure {
			t.Fatalf("got %v", m)
		}
	}
	h := s.handler(t)
	n := uint64(0)
	for _, m := range *h.zones.byName["failing.example."].meters.Load() {
		for i := range m.slots {
			n += m.slots[i].Load() & (1<<32 - 1)
		}
	}
	if n != 20 {
		t.Errorf("%d arrivals, want 20", n)
	}
}

// handler returns the one of a server.
func (s *server) handler(t *testing.T) *TTLFloor {
	t.Helper()
	all, _ := s.Storage[instanceKey{}].([]*TTLFloor)
	if len(all) != 1 {
		t.Fatalf("%d handlers", len(all))
	}
	return all[0]
}

// TestKeptContext has a plugin that keeps the context after the query, as *cache*
// does to refresh an entry: neither the client's writer nor the response stays.
func TestKeptContext(t *testing.T) { // case 46
	var kept context.Context
	next := plugin.HandlerFunc(func(ctx context.Context, w dns.ResponseWriter, _ *dns.Msg) (int, error) {
		kept = ctx
		return 0, w.WriteMsg(message(t, "answer a.example. 0 A 192.0.2.1"))
	})
	serve := func() (weak.Pointer[sink], weak.Pointer[dns.Msg]) {
		w := new(sink)
		if _, err := newTTLFloor(t, "ttlfloor 30s example", next).ServeDNS(context.Background(), w, new(dns.Msg).SetQuestion("a.example.", dns.TypeA)); err != nil {
			t.Fatal(err)
		}
		return weak.Make(w), weak.Make(w.got)
	}
	w, m := serve()
	runtime.GC()
	if w.Value() != nil || m.Value() != nil {
		t.Errorf("the context keeps alive: the client's writer %v, the response %v", w.Value() != nil, m.Value() != nil)
	}
	runtime.KeepAlive(kept)
}

// TestTransfer compares the octets of zone transfers with and without ttlfloor.
func TestTransfer(t *testing.T) {
	zone := zoneFile(t, "example", "@ 5 SOA ns hostmaster 1 7200 1800 86400 1\n@ 5 NS ns\nns 5 A 192.0.2.53\na 0 A 192.0.2.1\n")
	axfr := new(dns.Msg).SetAxfr("example.")
	ixfr := new(dns.Msg).SetIxfr("example.", 0, "ns.example.", "hostmaster.example.")
	with := start(t, block("example", "ttlfloor 30s", "transfer {\nto *\n}", zone))
	without := start(t, block("example", "transfer {\nto *\n}", zone))
	for _, r := range []*dns.Msg{axfr, ixfr} {
		got, want := with.transfer(t, r), without.transfer(t, r)
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%s: got\n%x\nwithout ttlfloor\n%x", dns.Type(r.Question[0].Qtype), got, want)
		}
	}
	checkTTL(t, "outside of a transfer", with.ttl(t, "a.example.", dns.TypeA), 33, 45)
}

// transfer returns the messages of a zone transfer as they are on the wire.
func (s *server) transfer(t *testing.T, r *dns.Msg) (messages [][]byte) {
	t.Helper()
	conn, err := dns.DialTimeout("tcp", s.tcp, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := conn.WriteMsg(r); err != nil {
		t.Fatal(err)
	}
	for soas := 0; soas < 2; {
		b := make([]byte, dns.MaxMsgSize)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		m := new(dns.Msg)
		if err := m.Unpack(b[:n]); err != nil || len(m.Answer) == 0 {
			t.Fatalf("%v\n%v", err, m)
		}
		for _, rr := range m.Answer {
			if rr.Header().Rrtype == dns.TypeSOA {
				soas++
			}
		}
		messages = append(messages, b[:n])
	}
	return messages
}

// TestTSIG has the client verify what tsig signs last.
func TestTSIG(t *testing.T) {
	const key, secret = "k.", "i9M+00yrECfVZG2qCjr4mPpaGim/Bq+IWMiNrLjUO4Y="
	s := start(t, block("example", "tsig {\nsecret "+key+" "+secret+"\nrequire all\n}", "ttlfloor 30s", source(0)))
	c := dns.Client{Timeout: 5 * time.Second, TsigSecret: map[string]string{key: secret}}
	r := new(dns.Msg).SetQuestion("a.example.", dns.TypeA).SetEdns0(1232, false).SetTsig(key, dns.HmacSHA256, 300, time.Now().Unix())
	m, _, err := c.Exchange(r, s.udp)
	if err != nil {
		t.Fatal(err)
	}
	if m.IsTsig() == nil || m.IsEdns0() == nil || m.Extra[len(m.Extra)-1].Header().Rrtype != dns.TypeTSIG {
		t.Errorf("want OPT, then TSIG:\n%v", m)
	}
	checkTTL(t, "signed", m.Answer[0].Header().Ttl, 33, 45)
}

// TestLog has log and metadata show the TTLs before and after, and how the client came
// back.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	clog.SetOutput(&out)
	t.Cleanup(func() { clog.SetOutput(os.Stdout) })
	s := start(t, block("example", "metadata", "log . \"seen {name} {/ttlfloor/zone} {/ttlfloor/received-ttl} {/ttlfloor/served-ttl} {/ttlfloor/return}.\"",
		"ttlfloor 30s b.example {\njitter 10% 10%\n}", source(7)))
	s.ask(t, "a.example.", dns.TypeA)
	s.ask(t, "b.example.", dns.TypeA)
	s.stop(t) // so that all is written
	for _, want := range []string{`seen a\.example\. - - - -\.`, `seen b\.example\. b\.example\. 7 3[23] new\.`} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestReload(t *testing.T) {
	count := func(zone string) uint64 {
		return sample(t, "coredns_ttlfloor_served_ttl_seconds", "zone", zone).GetHistogram().GetSampleCount()
	}
	s := start(t, block("example", "ttlfloor 30s", source(0))+block("gone", "ttlfloor 30s", source(0)))
	checkTTL(t, "before", s.ttl(t, "a.example.", dns.TypeA), 33, 45)
	checkTTL(t, "before", s.ttl(t, "a.gone.", dns.TypeA), 33, 45)
	if count("gone.") != 1 {
		t.Errorf("%d responses counted, want 1", count("gone."))
	}

	if err := s.reload(t, block("example", "ttlfloor 100s", source(0))+block("gone", source(0))); err != nil {
		t.Fatal(err)
	}
	checkTTL(t, "after a reload", s.ttl(t, "a.example.", dns.TypeA), 110, 150)
	checkTTL(t, "after a reload", s.ttl(t, "a.gone.", dns.TypeA), 0, 0)
	if n := count("example."); n != 2 {
		t.Errorf("%d responses counted over the reload, want 2", n)
	}
	if left := series(t, "gone."); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	for _, broken := range []string{"ttlfloor 30x", "ttlfloor 30s\nttlfloor 40s", "cache {\nx\n}"} {
		if err := s.reload(t, block("example", broken, source(0))); err == nil {
			t.Fatalf("%s: reloaded", broken)
		}
		checkTTL(t, "after a failed reload", s.ttl(t, "a.example.", dns.TypeA), 110, 150)
	}
	if n := count("example."); n != 5 {
		t.Errorf("%d responses counted, want 5", n)
	}

	s.stop(t)
	if left := series(t, "example."); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestReloadReturns has the series of returns and followers go on with their rule, and
// end with it.
func TestReloadReturns(t *testing.T) {
	returns := func(zone string) (n [comebacks]float64, series int) {
		for _, m := range gather(t)["coredns_ttlfloor_returns_total"].GetMetric() {
			of := map[string]string{}
			for _, l := range m.GetLabel() {
				of[l.GetName()] = l.GetValue()
			}
			if of["zone"] == zone {
				n[slices.Index(comebackNames[:], of["kind"])] += m.GetCounter().GetValue()
				series++
			}
		}
		return n, series
	}
	followers := func(zone string) (series int) {
		for _, m := range gather(t)["coredns_ttlfloor_followers"].GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "zone" && l.GetValue() == zone {
					series++
				}
			}
		}
		return series
	}
	has := func(s *schedule) bool {
		meters.mu.Lock()
		defer meters.mu.Unlock()
		return meters.schedules[s]
	}
	stays := block("stays.example", "ttlfloor 30s", source(0))
	s := start(t, stays+block("ends.example", "ttlfloor 30s", source(0)))
	var ends *schedule
	all, _ := s.Storage[instanceKey{}].([]*TTLFloor)
	for _, h := range all {
		if h.zones.byName["ends.example."] != nil {
			ends = h.rules[0].schedule
		}
	}
	for _, zone := range []string{"stays.example.", "ends.example."} {
		if n, series := returns(zone); n != [comebacks]float64{} || series != int(comebacks) || followers(zone) != 1 {
			t.Errorf("%s, before any query: %v in %d series, followers in %d", zone, n, series, followers(zone))
		}
		s.ask(t, "a."+zone, dns.TypeA)
		if n, _ := returns(zone); n != [comebacks]float64{fresh: 1} {
			t.Errorf("%s: counted %v of %q", zone, n, comebackNames)
		}
	}
	if !has(ends) {
		t.Error("a schedule is not among those whose followers are counted")
	}
	if err := s.reload(t, stays); err != nil {
		t.Fatal(err)
	}
	if n, series := returns("stays.example."); n != [comebacks]float64{fresh: 1} || series != int(comebacks) || followers("stays.example.") != 1 {
		t.Errorf("after a reload: counted %v in %d series, followers in %d", n, series, followers("stays.example."))
	}
	if _, series := returns("ends.example."); series != 0 || followers("ends.example.") != 0 {
		t.Errorf("of a rule that has ended %d series are left, and %d of its followers", series, followers("ends.example."))
	}
	if has(ends) {
		t.Error("the schedule of a rule that has ended is kept")
	}
	was := s.only(t).schedule
	s.stop(t)
	if _, series := returns("stays.example."); series != 0 || followers("stays.example.") != 0 || has(was) {
		t.Errorf("left behind: %d series, %d of followers, the schedule %v", series, followers("stays.example."), has(was))
	}
}

func TestRefusedAtStart(t *testing.T) {
	_, err := caddy.Start(input(block("example", "ttlfloor 30x")))
	if err == nil || !strings.Contains(err.Error(), `plugin/ttlfloor: Corefile:3 - Error during parsing: FLOOR "30x"`) {
		t.Errorf("got %v", err)
	}
}

// TestMetricNames lints what is exported and holds it to the contract.
func TestMetricNames(t *testing.T) {
	s := start(t, block("example", "ttlfloor 30s", source(0)))
	s.ask(t, "a.example.", dns.TypeA)
	var families []*dto.MetricFamily
	got := map[string]dto.MetricType{}
	for _, f := range gather(t) {
		families = append(families, f)
		got[f.GetName()] = f.GetType()
		for _, m := range f.GetMetric() {
			var names []string
			for _, l := range m.GetLabel() {
				names = append(names, l.GetName())
			}
			if all := strings.Join(names, " "); all != "server view zone" && all != "outcome server view zone" && all != "kind server view zone" {
				t.Errorf("%s has the labels %s", f.GetName(), all)
			}
		}
	}
	want := map[string]dto.MetricType{
		"coredns_ttlfloor_responses_total":          dto.MetricType_COUNTER,
		"coredns_ttlfloor_zero_ttl_responses_total": dto.MetricType_COUNTER,
		"coredns_ttlfloor_received_ttl_seconds":     dto.MetricType_HISTOGRAM,
		"coredns_ttlfloor_served_ttl_seconds":       dto.MetricType_HISTOGRAM,
		"coredns_ttlfloor_query_dispersion_ratio":   dto.MetricType_GAUGE,
		"coredns_ttlfloor_query_peak_ratio":         dto.MetricType_GAUGE,
		"coredns_ttlfloor_query_peak":               dto.MetricType_GAUGE,
		"coredns_ttlfloor_observing":                dto.MetricType_GAUGE,
		"coredns_ttlfloor_returns_total":            dto.MetricType_COUNTER,
		"coredns_ttlfloor_followers":                dto.MetricType_GAUGE,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// gather returns the plugin's metrics.
func gather(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]*dto.MetricFamily{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "coredns_ttlfloor_") {
			ours[f.GetName()] = f
		}
	}
	return ours
}

// series returns the name and the labels of each of a zone's.
func series(t *testing.T, zone string) (all []string) {
	t.Helper()
	for name, f := range gather(t) {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "zone" && l.GetValue() == zone {
					all = append(all, fmt.Sprint(name, m.GetLabel()))
				}
			}
		}
	}
	return all
}

// sample returns the one series of a metric that has a label's value, or nil.
func sample(t *testing.T, metric, label, value string) *dto.Metric {
	t.Helper()
	for _, m := range gather(t)[metric].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == label && l.GetValue() == value {
				return m
			}
		}
	}
	return nil
}
