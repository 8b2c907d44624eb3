package ttlfloor

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin/test"

	"github.com/miekg/dns"
)

// TestSmear runs 1,000 clients with two names each that all start within 20 ms, in
// virtual time, and looks at the last of ten minutes. A goroutine is a client and
// name, since a response that is held must not hold others.
func TestSmear(t *testing.T) {
	for _, tt := range []struct {
		name, options string
		least, most   int     // queries in the busiest 10 ms
		herd          float64 // busiest second over the mean, by any offset
	}{
		{"without", "", 20, 1000, 2},
		{"100ms", "smear 100ms", 1, 6, 1.10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const minutes = 10
				h := newTTLFloor(t, "ttlfloor 30s example {\n "+tt.options+"\n }", respond(message(t, "answer a.example. 30 A 192.0.2.1")))
				ctx := context.WithValue(context.Background(), dnsserver.Key{}, &dnsserver.Server{Addr: "dns://:53"})
				t.Cleanup(meters.settle)
				var mu sync.Mutex
				var arrived [minutes * 60 * 100]int
				begin := time.Now()
				var clients sync.WaitGroup
				for i := range 1000 {
					r := rand.New(rand.NewPCG(1, uint64(i)))
					start := time.Duration(r.Int64N(int64(20 * time.Millisecond)))
					for _, name := range []string{"a.example.", "b.example."} {
						w := &from{client: net.IPv4(10, 0, byte(i>>8), byte(i))}
						trip := rand.New(rand.NewPCG(r.Uint64(), 1))
						clients.Go(func() {
							time.Sleep(start)
							for {
								at := time.Since(begin)
								if at >= minutes*time.Minute {
									return
								}
								mu.Lock()
								arrived[at/moment]++
								mu.Unlock()
								if _, err := h.ServeDNS(ctx, w, new(dns.Msg).SetQuestion(name, dns.TypeA)); err != nil {
									t.Error(err)
									return
								}
								ttl := w.got.Answer[0].Header().Ttl
								time.Sleep(time.Duration(ttl)*time.Second + time.Duration(trip.Int64N(int64(5*time.Millisecond))))
							}
						})
					}
				}
				clients.Wait()
				last := arrived[(minutes-1)*60*100:]
				sum, busiest, second, herd := 0, 0, 0, 0
				for i, n := range last {
					sum += n
					busiest = max(busiest, n)
					if second += n; i >= 100 {
						second -= last[i-100]
					}
					herd = max(herd, second)
				}
				ratio := float64(herd) * 60 / float64(sum)
				t.Logf("%d queries in the busiest 10 ms, %.2f times the mean in the busiest second by any offset", busiest, ratio)
				if busiest < tt.least || busiest > tt.most || ratio > tt.herd {
					t.Errorf("want %d to %d queries, and %.2f at most", tt.least, tt.most, tt.herd)
				}
			})
		})
	}
}

// from is a writer for a client with an address.
type from struct {
	test.ResponseWriter
	client net.IP
	got    *dns.Msg
}

func (f *from) RemoteAddr() net.Addr { return &net.UDPAddr{IP: f.client, Port: 53000} }

func (f *from) WriteMsg(m *dns.Msg) error {
	f.got = m
	return nil
}

// TestSmearTakes has the moments of an appointment and those after it.
func TestSmearTakes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		loads []uint16 // from the moment on
		fair  uint16
		most  int
		want  int
	}{
		{"nobody is there", nil, 1, 10, 0},
		{"less than twice what is fair", []uint16{1}, 1, 10, 0},
		{"twice", []uint16{2, 1, 0}, 1, 10, 2},
		{"less than is fair is enough", []uint16{6, 3, 2, 0}, 3, 10, 2},
		{"the emptiest, if none is", []uint16{9, 8, 7, 8}, 1, 3, 2},
		{"equals stay", []uint16{9, 9, 9, 9}, 1, 3, 0},
		{"no further than it may", []uint16{9, 9, 0}, 1, 1, 0},
		{"full", []uint16{1<<16 - 1}, 1, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, at := range []int64{150, 3*perMoment - 2, 1 << 40} { // around the end, too
				var s smear
				s.pass(at-100, at+int64(tt.most))
				for i, n := range tt.loads {
					*s.slot(at + int64(i)) = n
				}
				before := *s.slot(at + int64(tt.want))
				if got := s.take(at-100, at, tt.most, tt.fair); got != tt.want {
					t.Fatalf("at %d: %d later, want %d", at, got, tt.want)
				}
				if after := *s.slot(at + int64(tt.want)); after != before+1 && after != 1<<16-1 {
					t.Errorf("at %d: %d appointments, %d before", at, after, before)
				}
				if s.pass(at, at+10); *s.slot(at) != 0 {
					t.Errorf("at %d: %d appointments when it is over", at, *s.slot(at))
				}
			}
		})
	}
}

