package find

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// behind has clients of one period behind addresses, so many behind each.
func (c *crowd) behind(name string, addresses, each int, within, period time.Duration, ttl int64) {
	at := c.upTo(period)
	for range addresses {
		from := c.host()
		for range each {
			c.add(actor{at: at + c.upTo(within), from: from, name: name, ttl: ttl, wait: func(time.Duration) time.Duration {
				return period + time.Millisecond
			}})
		}
	}
}

// bursts are clients that spin for a while, as a cache that is out of date has them do, in
// every period.
func (c *crowd) bursts(name string, n int, length, period, trip time.Duration, ttl int64) {
	for range n {
		at := c.upTo(time.Second)
		c.add(actor{at: at, from: c.host(), name: name, ttl: ttl, wait: func(now time.Duration) time.Duration {
			if into := (now - at) % period; into > length {
				return period - into
			}
			return trip/2 + c.upTo(trip)
		}})
	}
}

// besides has the clients of the crowd so far ask a name now and then.
func (c *crowd) besides(name string, every time.Duration) {
	for _, a := range c.actors {
		wait := func(time.Duration) time.Duration { return time.Duration(c.r.ExpFloat64() * float64(every)) }
		defer c.add(actor{at: wait(0), from: a.from, name: name, ttl: a.ttl, wait: wait})
	}
}

// from has a fleet come and go between two times, one after the other.
func (c *crowd) from(name string, n int, first, last, stays, period time.Duration) {
	for i := range n {
		comes := first + (last-first)*time.Duration(i)/time.Duration(n)
		goes := comes + stays
		due := comes.Truncate(period) + period // in step with those who are there
		c.add(actor{at: due, from: c.host(), name: name, ttl: -1, wait: func(at time.Duration) time.Duration {
			if at+period > goes {
				return c.length
			}
			return period + time.Millisecond
		}})
	}
}

// TestRealHerds has herds as networks and programs make them. Each is found, with about as
// many clients as there are, and with its period.
func TestRealHerds(t *testing.T) {
	const name = "herd.shop.svc.cluster.local."
	const half, period = 30 * time.Second, 30 * time.Second
	for _, tt := range []struct {
		name    string
		clients int
		period  time.Duration
		off     float64 // part of the clients that may be missing or too many
		ttls    bool    // whether the case holds with TTLs, too
		add     func(c *crowd)
	}{
		{"each asks another time in 100 s", 200, period, 0.1, true, func(c *crowd) {
			c.fleet(name, 200, time.Second, period, 20*time.Millisecond, 30)
			c.besides(name, 100*time.Second)
		}},
		{"each asks another time in 40 s", 200, period, 0.1, true, func(c *crowd) {
			c.fleet(name, 200, time.Second, period, 20*time.Millisecond, 30)
			c.besides(name, 40*time.Second)
		}},
		{"30 % of the lines are missing", 200, period, 0.1, true, func(c *crowd) {
			c.fleet(name, 200, time.Second, period, 20*time.Millisecond, 30)
			c.seen = 0.7
		}},
		{"10 % are missing, and each asks another time", 200, period, 0.1, true, func(c *crowd) {
			c.fleet(name, 200, time.Second, period, 20*time.Millisecond, 30)
			c.besides(name, 100*time.Second)
			c.seen = 0.9
		}},
		{"each asks twice, as the last second of a cache has them do", 200, period, 0.1, false, func(c *crowd) {
			at := c.upTo(period)
			for range 200 {
				begins := at + c.upTo(time.Second)
				c.add(actor{at: begins, from: c.host(), name: name, ttl: -1, wait: func(at time.Duration) time.Duration {
					if (at-begins)%period == 0 {
						return 1500 * time.Millisecond
					}
					return period - 1500*time.Millisecond
				}})
			}
		}},
		{"each line is there twice", 200, 5 * time.Second, 0.1, false, func(c *crowd) {
			at := c.upTo(period)
			for range 200 {
				n, begins, from := 0, at+c.upTo(time.Second), c.host()
				c.add(actor{at: begins, from: from, name: name, ttl: -1, wait: func(time.Duration) time.Duration {
					if n++; n%2 == 1 {
						return 0
					}
					return 5 * time.Second
				}})
			}
		}},
		{"twenty behind each address, every 5 s", 200, 5 * time.Second, 0.1, true, func(c *crowd) { c.behind(name, 10, 20, time.Second, 5*time.Second, 5) }},
		{"among others of the same period, some of whom come with it", 200, period, 0.2, false, func(c *crowd) {
			c.fleet(name, 200, time.Second, period, 20*time.Millisecond, -1)
			c.fleet(name, 300, period, period, 0, -1)
		}},
		{"some came during the input", 200, period, 0.1, false, func(c *crowd) {
			c.from(name, 100, 0, time.Second, time.Hour, period)
			c.from(name, 100, time.Minute, 4*time.Minute, time.Hour, period)
		}},
		{"some left during the input", 100, period, 0.1, false, func(c *crowd) {
			c.from(name, 100, 0, time.Second, time.Hour, period)
			c.from(name, 100, 0, time.Minute, 2*time.Minute, period)
		}},
		{"behind ten addresses", 400, period, 0.1, true, func(c *crowd) { c.behind(name, 10, 40, time.Second, period, 30) }},
		{"behind one address", 100, period, 0.1, true, func(c *crowd) { c.behind(name, 1, 100, time.Second, period, 30) }},
	} {
		for _, ttls := range []bool{false, true} {
			if ttls && !tt.ttls {
				continue
			}
			t.Run(fmt.Sprintf("%s, TTLs %t", tt.name, ttls), func(t *testing.T) {
				for seed := range uint64(8) {
					c := newCrowd(seed, 5*time.Minute+half)
					tt.add(c)
					r := reportOf(c, ttls)
					n := r.of(Herd, name)
					if n == nil || len(r.Findings) != 1 {
						t.Fatalf("seed %d: %+v", seed, r.Findings)
					}
					if math.Abs(float64(n.Clients)/float64(tt.clients)-1) > tt.off {
						t.Errorf("%d clients, want %d; beside them %s", n.Clients, tt.clients, others(n.Others))
					}
					if math.Abs(n.Period.Seconds()/tt.period.Seconds()-1) > 0.05 {
						t.Errorf("a period of %v, want %v", n.Period, tt.period)
					}
					if n.Ended != 0 {
						t.Errorf("it ended %v before the end", n.Ended)
					}
					if !n.Cure || n.Known != ttls {
						t.Errorf("cure %t, known %t: %s", n.Cure, n.Known, n.Why)
					}
				}
			})
		}
	}
}

