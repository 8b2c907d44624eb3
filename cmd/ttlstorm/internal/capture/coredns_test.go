package capture

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/bind" // what the Corefiles need
	_ "github.com/coredns/coredns/plugin/dnstap"
	_ "github.com/coredns/coredns/plugin/file"
	_ "github.com/coredns/coredns/plugin/log"
	clog "github.com/coredns/coredns/plugin/pkg/log"

	"github.com/gopacket/gopacket/layers"
	"github.com/miekg/dns"
)

// soon is how long to wait for what comes anyway.
const soon = time.Minute

const zone = `$ORIGIN example.
@   300 SOA ns root 1 2 3 4 45
@   300 NS  ns
a    30 A   192.0.2.1
a    20 A   192.0.2.2
c    60 CNAME a
x\"\010\032y 7 A 192.0.2.3
`

// exchange is a query over sockets, and its answer.
type exchange struct {
	client, server netip.AddrPort
	network        string
	query, answer  []byte
}

// syncBuffer is one that CoreDNS writes to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.b.Bytes())
}

// run asks a CoreDNS with plugins beside the zone, and returns what was asked, and its
// log.
func run(t *testing.T, logFormat, plugins string) (all []exchange, logged []byte) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "zone"), []byte(zone), 0o600); err != nil {
		t.Fatal(err)
	}
	var out syncBuffer
	output, flags, quiet := log.Writer(), log.Flags(), dnsserver.Quiet
	t.Cleanup(func() {
		_ = clog.Configure("text", output)
		log.SetFlags(flags)
		caddy.Quiet, dnsserver.Quiet = quiet, quiet
	})
	log.SetFlags(0)
	caddy.Quiet, dnsserver.Quiet = true, true
	if err := clog.Configure(logFormat, &out); err != nil {
		t.Fatal(err)
	}
	instance, err := caddy.Start(caddy.CaddyfileInput{
		Contents: fmt.Appendf(nil, ".:0 {\n bind 127.0.0.1\n file %q example.\n %s\n}\n", filepath.Join(dir, "zone"), plugins),
		Filepath: "Corefile", ServerTypeName: "dns",
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		_ = instance.Stop()
		instance.Wait()
	})
	defer stop()
	servers := map[string]netip.AddrPort{} // of ports of their own
	for _, s := range instance.Servers() {
		if a := s.Addr(); a != nil {
			servers["tcp"] = netip.MustParseAddrPort(a.String())
		}
		if a := s.LocalAddr(); a != nil {
			servers["udp"] = netip.MustParseAddrPort(a.String())
		}
	}
	for i, q := range []struct {
		name string
		typ  uint16
	}{
		{"a.example.", dns.TypeA}, {"A.EXAMPLE.", dns.TypeA}, {"c.example.", dns.TypeA}, {"no.example.", dns.TypeSRV}, {"a.example.", dns.TypeAAAA},
		{`x\"\010\032y.example.`, dns.TypeA}, {".", dns.TypeNS}, {"elsewhere.", 65280},
	} {
		for network, server := range servers {
			from := netip.MustParseAddr("127.0.0.1")
			if runtime.GOOS == "linux" { // all of 127.0.0.0/8 is there
				from = netip.AddrFrom4([4]byte{127, 3, 0, byte(i)})
			}
			all = append(all, ask(t, network, from, server, new(dns.Msg).SetQuestion(q.name, q.typ)))
		}
	}
	stop()
	for begin := time.Now(); bytes.Count(out.bytes(), []byte("\n")) < len(all) && time.Since(begin) < soon; {
		time.Sleep(time.Millisecond) // the last lines come after the answers
	}
	return all, out.bytes()
}

func ask(t *testing.T, network string, from netip.Addr, server netip.AddrPort, m *dns.Msg) exchange {
	t.Helper()
	var local net.Addr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	if network == "tcp" {
		local = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	dialer := net.Dialer{LocalAddr: local, Timeout: soon}
	conn, err := dialer.DialContext(t.Context(), network, server.String())
	if err != nil {
		t.Fatal(err)
	}
	c := dns.Conn{Conn: conn}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(soon))
	e := exchange{client: netip.MustParseAddrPort(conn.LocalAddr().String()), server: server, network: network, query: pack(t, m)}
	if _, err := c.Write(e.query); err != nil {
		t.Fatal(err)
	}
	if e.answer, err = c.ReadMsgHeader(nil); err != nil {
		t.Fatal(err)
	}
	return e
}

// packetsOf is what was asked as a file that was captured.
func packetsOf(t *testing.T, all []exchange) []byte {
	t.Helper()
	var packets []captured
	for i, e := range all {
		for k, b := range [][]byte{e.query, e.answer} {
			from, to := e.client, e.server
			if k == 1 {
				from, to = to, from
			}
			packet := udp(t, from, to, b)
			if e.network == "tcp" {
				packet = tcp(t, from, to, 1, true, framed(b))
			}
			packets = append(packets, captured{second(i).Add(time.Duration(k)), ethernet(t, layers.EthernetTypeIPv4, packet)})
		}
	}
	return pcapFile(t, layers.LinkTypeEthernet, packets...)
}

