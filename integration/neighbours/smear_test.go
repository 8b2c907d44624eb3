//go:build linux

package neighbours

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coredns/caddy"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"
)

const (
	fleetSize = 5000
	starting  = 250 // clients that start in a second
	retry     = 5 * time.Second
	// turn is what clients round down to the moment that an answer came. Event loops that keep
	// the time of their last turn, and timers of 15.6 ms, are like that.
	turn = 20 * time.Millisecond
	// room is about how many queries the default receive buffer has room for.
	room = 277
	// busy is how late a client is, or for how long it waits for its answer, at times that
	// are not judged. With smear it waits for 100 ms as it is.
	busy = 250 * time.Millisecond
)

// underRace tells whether the race detector is on.
var underRace bool

// TestSmearDrops has two CoreDNS processes, one with smear, each asked by 5,000 clients of
// one phase. Each client has an address and a socket of its own. The test counts what the
// kernel dropped for want of room in a server's receive buffer, which has the default size.
// It counts from when all clients of smear have been back twice until they have been back
// four times.
//
// A server answers a burst over some milliseconds. Clients wait from when their answer
// came, and so these milliseconds spread them. Those with a coarse clock keep one phase.
// 5,000 machines would not wait for each other as clients on one machine do. So a client
// that gets the processor late does not count as late: what it adds to the time that it
// should have asked is how long the answer took, up to when the kernel had it.
//
// The servers have one core each, as in a container with such a limit. A buffer runs over
// in a third of a second, whoever sends, if its server does not get the processor, or if
// clients don't and then send all at once. What was dropped at such times is not judged. Where a
// machine has no others, or is so slow that it spreads the clients, the test says that nothing is shown.
func TestSmearDrops(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "coredns")
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", binary, "./cmd/coredns").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	without, with := newFleet(t, binary, ""), newFleet(t, binary, "smear 100ms")
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer func() {
		stop()
		running.Wait()
	}()
	begin := time.Now().Truncate(time.Second).Add(2 * time.Second)
	running.Go(func() { without.run(ctx, begin) })
	running.Go(func() { with.run(ctx, begin.Add(time.Second/2)) })

	with.await(2)
	without.forget()
	with.forget()
	for len(with.spells) < 4 || with.backs[4].Load() < fleetSize {
		without.look()
		with.look()
		time.Sleep(time.Second)
	}
	a, b := without.sum(), with.sum()
	t.Logf("without smear: %v", a)
	t.Logf("with smear 100ms: %v", b)
	switch {
	case underRace:
		t.Log("nothing is judged: the clients, and not the servers, are slowed down by the race detector")
	case a.quiet == 0 || b.quiet == 0:
		t.Log("nothing is shown: the machine was busy in every spell of a second")
	case a.burst < room:
		t.Log("nothing is shown: the machine answers so slowly that it spreads the clients")
	case a.dropped == 0 && b.dropped == 0:
		t.Log("nothing is shown: the server is so fast that it drops nothing")
	case b.dropped > a.dropped/100:
		t.Error("want a hundredth at most of what is dropped without smear")
	}
}

// fleet is clients of one server.
type fleet struct {
	t      *testing.T
	server netip.AddrPort
	query  []byte
	backs  [5]atomic.Int64 // clients that have been back so often

	mu      sync.Mutex
	turns   map[time.Duration]int // queries that were due in each turn
	longest time.Duration         // that a client was late, or waited for its answer, since the last look

	spells  []spell
	dropped int // by then
}

// spell is what happened between two looks, a second or more.
type spell struct {
	dropped int
	quiet   bool // neither the server nor a client had to wait for the processor for long
}

// sum is what happened in all spells.
type sum struct {
	quiet, busy     int // spells
	dropped, others int // in those that were quiet and in the others
	burst           int // queries that were due in the busiest turn
}

func (s sum) String() string {
	return fmt.Sprintf("%d dropped in %d spells, %d queries in the busiest %v; %d dropped in %d spells in which the machine was busy", s.dropped, s.quiet, s.burst, turn, s.others, s.busy)
}