// TestNoHerd has what looks like a herd and is none.
func TestNoHerd(t *testing.T) {
	const name = "a.shop.svc.cluster.local."
	for _, tt := range []struct {
		name string
		add  func(c *crowd)
	}{
		{"ten jobs of ten queries, each at its own time", func(c *crowd) {
			for range 10 {
				c.behind(name, 1, 10, 500*time.Millisecond, 30*time.Second, -1)
			}
		}},
		{"clients of one period, at any time", func(c *crowd) { c.fleet(name, 500, 30*time.Second, 30*time.Second, 0, -1) }},
		{"clients without a period", func(c *crowd) { c.independent(name, 500, 20*time.Second) }},
		{"ten clients in step", func(c *crowd) { c.fleet(name, 10, time.Second, 30*time.Second, 0, -1) }},
		{"one burst", func(c *crowd) { c.fleet(name, 500, time.Second, time.Hour, 0, -1) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(10) {
				c := newCrowd(seed, 5*time.Minute)
				tt.add(c)
				if r := reportOf(c, false); len(r.Findings) > 0 {
					t.Errorf("%s: %s", r.Findings[0].Kind, headline(r.Findings[0]))
				}
			}
		})
	}
}

// TestRealStorms has storms as programs make them, and what is said of each.
func TestRealStorms(t *testing.T) {
	const name = "storm.shop.svc.cluster.local."
	for _, tt := range []struct {
		name   string
		add    func(c *crowd)
		ttls   bool
		cure   bool
		period time.Duration
		why    string
	}{
		{"in bursts, TTL 0", func(c *crowd) { c.bursts(name, 20, 2*time.Second, 30*time.Second, 5*time.Millisecond, 0) }, true, true, 30 * time.Second, "a TTL of 0"},
		{"in bursts", func(c *crowd) { c.bursts(name, 20, 2*time.Second, 30*time.Second, 5*time.Millisecond, 0) }, false, true, 30 * time.Second, "follow a TTL of 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCrowd(2, 5*time.Minute)
			tt.add(c)
			r := reportOf(c, tt.ttls)
			n := r.of(Storm, name)
			if n == nil || len(r.Findings) != 1 {
				t.Fatalf("%+v", r.Findings)
			}
			if n.Cure != tt.cure || !strings.Contains(n.Why, tt.why) {
				t.Errorf("cure %t: %s", n.Cure, n.Why)
			}
			if n.Period.Round(time.Second) != tt.period {
				t.Errorf("a period of %v, want %v", n.Period, tt.period)
			}
		})
	}
}