// TestSmearHolds has the clients that come back at one moment, and are moved or not.
func TestSmearHolds(t *testing.T) {
	const many = 500
	window := choice{lo: 33, hi: 33}
	// round lets all clients come, and returns how many were held and for how long.
	round := func(s *schedule, v visit, from uint64) (held int, longest time.Duration) {
		for client := range uint64(many) {
			v.client, v.name = mix(from+client), 1
			if _, delay, _ := s.book(v, window); delay > 0 {
				held++
				longest = max(longest, delay)
			}
		}
		return held, longest
	}
	for _, tt := range []struct {
		name string
		v    visit
		held bool
	}{
		{"held", visit{smear: 100 * time.Millisecond}, true},
		{"without the option", visit{}, false},
		{"late already", visit{smear: 100 * time.Millisecond, waited: patience + 1}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				held, longest := round(newSchedule(rand.Uint32N), tt.v, 0)
				if (held > many/2) != tt.held || longest > tt.v.smear {
					t.Errorf("%d of %d were held, for up to %v", held, many, longest)
				}
			})
		})
	}
	t.Run("a clock of whole seconds is moved once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, v := newSchedule(rand.Uint32N), visit{smear: 100 * time.Millisecond}
			round(s, v, 0)
			time.Sleep(33*time.Second + 950*time.Millisecond) // no moment that they were told
			first, _ := round(s, v, 0)
			time.Sleep(33 * time.Second)
			if second, _ := round(s, v, 0); first > many/4 || second > first {
				t.Errorf("%d and %d of %d are held again", first, second, many)
			}
		})
	})
	t.Run("a share is that of all rings", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSchedule(rand.Uint32N)
			for client := range uint64(60_000) { // 200 a second, two a moment
				s.book(visit{client: mix(client), name: 2}, choice{lo: 300, hi: 300})
			}
			for client := range uint64(6) {
				if _, delay, _ := s.book(visit{client: mix(client), name: 1, smear: 100 * time.Millisecond}, window); delay > 0 {
					t.Errorf("client %d is held for %v", client, delay)
				}
			}
		})
	})
}

// TestSmearPasses has a great ring whose clients are over: they are in no share any more.
func TestSmearPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(rand.Uint32N)
		for client := range uint64(60_000) { // 200 a second, two a moment
			s.book(visit{client: mix(client), name: 2}, choice{lo: 300, hi: 300})
		}
		time.Sleep(301 * time.Second)
		held := 0
		for client := range uint64(6) {
			if _, delay, _ := s.book(visit{client: mix(1<<20 + client), name: 1, smear: 100 * time.Millisecond}, choice{lo: 33, hi: 33}); delay > 0 {
				held++
			}
		}
		if held == 0 {
			t.Error("nobody is held of six that come back at once")
		}
	})
}

// TestWriterHolds has the responses that a rule with smear has held.
func TestWriterHolds(t *testing.T) {
	t.Cleanup(meters.settle)
	udp := func(n int) net.Addr { return &net.UDPAddr{IP: host(n)} }
	for _, tt := range []struct {
		name    string
		addr    func(n int) net.Addr
		smear   time.Duration
		observe bool
		held    bool
	}{
		{"over UDP", udp, 100 * time.Millisecond, false, true},
		{"over TCP", func(n int) net.Addr { return &net.TCPAddr{IP: host(n)} }, 100 * time.Millisecond, false, false},
		{"a trial", udp, 100 * time.Millisecond, true, false},
		{"without the option", udp, 0, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &rule{schedule: newSchedule(rand.Uint32N), smear: tt.smear, observe: tt.observe}
				held := false
				for n := range 100 {
					w := writerFrom(r, tt.addr(n))
					w.meter = meters.get(labels{"dns://:53", "writer.example.", t.Name()})
					w.arrived = time.Since(w.meter.epoch)
					w.choose(choice{lo: 33, hi: 33})
					held = held || w.delay > 0
				}
				if held != tt.held {
					t.Errorf("held: %v", held)
				}
			})
		})
	}
}

// TestMayHold has the transports on which a response can be held.
func TestMayHold(t *testing.T) {
	udp, tcp := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1)}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}
	for _, tt := range []struct {
		server string
		client net.Addr
		want   bool
	}{
		{"dns://:53", udp, true}, {"dns://:53", tcp, false}, {"quic://:853", udp, false}, {"tls://:853", tcp, false},
		{"https://:443", tcp, false}, {"", udp, false},
	} {
		m := &meter{labels: labels{tt.server, "example.", ""}}
		if got := m.mayHold(tt.client); got != tt.want {
			t.Errorf("%s, %T: %v, want %v", tt.server, tt.client, got, tt.want)
		}
	}
}

// TestMostHeld has more responses than are held at once.
func TestMostHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s smear
		begin := time.Now()
		var held, out sync.WaitGroup
		for range mostHeld {
			held.Go(func() { s.hold(time.Second) })
		}
		synctest.Wait()
		out.Go(func() { s.hold(time.Second) })
		out.Wait()
		if d := time.Since(begin); d != 0 {
			t.Errorf("one more waited for %v", d)
		}
		held.Wait()
		if d := time.Since(begin); d != time.Second {
			t.Errorf("the others waited for %v", d)
		}
		if s.hold(time.Second); time.Since(begin) != 2*time.Second {
			t.Error("the next one did not wait")
		}
	})
}