// newFleet boots a server with an option of ttlfloor.
func newFleet(t *testing.T, binary, option string) *fleet {
	t.Helper()
	addr := freeAddr(t)
	corefile := fmt.Sprintf(".:%d {\nbind 127.0.0.1\nttlfloor 4s example {\n%s\n}\nfile %s example\n}\n", addr.Port(), option, write(t, "zone", zone))
	server := exec.Command(binary, "-quiet", "-conf", write(t, "Corefile", corefile))
	server.Env = append(os.Environ(), "GOMAXPROCS=1")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if m, err := dns.Exchange(new(dns.Msg).SetQuestion("ns.example.", dns.TypeA), addr.String()); err == nil && len(m.Answer) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no answer in %v", patience)
		}
	}
	return &fleet{t: t, server: addr, query: pack(t, new(dns.Msg).SetQuestion("zero.example.", dns.TypeA)), turns: map[time.Duration]int{}}
}

func freeAddr(t *testing.T) netip.AddrPort {
	t.Helper()
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = free.Close() }()
	return free.LocalAddr().(*net.UDPAddr).AddrPort()
}

func (f *fleet) run(ctx context.Context, begin time.Time) {
	var clients sync.WaitGroup
	for i := range fleetSize {
		clients.Go(func() {
			if err := f.client(ctx, begin, i); err != nil && ctx.Err() == nil {
				f.t.Error(err)
			}
		})
	}
	clients.Wait()
}

// client asks when the TTL of its last answer has run out, by its own clock.
func (f *fleet) client(ctx context.Context, begin time.Time, number int) error {
	conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 1, byte(number>>8), byte(number))}, net.UDPAddrFromAddrPort(f.server))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := stamped(conn); err != nil {
		return err
	}
	next := time.Duration(number/starting) * time.Second
	buf, control := make([]byte, 512), make([]byte, 128)
	for back := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(begin.Add(next))):
		}
		asked := time.Now()
		f.mu.Lock()
		f.turns[next]++
		f.longest = max(f.longest, asked.Sub(begin.Add(next)))
		f.mu.Unlock()
		if err := conn.SetReadDeadline(asked.Add(retry)); err != nil {
			return err
		}
		if _, err := conn.Write(f.query); err != nil {
			return err
		}
		n, c, _, _, err := conn.ReadMsgUDP(buf, control)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			next += retry
			continue
		}
		if err != nil {
			return err
		}
		came, err := stamp(control[:c])
		if err != nil {
			return err
		}
		m := new(dns.Msg)
		if err := m.Unpack(buf[:n]); err != nil {
			return err
		}
		if len(m.Answer) == 0 {
			return fmt.Errorf("no record in the answer:\n%v", m)
		}
		f.mu.Lock()
		f.longest = max(f.longest, came.Sub(asked))
		f.mu.Unlock()
		if back < len(f.backs) {
			f.backs[back].Add(1)
		}
		back++
		next = (next + came.Sub(asked)).Truncate(turn) + time.Duration(m.Answer[0].Header().Ttl)*time.Second
	}
}

// stamped has the kernel say when a packet came.
func stamped(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TIMESTAMPNS, 1)
	}); err != nil {
		return err
	}
	return failed
}

// stamp is when a packet came, from its control messages.
func stamp(control []byte) (time.Time, error) {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return time.Time{}, err
	}
	for _, c := range messages {
		if c.Header.Level == syscall.SOL_SOCKET && c.Header.Type == syscall.SCM_TIMESTAMPNS {
			var ts syscall.Timespec
			if err := binary.Read(bytes.NewReader(c.Data), binary.NativeEndian, &ts); err != nil {
				return time.Time{}, err
			}
			return time.Unix(ts.Unix()), nil
		}
	}
	return time.Time{}, errors.New("the kernel did not say when a packet came")
}

// await waits for all clients to have been back so often.
func (f *fleet) await(times int) {
	f.t.Helper()
	for deadline := time.Now().Add(3 * patience); f.backs[times].Load() < fleetSize; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("%d of %d clients have been back %d times in %v", f.backs[times].Load(), fleetSize, times, 3*patience)
		}
	}
}

// forget starts to look for the busiest turn anew.
func (f *fleet) forget() {
	f.mu.Lock()
	clear(f.turns)
	f.mu.Unlock()
}

