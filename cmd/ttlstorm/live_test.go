package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"io"
	"log"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

var full = flag.Bool("storm", false, "TestBeside for two and a half minutes, and judge the herd")

// TestAddressOf has the addresses of as many clients as there can be, and of those who
// come after them.
func TestAddressOf(t *testing.T) {
	for n, want := range map[int]string{
		0: "127.1.0.0", 1: "127.1.0.1", 256: "127.1.1.0", 65_535: "127.1.255.255", 65_536: "127.2.0.0",
		addresses - 1: "127.255.255.254", addresses: "127.1.0.0",
	} {
		if got := addressOf(n).String(); got != want {
			t.Errorf("client %d has %s, want %s", n, got, want)
		}
	}
}

// TestOneAddress has servers whose clients cannot have an address each.
func TestOneAddress(t *testing.T) {
	for server, want := range map[string]string{
		"127.0.0.1": "", "127.0.0.53": "", "::ffff:127.0.0.1": "",
		"::1": "IPv6 has one", "192.0.2.1": "not on a loopback address", "2001:db8::1": "not on a loopback address",
	} {
		if want == "" && runtime.GOOS != "linux" {
			want = "this system has one"
		}
		got := oneAddress(netip.MustParseAddr(server))
		if !strings.Contains(got, want) || got != "" && want == "" {
			t.Errorf("%s: %q, want %q", server, got, want)
		}
	}
}

// asked is how often an address asked, over UDP and TCP.
type asked struct{ udp, tcp int }

// askers has a server that truncates what goes out over UDP. It returns the address, and
// who has asked so far.
func askers(t *testing.T, listen string) (server string, seen func() map[netip.Addr]asked) {
	t.Helper()
	var mu sync.Mutex
	all := make(map[netip.Addr]asked)
	handler := func(count func(*asked), truncated bool) dns.Handler {
		return dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
			from := netip.MustParseAddrPort(w.RemoteAddr().String()).Addr().Unmap()
			mu.Lock()
			n := all[from]
			count(&n)
			all[from] = n
			mu.Unlock()
			m := new(dns.Msg)
			q, _ := r.Pack()
			_ = m.Unpack(answer(q))
			if m.Truncated = truncated; truncated {
				m.Answer = nil
			}
			_ = w.WriteMsg(m)
		})
	}
	for range 10 { // until a port is free for both
		conn, err := net.ListenPacket("udp", listen)
		if err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp", conn.LocalAddr().String())
		if err != nil {
			_ = conn.Close()
			continue
		}
		for _, s := range []*dns.Server{
			{PacketConn: conn, Handler: handler(func(a *asked) { a.udp++ }, true)},
			{Listener: listener, Handler: handler(func(a *asked) { a.tcp++ }, false)},
		} {
			started := make(chan struct{})
			s.NotifyStartedFunc = func() { close(started) }
			go func() { _ = s.ActivateAndServe() }()
			<-started
			t.Cleanup(func() { _ = s.Shutdown() })
		}
		return conn.LocalAddr().String(), func() map[netip.Addr]asked {
			mu.Lock()
			defer mu.Unlock()
			return maps.Clone(all)
		}
	}
	t.Fatal("no port is free for UDP and TCP")
	return "", nil
}

// TestAddresses looks at who asks a server: each client from one address that is its
// own, over UDP and TCP and for all names, and each other once. The others are in no
// figure but their own.
func TestAddresses(t *testing.T) {
	const clients = 5
	server, seen := askers(t, "127.0.0.1:0")
	dir := t.TempDir()
	jsonFile, csvFile := filepath.Join(dir, "json"), filepath.Join(dir, "csv")
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), []string{
		"-server", server, "-clients", strconv.Itoa(clients), "-others", "100", "-for", "3s", "-json", jsonFile, "-csv", csvFile, "A", "a.example", "b.example",
	}, &stdout, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	var reports []storm.Report
	text, _ := os.ReadFile(jsonFile)
	if err := json.Unmarshal(text, &reports); err != nil || len(reports) != 1 || reports[0].Others == nil {
		t.Fatalf("%v: %s", err, text)
	}
	r, o := reports[0], reports[0].Others
	all := 0
	for _, n := range o.Seconds {
		all += n
	}
	if all != r.Queries+o.Queries || o.First.Queries+o.Last.Queries > all || len(o.Errors) > 0 {
		t.Errorf("%d queries of clients and %d of others are %d in all: %+v", r.Queries, o.Queries, all, o)
	}
	table := cells(stdout.String())
	if table["queries"] != strconv.Itoa(r.Queries) || table["others: queries"] != strconv.Itoa(o.Queries) {
		t.Errorf("the table is\n%s", &stdout)
	}
	f, err := os.Open(csvFile)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if lines, err := csv.NewReader(f).ReadAll(); err != nil || !slices.Equal(lines[0], []string{"second", server, server + ", all"}) || len(lines) != 4 {
		t.Errorf("%v: %q", err, lines)
	}

	if runtime.GOOS != "linux" {
		if who := seen(); len(who) != 1 || !strings.Contains(stderr.String(), "all clients ask from one address") {
			t.Errorf("%v asked, and standard error has %q", who, &stderr)
		}
		return
	}
	if strings.Contains(stderr.String(), "one address") {
		t.Errorf("standard error has %q", &stderr)
	}
	var of asked // clients
	who, strangers := 0, 0
	for from, n := range seen() {
		switch {
		case from == netip.MustParseAddr(loopback): // finds out whether there is a server
		case from.Less(addressOf(clients)):
			who++
			of.udp, of.tcp = of.udp+n.udp, of.tcp+n.tcp
		default:
			strangers++
			if n != (asked{udp: 1}) {
				t.Errorf("%v asked %+v, want once", from, n)
			}
		}
	}
	// Some of those that are reported may have been on their way at the end.
	if who != clients || of.tcp == 0 || of.udp+of.tcp > r.Queries || strangers == 0 || strangers > o.Queries {
		t.Errorf("the server has seen %d clients with %+v, and %d others; reported are %d and %d queries", who, of, strangers, r.Queries, o.Queries)
	}
}

