package lab

import (
	"context"
	"math"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns/coredns/plugin"

	"github.com/miekg/dns"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

// came is a query as a server sees it.
type came struct {
	at    time.Time
	ip    string
	port  int
	tcp   bool
	name  string
	qtype uint16
}

// watch does a run and returns the queries that came.
func watch(t *testing.T, cfg Run) (out []came, res Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r, err := newRun(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer r.stop()
		for _, p := range r.replicas {
			next := p.handler
			p.handler = plugin.HandlerFunc(func(ctx context.Context, w dns.ResponseWriter, q *dns.Msg) (int, error) {
				c := came{at: time.Now(), name: q.Question[0].Name, qtype: q.Question[0].Qtype}
				switch addr := w.RemoteAddr().(type) {
				case *net.UDPAddr:
					c.ip, c.port = addr.IP.String(), addr.Port
				case *net.TCPAddr:
					c.ip, c.port, c.tcp = addr.IP.String(), addr.Port, true
				}
				if w.LocalAddr().Network() != w.RemoteAddr().Network() {
					t.Errorf("from %v to %v", w.RemoteAddr(), w.LocalAddr())
				}
				out = append(out, c)
				return next.ServeDNS(ctx, w, q)
			})
		}
		if res, err = r.do(); err != nil {
			t.Fatal(err)
		}
	})
	return out, res
}

// by groups queries, and keeps their order.
func by[K comparable](queries []came, key func(came) K) map[K][]came {
	out := make(map[K][]came)
	for _, q := range queries {
		out[key(q)] = append(out[key(q)], q)
	}
	return out
}

func ip(q came) string { return q.ip }

// TestAddresses has clients with an address each, whatever they ask for, and all
// behind one.
func TestAddresses(t *testing.T) {
	cfg := base(treatment("cache 30"), 30)
	cfg.Clients, cfg.Replicas, cfg.Join = 20, 3, []Join{{time.Minute, 5}}
	queries, _ := watch(t, cfg)
	clients := by(queries, ip)
	if len(clients) != 25 {
		t.Errorf("%d addresses, want 25", len(clients))
	}
	for address, own := range clients {
		if n := len(by(own, func(q came) string { return q.name })); n != 2 {
			t.Errorf("%s asks for %d names, want 2", address, n)
		}
		if n := len(by(own, func(q came) int { return q.port })); n < len(own)-1 {
			t.Errorf("%d queries of %s have %d ports", len(own), address, n)
		}
	}
	cfg.OneAddress, cfg.Others = true, []Others{{Rate: 1, OneAddress: true}, {Rate: 1, Every: 3 * time.Second, OneAddress: true}}
	queries, _ = watch(t, cfg)
	if clients := by(queries, ip); len(clients) != 1 {
		t.Errorf("%d addresses, want 1", len(clients))
	}
}

// TestOthers checks how often, from where and for what those ask who are beside
// the proxies, and that the proxies are counted as if alone.
func TestOthers(t *testing.T) {
	const rate, length = 20, 10 * time.Minute
	names := []string{"a.example.", "b.example."}
	for _, tt := range []struct {
		name      string
		others    Others
		addresses int // 0: one for each query
	}{
		{"one-shot", Others{Rate: rate}, 0},
		{"every 3 s", Others{Rate: rate, Every: 3 * time.Second}, 60},
		{"pollers", Others{Rate: rate, Every: time.Minute, Names: names}, 1200},
		{"abuser", Others{Rate: rate, Every: time.Second / rate}, 1},
	} {
		cfg := base(treatment("cache 30"), 30)
		cfg.Clients, cfg.Length, cfg.Others = 10, length, []Others{tt.others}
		queries, res := watch(t, cfg)
		clients := by(queries, ip)
		others := 0
		for address, own := range clients {
			if net.ParseIP(address).To4()[0] == 10 {
				continue
			}
			others += len(own)
			for i, q := range own {
				if asked := tt.others.Names; asked != nil && !slices.Contains(asked, q.name) || q.qtype != dns.TypeSRV || q.tcp {
					t.Errorf("%s: %+v", tt.name, q)
				}
				if i > 0 {
					if gap := q.at.Sub(own[i-1].at); math.Abs(float64(gap-tt.others.Every)) > float64(cfg.RoundTrip) {
						t.Errorf("%s: %v between two queries", tt.name, gap)
					}
				}
			}
			delete(clients, address)
		}
		want := float64(rate) * length.Seconds()
		if math.Abs(float64(others)-want) > 4*math.Sqrt(want) || res.Others.Queries() != others {
			t.Errorf("%s: %d queries came, %d were counted, want %.0f", tt.name, others, res.Others.Queries(), want)
		}
		if got := len(by(queries, ip)) - 10; tt.addresses > 0 && got != tt.addresses || tt.addresses == 0 && got != others {
			t.Errorf("%s: %d addresses", tt.name, got)
		}
		if len(clients) != 10 || res.Queries != len(queries)-others {
			t.Errorf("%s: %d proxies and %d queries of theirs", tt.name, len(clients), res.Queries)
		}
	}
}