// sorted are messages without time, and without what a log does not have, in an order of
// their own.
func sorted(all []Message, answers bool) (out []Message) {
	for _, m := range all {
		if m.Answer == answers {
			m.At = time.Time{}
			if !answers {
				m.Rcode = -1
			}
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b Message) int {
		return cmp.Or(a.Client.Compare(b.Client), strings.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
	return out
}

// TestStockCoreDNS has the same run of a CoreDNS in its log, in dnstap over a socket, in a
// file of what came over the socket, and in packets. All four say the same.
func TestStockCoreDNS(t *testing.T) {
	dir := socketDir(t)
	front, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, "front"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, "back"))
	if err != nil {
		t.Fatal(err)
	}
	var recorded syncBuffer
	go relay(front, filepath.Join(dir, "back"), &recorded)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	came := make(chan Message, 1000)
	served := make(chan error, 1)
	go func() {
		_, err := Serve(ctx, l, Options{}, func(m *Message) { came <- *m })
		served <- err
	}()
	begin := time.Now().Add(-time.Second)
	all, logged := run(t, "text", "log\n dnstap "+filepath.Join(dir, "front")+" full")
	var tapped []Message
	for range 2 * len(all) {
		select {
		case m := <-came:
			if m.At.Before(begin) || m.At.After(time.Now().Add(time.Second)) {
				t.Errorf("the time of %+v", m)
			}
			tapped = append(tapped, m)
		case <-time.After(soon):
			t.Fatalf("%d messages over dnstap, want %d", len(tapped), 2*len(all))
		}
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	_ = front.Close()

	lines, _ := read(t, logged, Options{})
	var ports []uint16
	for _, e := range all {
		ports = append(ports, e.server.Port())
	}
	captured, _ := read(t, packetsOf(t, all), Options{Ports: ports})
	recording, _ := read(t, recorded.bytes(), Options{})
	queries, answers := sorted(captured, false), sorted(captured, true)
	if len(queries) != len(all) || len(answers) != len(all) {
		t.Fatalf("%d queries, %d answers in packets, want %d", len(queries), len(answers), len(all))
	}
	same(t, sorted(lines, false), queries)
	same(t, sorted(tapped, false), queries)
	same(t, sorted(tapped, true), answers)
	same(t, sorted(recording, false), queries)
	same(t, sorted(recording, true), answers)
	ttls := map[string]int64{}
	for _, m := range answers {
		ttls[m.Name+dns.TypeToString[m.Type]] = m.TTL
	}
	for question, want := range map[string]int64{
		"a.example.A": 20, "c.example.A": 20, "a.example.AAAA": 45, "no.example.SRV": 45, `x\"\010\032y.example.A`: 7, ".NS": -1, "elsewhere.": -1,
	} {
		if question = strings.ReplaceAll(question, `\032`, `\ `); ttls[question] != want {
			t.Errorf("TTL %d of %s, want %d", ttls[question], question, want)
		}
	}
}

// relay passes on what CoreDNS sends, and what is sent back, and records the former.
func relay(l net.Listener, to string, record io.Writer) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("unix", to)
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(in, out) }()
		go func() {
			_, _ = io.Copy(io.MultiWriter(record, out), in)
			_ = out.Close()
		}()
	}
}

// TestLogsOfCoreDNS has the logs of a CoreDNS in the formats that there are.
func TestLogsOfCoreDNS(t *testing.T) {
	for what, tc := range map[string]struct{ logFormat, plugin, format string }{
		"default":          {"text", "log", ""},
		"combined":         {"text", "log . {combined}", ""},
		"a format":         {"text", `log . "{name} \"{type}\" {remote}/{>rflags} {/a/b} {duration}"`, `{name} \"{type}\" {remote}/{>rflags} {/a/b} {duration}`},
		"JSON":             {"json", "log", ""},
		"a format as JSON": {"json", `log . "{type}"`, ""},
	} {
		t.Run(what, func(t *testing.T) {
			all, logged := run(t, tc.logFormat, tc.plugin)
			got, c := read(t, logged, Options{LogFormat: tc.format})
			var ports []uint16
			for _, e := range all {
				ports = append(ports, e.server.Port())
			}
			want, _ := read(t, packetsOf(t, all), Options{Ports: ports})
			same(t, sorted(got, false), sorted(want, false))
			for i, m := range got {
				if tc.logFormat == "json" && m.At.IsZero() || tc.format == "" && m.Rcode < 0 {
					t.Errorf("message %d: %+v", i, m)
				}
			}
			if t.Failed() {
				t.Logf("%+v\n%s", c, logged)
			}
		})
	}
}