// TestOftenAsked has addresses that ask all the time for reasons of their own: no rule is
// written for them, and none is called a storm.
func TestOftenAsked(t *testing.T) {
	const name = "a.shop.svc.cluster.local."
	for _, tt := range []struct {
		name  string
		add   func(c *crowd)
		found bool
	}{
		{"once per connection, five times a second", func(c *crowd) { c.independent(name, 5, 200*time.Millisecond) }, true},
		{"once per connection, ten times a second", func(c *crowd) { c.independent(name, 2, 100*time.Millisecond) }, true},
		{"once per connection, twice a second", func(c *crowd) { c.independent(name, 5, 500*time.Millisecond) }, false},
		{"many behind one address, at any time", func(c *crowd) { c.behind(name, 1, 500, 30*time.Second, 30*time.Second, 30) }, true},
		{"five lookups in a row for each request", func(c *crowd) {
			for range 30 {
				n := 0
				wait := func(time.Duration) time.Duration {
					if n++; n%5 == 0 {
						return time.Duration(c.r.ExpFloat64() * float64(2*time.Second))
					}
					return 3*time.Millisecond + c.upTo(time.Millisecond)
				}
				c.add(actor{at: c.upTo(time.Second), from: c.host(), name: name, ttl: 30, wait: wait})
			}
		}, false},
		{"a job of fifteen lookups every ten seconds", func(c *crowd) {
			n := 0
			c.add(actor{at: c.upTo(time.Second), from: c.host(), name: name, ttl: 30, wait: func(time.Duration) time.Duration {
				if n++; n%15 == 0 {
					return 10 * time.Second
				}
				return 5 * time.Millisecond
			}})
		}, false},
	} {
		for _, ttls := range []bool{false, true} {
			c := newCrowd(6, 5*time.Minute)
			tt.add(c)
			r := reportOf(c, ttls)
			n := r.of(Often, name)
			if (n != nil) != tt.found || len(r.Findings) != btoi(tt.found) || len(r.Rules) > 0 {
				t.Errorf("%s, TTLs %t: %+v, %+v", tt.name, ttls, r.Findings, r.Rules)
			}
		}
	}
}

// TestSeldomOften has a name that is asked as often in a crowd, of which it is a small part.
func TestSeldomOften(t *testing.T) {
	for others, found := range map[int]bool{1: true, 40: false} {
		c := newCrowd(6, time.Minute)
		c.independent("a.shop.svc.cluster.local.", 1, 150*time.Millisecond)
		for range others {
			c.oneShot(c.name(), 25)
		}
		if r := reportOf(c, false); len(r.Findings) != btoi(found) {
			t.Errorf("beside %d other names: %+v", others, r.Findings)
		}
	}
}