// TestLost has clients that ask again after 5 s, from where they asked.
func TestLost(t *testing.T) {
	cfg := base(treatment("nothing"), 30)
	cfg.Clients, cfg.Length, cfg.Lost = 200, 20*time.Minute, 0.1
	queries, res := watch(t, cfg)
	if share := float64(res.Errors["no response"]) / float64(len(queries)); math.Abs(share-0.1) > 0.01 {
		t.Errorf("%.3f of the responses are lost, want 0.1", share)
	}
	again := 0
	for _, own := range by(queries, func(q came) string { return q.ip + q.name }) {
		for i := 1; i < len(own); i++ {
			if own[i].at.Sub(own[i-1].at) == 5*time.Second {
				again++
			}
		}
	}
	if again < res.Errors["no response"]*9/10 {
		t.Errorf("%d of %d were asked again after 5 s", again, res.Errors["no response"])
	}
}

// TestTruncated has each resolution ask over UDP and at once over TCP.
func TestTruncated(t *testing.T) {
	cfg := base(treatment("cache 30"), 30)
	cfg.Clients, cfg.Truncated = 10, true
	queries, res := watch(t, cfg)
	for _, own := range by(queries, func(q came) string { return q.ip + q.name }) {
		for i, q := range own {
			if q.tcp != (i%2 == 1) || q.tcp && q.at.Sub(own[i-1].at) > 2*cfg.RoundTrip {
				t.Fatalf("query %d of %+v", i, own)
			}
		}
	}
	if answered := res.TTLs[30] + res.TTLs[29]; answered < res.Queries/2-20 || answered > res.Queries/2 {
		t.Errorf("%d answers to %d queries, want one to two", answered, res.Queries)
	}
}

// TestReceived checks that the TTL is known that a response had below ttlfloor.
func TestReceived(t *testing.T) {
	cfg := base(storm.Treatment{Directives: []string{"ttlfloor 30 {\n jitter off\n }"}}, 0)
	cfg.Clients, cfg.Source.TTLs, cfg.Others = 10, map[string]uint32{names[0]: 7, names[1]: 60, "a.example.": 20}, []Others{{Rate: 5, Names: []string{"a.example.", "b.example."}}}
	res := do(t, cfg)
	for _, tt := range []struct {
		record *storm.Record
		want   []storm.TTLs
	}{
		{res.Record, []storm.TTLs{{Received: 7, Handed: 30}, {Received: 60, Handed: 60}}},
		{res.Others, []storm.TTLs{{Received: 20, Handed: 30}, {Received: 0, Handed: 30}}},
	} {
		for _, ttls := range tt.want {
			if tt.record.Pairs()[ttls] == 0 || len(tt.record.Pairs()) != len(tt.want) {
				t.Errorf("%v, want %v", tt.record.Pairs(), tt.want)
			}
		}
	}
}

// TestBesideIsApart checks that proxies who are not disturbed do the same with
// others and without.
func TestBesideIsApart(t *testing.T) {
	cfg := base(treatment("nothing"), 30)
	cfg.Clients = 50
	alone := do(t, cfg)
	cfg.Others = []Others{oneShot(50), every(3*time.Second, 10)}
	if beside := do(t, cfg); !slices.Equal(alone.Seconds, beside.Seconds) {
		t.Error("proxies come at other times beside others")
	}
}