// look ends a spell.
func (f *fleet) look() {
	f.t.Helper()
	dropped := f.drops()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spells = append(f.spells, spell{dropped - f.dropped, f.longest < busy})
	f.dropped, f.longest = dropped, 0
}

// sum judges the spells but for the first, which was the end of something else. A client
// knows of a wait at its end, so a spell is quiet if the next one is, too.
func (f *fleet) sum() (s sum) {
	for i, this := range f.spells[1 : len(f.spells)-1] {
		if this.quiet && f.spells[i+2].quiet {
			s.quiet++
			s.dropped += this.dropped
		} else {
			s.busy++
			s.others += this.dropped
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.turns {
		s.burst = max(s.burst, n)
	}
	return s
}

// drops is how many packets the server's socket has dropped.
func (f *fleet) drops() int {
	f.t.Helper()
	ip := f.server.Addr().As4()
	local := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(ip[:]), f.server.Port())
	for range 100 { // a socket may be left out while others come and go
		text, err := os.ReadFile("/proc/net/udp")
		if err != nil {
			f.t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 13 || fields[1] != local {
				continue
			}
			n, err := strconv.Atoi(fields[12])
			if err != nil {
				f.t.Fatal(err)
			}
			return n
		}
	}
	f.t.Fatalf("/proc/net/udp does not have the server's socket, %s", local)
	return 0
}

// holding returns a server block that holds responses: its window has two seconds, so that
// a hundred clients that come at once fill half a second of each.
func holding(addr netip.AddrPort, file string) caddy.Input {
	text := fmt.Sprintf(".:%d {\nbind 127.0.0.1\nttlfloor 30s example {\njitter 0%% 1%%\nsmear 500ms\n}\n%s\n}\n", addr.Port(), file)
	return caddy.CaddyfileInput{Contents: []byte(text), Filepath: "Corefile", ServerTypeName: "dns"}
}

// herd is clients that asked over UDP, all at once.
type herd struct {
	answered atomic.Int64
	clients  sync.WaitGroup
}

// ask has clients ask that were not seen before, and returns when all responses are made,
// whether or not they are held. It sends few enough for the server's receive buffer.
func ask(t *testing.T, addr netip.AddrPort, group, n int) *herd {
	t.Helper()
	before := responses(t)
	h := new(herd)
	conns := make([]*dns.Conn, n)
	for i := range conns {
		c := dns.Client{Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(127, 2, byte(group), byte(i))}}}
		conn, err := c.Dial(addr.String())
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = conn
	}
	for _, conn := range conns {
		h.clients.Go(func() {
			defer func() { _ = conn.Close() }()
			if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Error(err)
			}
			if _, err := conn.ReadMsg(); err != nil {
				t.Error(err)
				return
			}
			h.answered.Add(1)
		})
		if err := conn.WriteMsg(new(dns.Msg).SetQuestion("zero.example.", dns.TypeA)); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(patience); responses(t) < before+n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d responses in %v", responses(t)-before, n, patience)
		}
	}
	return h
}

// responses is how many ttlfloor has made.
func responses(t *testing.T) (n int) {
	t.Helper()
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "coredns_ttlfloor_responses_total" {
			for _, m := range f.GetMetric() {
				n += int(m.GetCounter().GetValue())
			}
		}
	}
	return n
}

// TestSmearReload reloads and stops a server while it holds responses. None is lost.
func TestSmearReload(t *testing.T) {
	addr, file := freeAddr(t), "file "+write(t, "zone", zone)+" example"
	inst, err := caddy.Start(holding(addr, file))
	if err != nil {
		t.Fatal(err)
	}
	const all = 200
	group := 0
	// during does something while responses are held. A machine may stand still until none is.
	during := func(name string, do func() error) {
		t.Helper()
		h := ask(t, addr, group, all)
		group++
		answered := h.answered.Load()
		if err := do(); err != nil {
			t.Error(err)
		}
		h.clients.Wait()
		t.Logf("%s: %d of %d were held, and %d got their answer", name, all-answered, all, h.answered.Load())
		if answered == all {
			t.Errorf("%s: no response was held", name)
		}
	}
	for range 3 {
		during("reload", func() error {
			inst, err = inst.Restart(holding(addr, file))
			return err
		})
	}
	during("stop", func() error { return errors.Join(inst.Stop(), errors.Join(inst.ShutdownCallbacks()...)) })
}