// TestStormsSeenAnyhow has storms that only times tell apart from nothing: of a slow server,
// with answers that are lost, in lines that are out of order or have whole seconds, and of
// many clients behind one address.
func TestStormsSeenAnyhow(t *testing.T) {
	const name = "storm.shop.svc.cluster.local."
	for _, tt := range []struct {
		name    string
		clients int
		trip    func(c *crowd) time.Duration
		took    float64       // part of that, which a log has
		shuffle time.Duration // by which lines are out of order
		whole   bool
		one     bool // all have one address
		off     float64
	}{
		{name: "a slow server", clients: 20, trip: func(c *crowd) time.Duration { return 300*time.Millisecond + c.upTo(20*time.Millisecond) }, took: 0.98},
		{name: "20 % lost", clients: 20, off: 0.25, trip: func(c *crowd) time.Duration {
			if c.r.IntN(5) == 0 {
				return 5 * time.Second
			}
			return 20 * time.Millisecond
		}},
		{name: "out of order", clients: 1, trip: func(c *crowd) time.Duration { return time.Millisecond + c.upTo(100*time.Microsecond) }, shuffle: 3 * time.Millisecond},
		{name: "far out of order", clients: 3, trip: func(c *crowd) time.Duration { return 10*time.Millisecond + c.upTo(time.Millisecond) }, shuffle: 50 * time.Millisecond},
		{name: "ten behind one address", clients: 10, trip: func(c *crowd) time.Duration { return 5*time.Millisecond + c.upTo(time.Millisecond) }, took: 0.8, one: true},
		{name: "whole seconds", clients: 3, trip: func(c *crowd) time.Duration { return 10*time.Millisecond + c.upTo(time.Millisecond) }, whole: true},
		{name: "whole seconds, and a slower server", clients: 3, trip: func(c *crowd) time.Duration { return 50*time.Millisecond + c.upTo(5*time.Millisecond) }, whole: true},
		{name: "round trips of all lengths", clients: 1, trip: func(c *crowd) time.Duration {
			return time.Duration(20e6 * math.Exp(c.r.NormFloat64()))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(8) {
				c := newCrowd(seed, time.Minute)
				type line struct {
					at, took time.Duration
					from     netip.Addr
				}
				var lines []line
				shared := c.host()
				for range tt.clients {
					from := c.host()
					if tt.one {
						from = shared
					}
					for at := time.Duration(0); at < c.length; {
						trip := tt.trip(c)
						took := time.Duration(tt.took * float64(trip))
						lines = append(lines, line{at + took, took, from})
						at += trip
					}
				}
				slices.SortFunc(lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
				if tt.shuffle > 0 {
					key := map[int]time.Duration{}
					order := make([]int, len(lines))
					for i := range lines {
						order[i], key[i] = i, lines[i].at+c.upTo(tt.shuffle)
					}
					slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(key[a], key[b]) })
					shuffled := make([]line, 0, len(lines))
					for _, i := range order {
						shuffled = append(shuffled, lines[i])
					}
					lines = shuffled
				}
				f := New()
				begin := time.Unix(1_700_000_000, 0)
				for _, l := range lines {
					at := begin.Add(l.at)
					if tt.whole {
						at = at.Truncate(time.Second)
					}
					f.Query(at.Add(-l.took), l.took, l.from, name, 1)
				}
				r := f.Report(30)
				want := tt.clients
				if tt.one {
					want = 1
				}
				if n := r.of(Storm, name); n == nil || len(r.Findings) != 1 || math.Abs(float64(n.Clients)/float64(want)-1) > max(tt.off, 0.1) || !n.Cure {
					t.Errorf("seed %d: %+v", seed, r.Findings)
				}
			}
		})
	}
}

// TestHerdsThatEnd has a herd that ends or shrinks before the input does, beside a client
// whose period is as long.
func TestHerdsThatEnd(t *testing.T) {
	const name = "herd.shop.svc.cluster.local."
	for _, left := range []int{0, 1, 5, 19} {
		c := newCrowd(1, 10*time.Minute)
		c.from(name, 100, 0, time.Second, 5*time.Minute, 30*time.Second)
		c.fleet(name, left, 30*time.Second, 30*time.Second, 0, -1)
		r := reportOf(c, false)
		n := r.of(Herd, name)
		if n == nil || len(r.Findings) != 1 || n.Clients < 95 || n.Clients > 105 || left > 0 && n.Ended.Round(time.Minute) != 5*time.Minute {
			t.Errorf("%d left: %+v", left, r.Findings)
		}
	}
}

// TestHerdsThatShrink has a herd that becomes a small one: what it was is what harms.
func TestHerdsThatShrink(t *testing.T) {
	const name = "herd.shop.svc.cluster.local."
	c := newCrowd(1, 10*time.Minute)
	c.from(name, 170, 0, time.Second, 5*time.Minute, 30*time.Second)
	c.from(name, 30, 0, time.Second, time.Hour, 30*time.Second)
	r := reportOf(c, false)
	if n := r.of(Herd, name); n == nil || len(r.Findings) != 1 || n.Clients != 200 || n.Ended.Round(time.Minute) != 5*time.Minute {
		t.Errorf("%+v", r.Findings)
	}
}

// TestHerdsInStep has two herds of one name whose rounds meet: who comes three times as often
// is not one of those who come with it.
func TestHerdsInStep(t *testing.T) {
	const name = "herd.shop.svc.cluster.local."
	for _, n := range [][2]int{{100, 60}, {60, 100}} {
		c := newCrowd(1, 10*time.Minute)
		c.from(name, n[0], 0, time.Second, time.Hour, 30*time.Second)
		c.from(name, n[1], 0, time.Second, time.Hour, 10*time.Second)
		r := reportOf(c, false)
		got := map[time.Duration]int{}
		for _, f := range r.Findings {
			got[f.Period.Round(time.Second)] = f.Clients
		}
		if len(r.Findings) != 2 || got[30*time.Second] != n[0] || got[10*time.Second] != n[1] {
			t.Errorf("%v, want %v", got, n)
		}
	}
}