// TestOneAddressIsSaid has a server that sees all clients at one address.
func TestOneAddressIsSaid(t *testing.T) {
	if conn, err := net.ListenPacket("udp", "[::1]:0"); err != nil {
		t.Skipf("needs IPv6: %v", err)
	} else {
		_ = conn.Close()
	}
	server, seen := askers(t, "[::1]:0")
	var stderr bytes.Buffer
	if err := run(t.Context(), []string{"-server", server, "-clients", "3", "-others", "20", "-for", "2s", "A", "a.example"}, io.Discard, &stderr); err != nil {
		t.Fatal(err)
	}
	if who := seen(); len(who) != 1 || strings.Count(stderr.String(), "all clients ask from one address, since IPv6 has one") != 1 {
		t.Errorf("%v asked, and standard error has %q", who, &stderr)
	}
}

// TestBeside has a fleet beside as many queries a second from programs that keep no
// TTL, under random and scheduled at the same time. What is judged by default is that
// every query is accounted for. With -storm it is the herd of the last minute: by then the
// schedule has to be better than chance, and good. A machine that halts makes a herd of
// the clients of both, so a run that fails is done again if the machine was late in it.
func TestBeside(t *testing.T) {
	o := newLoad(10 * time.Second)
	o.clients, o.others = 400, 400
	floor, again := 2, 0
	if *full {
		o.length, floor, again = 150*time.Second, 10, 2
	}
	model, err := o.check()
	if err != nil {
		t.Fatal(err)
	}
	defer log.SetOutput(os.Stderr)
	if err := quiet(); err != nil {
		t.Fatal(err)
	}
	treatments, err := chooseTreatments("ttlfloor, random; ttlfloor, scheduled", floor)
	if err != nil {
		t.Fatal(err)
	}
	own := oneAddress(netip.MustParseAddr(loopback)) == ""
	for ; ; again-- {
		loads := make([]*live, 0, len(treatments))
		for _, treatment := range treatments {
			loads = append(loads, &live{
				load: o, transport: transport{proto: "udp"}, name: treatment.Name, model: model, own: own, questions: linkerd,
				source: &storm.Source{TTL: uint32(floor)}, // #nosec G115 -- small
			})
		}
		reports, halted := sideBySide(t, treatments, loads)
		var text bytes.Buffer
		if err := storm.Text(&text, reports); err != nil {
			t.Fatal(err)
		}
		t.Logf("the machine was late by %v at most\n%s", halted, &text)
		for _, r := range reports {
			all := r.Others.Queries + r.Queries
			for _, n := range r.Others.Seconds {
				all -= n
			}
			if all != 0 || r.Queries < 2*o.clients || r.Others.Queries < 100 {
				t.Errorf("%s: %d queries of clients, %d of others, and %d more than there are in all", r.Name, r.Queries, r.Others.Queries, all)
			}
		}
		if !*full || !own { // who share an address are spread by chance
			return
		}
		random, scheduled := reports[0].Last.SecondRatio, reports[1].Last.SecondRatio
		switch {
		case scheduled <= 1.3 && scheduled <= random:
			return
		case halted > 250*time.Millisecond && again > 0:
			t.Logf("done again")
		default:
			t.Fatalf("the busiest second of the last minute is %.2f times the mean, and %.2f with random; want at most 1.3, and not more than that; the machine was late by %v at most", scheduled, random, halted)
		}
	}
}

// sideBySide runs each load against a server with its treatment, all at the same time, and
// returns by how much the machine was late at most.
func sideBySide(t *testing.T, treatments []storm.Treatment, loads []*live) (reports []storm.Report, late time.Duration) {
	t.Helper()
	for i, l := range loads {
		server, stop, err := serve(treatments[i], l.source)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		l.server = server
		l.source.Start()
	}
	quit, canary := make(chan struct{}), make(chan time.Duration)
	go func() { canary <- lateness(quit) }()
	reports = together(t.Context(), io.Discard, "", loads)
	close(quit)
	return reports, <-canary
}

// lateness is by how much a sleep of 10 ms was too long at most.
func lateness(quit <-chan struct{}) (most time.Duration) {
	const nap = 10 * time.Millisecond
	for {
		before := time.Now()
		select {
		case <-quit:
			return most
		case <-time.After(nap):
			most = max(most, time.Since(before)-nap)
		}
	}
}