// TestSmearTransports has clients over other transports ask while responses over UDP are held. They
// would take their turn after these, but have their answer before the last of them. Clients
// over UDP in their place do take their turn.
func TestSmearTransports(t *testing.T) {
	const (
		all    = 90
		others = 4
		rounds = 20 // a machine may stand still until all are answered
	)
	cert, key, trust := certificate(t)
	secure := func(protocols ...string) *tls.Config {
		return &tls.Config{RootCAs: trust, NextProtos: protocols, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	}
	query := new(dns.Msg).SetQuestion("zero.example.", dns.TypeA)
	query.Id = 0 // RFC 9250 section 4.2.1
	stream := func(c dns.Client) func(t *testing.T, addr string, ip net.IP) func() error {
		return func(t *testing.T, addr string, ip net.IP) func() error {
			t.Helper()
			c.Dialer = &net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}}
			c.Timeout = patience
			conn, err := c.Dial(addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			return func() error { _, _, err := c.ExchangeWithConn(query, conn); return err }
		}
	}
	overQUIC := func(t *testing.T, addr string, ip net.IP) func() error {
		t.Helper()
		socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: ip})
		if err != nil {
			t.Fatal(err)
		}
		transport := &quic.Transport{Conn: socket}
		conn, err := transport.Dial(t.Context(), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)), secure("doq"), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = conn.CloseWithError(0, "")
			_ = transport.Close()
			_ = socket.Close()
		})
		return func() error {
			s, err := conn.OpenStreamSync(t.Context())
			if err != nil {
				return err
			}
			wire := pack(t, query)
			if _, err := s.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)); err != nil {
				return err
			}
			if err := s.Close(); err != nil {
				return err
			}
			if got, err := io.ReadAll(s); err != nil || len(got) < len(wire) {
				return fmt.Errorf("%d octets: %w", len(got), errors.Join(err, io.ErrUnexpectedEOF))
			}
			return nil
		}
	}
	for number, tt := range []struct {
		name, scheme string
		dial         func(t *testing.T, addr string, ip net.IP) func() error
		held         bool
	}{
		{"UDP", "dns", func(t *testing.T, addr string, ip net.IP) func() error {
			t.Helper()
			c := dns.Client{Timeout: patience, Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: ip}}}
			return func() error { _, _, err := c.Exchange(query, addr); return err }
		}, true},
		{"TCP", "dns", stream(dns.Client{Net: "tcp"}), false},
		{"DoT", "tls", stream(dns.Client{Net: "tcp-tls", TLSConfig: secure()}), false},
		{"DoQ", "quic", overQUIC, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for round := range rounds {
				s, other := freeAddr(t), freeAddr(t) // nobody has an appointment with a new server
				keys, more := fmt.Sprintf("dns://.:%d", s.Port()), ""
				if tt.scheme == "dns" {
					other = s
				} else {
					keys += fmt.Sprintf(" %s://.:%d", tt.scheme, other.Port())
					more = "tls " + cert + " " + key + "\n"
				}
				start(t, fmt.Sprintf("%s {\nbind 127.0.0.1\n%sttlfloor 30s example {\njitter 0%% 1%%\nsmear 500ms\n}\nfile %s example\n}\n", keys, more, write(t, "zone", zone)))
				asks := make([]func() error, others)
				for i := range asks {
					asks[i] = tt.dial(t, other.String(), net.IPv4(127, byte(3+number), byte(round), byte(i)))
				}
				h := ask(t, s, 10+round, all)
				var clients sync.WaitGroup
				for _, do := range asks {
					clients.Go(func() {
						if err := do(); err != nil {
							t.Error(err)
						}
					})
				}
				clients.Wait()
				last := h.answered.Load() == all
				h.clients.Wait()
				if last == tt.held || t.Failed() {
					return
				}
			}
			t.Errorf("in none of %d rounds were they held as they should be: %v", rounds, tt.held)
		})
	}
}