// TestJobs has a job of twenty lookups every ten seconds. Where TTLs are seen, which it does not
// keep, it is no herd.
func TestJobs(t *testing.T) {
	for ttls, want := range map[bool]int{false: 1, true: 0} {
		c := newCrowd(6, 5*time.Minute)
		n := 0
		c.add(actor{at: 0, from: c.host(), name: "a.shop.svc.cluster.local.", ttl: 30, wait: func(time.Duration) time.Duration {
			if n++; n%20 == 0 {
				return 10 * time.Second
			}
			return 5 * time.Millisecond
		}})
		r := reportOf(c, ttls)
		if len(r.Findings) != want || want > 0 && r.Findings[0].If == "" {
			t.Errorf("TTLs %t: %+v", ttls, r.Findings)
		}
	}
}

// TestHerdsInOneName has three herds of one name, each of which is a finding.
func TestHerdsInOneName(t *testing.T) {
	const name = "herd.shop.svc.cluster.local."
	c := newCrowd(1, 10*time.Minute)
	c.fleet(name, 200, time.Second, 45*time.Second, 20*time.Millisecond, -1)
	c.fleet(name, 100, time.Second, 30*time.Second, 20*time.Millisecond, -1)
	c.fleet(name, 50, time.Second, 10*time.Second, 20*time.Millisecond, -1)
	r := reportOf(c, false)
	want := map[time.Duration]int{45 * time.Second: 200, 30 * time.Second: 100, 10 * time.Second: 50}
	for _, n := range r.Findings {
		if n.Kind != Herd || math.Abs(float64(n.Clients)/float64(want[n.Period.Round(time.Second)])-1) > 0.1 {
			t.Errorf("%s of %d every %v", n.Kind, n.Clients, n.Period)
		}
	}
	if len(r.Findings) != 3 || len(r.Rules) != 1 {
		t.Errorf("%d findings, rules %+v", len(r.Findings), r.Rules)
	}
}

// TestShortTTLs has clients that come after a few seconds: none is a storm, and few are a herd.
func TestShortTTLs(t *testing.T) {
	const name = "short.shop.svc.cluster.local."
	for _, tt := range []struct {
		ttl   int64
		ttls  bool
		found bool
		why   string
	}{
		{1, false, true, "as those do that follow so short a TTL"},
		{2, false, true, "as those do that follow so short a TTL"},
		{5, false, false, ""}, // may be pollers
		{1, true, true, "keep the TTLs"},
		{5, true, true, "keep the TTLs"},
		{30, true, false, ""},
	} {
		t.Run(fmt.Sprintf("TTL %d, seen %t", tt.ttl, tt.ttls), func(t *testing.T) {
			c := newCrowd(3, 5*time.Minute)
			period := time.Duration(tt.ttl) * time.Second
			c.fleet(name, 100, period, period, 20*time.Millisecond, tt.ttl)
			r := reportOf(c, tt.ttls)
			if !tt.found {
				if len(r.Findings) > 0 {
					t.Errorf("%+v", r.Findings)
				}
				return
			}
			n := r.of(Short, name)
			if n == nil || len(r.Findings) != 1 || !n.Cure || !strings.Contains(n.Why, tt.why) || n.Clients != 100 || len(r.Rules) != 1 {
				t.Fatalf("%+v", r.Findings)
			}
			if err := r.Predict(30, 1); err != nil {
				t.Fatal(err)
			}
			if p := r.Findings[0].Predict; p == nil || p.Rate > 100./33 || p.Before != int(tt.ttl) {
				t.Errorf("predicted %+v", p)
			}
		})
	}
}

// TestShortEnough has clients whose TTL a floor does not even double.
func TestShortEnough(t *testing.T) {
	for floor, want := range map[int]int{9: 0, 11: 1} {
		c := newCrowd(3, 5*time.Minute)
		c.fleet("short.shop.svc.cluster.local.", 100, 5*time.Second, 5*time.Second, 0, 5)
		f := New()
		c.run(f, true)
		if r := f.Report(floor); len(r.Findings) != want {
			t.Errorf("FLOOR %d: %+v", floor, r.Findings)
		}
	}
}

// TestWhoElse has the clients that are in no finding: those who left, and those who have
// the period of a herd at other times.
func TestWhoElse(t *testing.T) {
	const name = "herd.shop.svc.cluster.local."
	c := newCrowd(1, 5*time.Minute)
	c.from(name, 100, 0, time.Second, time.Hour, 30*time.Second)
	c.from(name, 40, 0, time.Minute, 2*time.Minute, 30*time.Second)
	c.fleet(name, 200, 30*time.Second, 30*time.Second, 0, -1)
	r := reportOf(c, false)
	n := r.of(Herd, name)
	if n == nil {
		t.Fatal("no herd")
	}
	if o := n.Others; o.Left != 40 || len(o.Regular) != 1 || math.Abs(float64(o.Regular[0].Clients)-200) > 20 || o.Rest > 5 || n.Followers != n.Clients+o.Regular[0].Clients {
		t.Errorf("%d of %d, and %+v", n.Clients, n.Followers, o)
	}
}

// TestWhoKeepsTTLs has a name with nothing wrong: who of its clients keeps TTLs, and who
// does not.
func TestWhoKeepsTTLs(t *testing.T) {
	const name = "a.shop.svc.cluster.local."
	c := newCrowd(1, 5*time.Minute)
	c.fleet(name, 50, 20*time.Second, 20*time.Second, 0, 20)
	c.fleet(name, 30, 13*time.Second, 13*time.Second, 0, 20)
	c.independent(name, 10, 20*time.Second)
	for range 5 {
		c.add(actor{at: c.upTo(time.Minute), from: c.host(), name: name, ttl: 20, wait: func(time.Duration) time.Duration { return time.Hour }})
	}
	r := reportOf(c, true)
	if len(r.Findings) > 0 || len(r.Busiest) != 1 {
		t.Fatalf("%+v", r)
	}
	if got, want := others(r.Busiest[0].Clients), "50 every 20s as TTLs say, 30 every 13s, 5 asked once, 10 at no regular time"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if p := r.Busiest[0].Clients.Regular; len(p[0].Examples) != shown || !p[0].Known || p[1].Known {
		t.Errorf("%+v", p)
	}
}

// TestRhythm has the period of one client by the times at which it asks, in seconds.
func TestRhythm(t *testing.T) {
	for _, tt := range []struct {
		name   string
		at     []float64
		period float64
	}{
		{"every 30 s", []float64{0, 30, 60, 90}, 30},
		{"too few", []float64{0, 30, 60}, 0},
		{"and in between", []float64{0, 30, 41, 60, 90, 97, 120, 150}, 30},
		{"some are missing", []float64{0, 30, 90, 120, 210, 240}, 30},
		{"twice each time", []float64{0, 1.5, 30, 31.5, 60, 61.5, 90, 91.5}, 30},
		{"no period", []float64{0, 3, 17, 26, 58, 61, 100, 133, 141}, 0},
		{"longer and longer", []float64{0, 1, 3, 7, 15, 31, 63}, 0},
	} {
		var c caller
		for _, at := range tt.at {
			c.ask(int64(at*1e6), 0, 0, false)
		}
		if got := c.period().Seconds(); math.Abs(got-tt.period) > 0.02*tt.period {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.period)
		}
	}
}

// TestWaiting tells a client that waits for each answer from many behind one address.
func TestWaiting(t *testing.T) {
	for _, trip := range []time.Duration{200 * time.Microsecond, 5 * time.Millisecond, 100 * time.Millisecond} {
		for name, wait := range map[string]func(c *crowd) time.Duration{
			"true":  func(c *crowd) time.Duration { return time.Duration(float64(trip) * math.Exp(0.5*c.r.NormFloat64())) },
			"false": func(c *crowd) time.Duration { return time.Duration(c.r.ExpFloat64() * float64(trip)) },
		} {
			c := newCrowd(1, 0)
			var one caller
			at := time.Duration(0)
			for range 2000 {
				one.ask(at.Microseconds(), 0, 0, false)
				at += wait(c)
			}
			q := question{callers: map[netip.Addr]*caller{{}: &one}}
			if got := fmt.Sprint(q.waiting()); got != name {
				t.Errorf("round trip %v: %s, %d of %d early", trip, got, one.early, one.short)
			}
		}
	}
}
