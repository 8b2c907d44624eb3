package find

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// crowd is traffic that is made up: actors that ask at times of their own, in the order
// of time.
type crowd struct {
	r      *rand.Rand
	actors actors
	hosts  uint32
	names  int
	length time.Duration
	seen   float64 // share of the queries that come to this server; 0 is all
}

type actor struct {
	at   time.Duration
	from netip.Addr
	name string
	ttl  int64                                // that it is told; -1 for none
	wait func(at time.Duration) time.Duration // until its next query; 0 ends it
}

type actors []*actor

func (a actors) Len() int           { return len(a) }
func (a actors) Less(i, j int) bool { return a[i].at < a[j].at }
func (a actors) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *actors) Push(x any)        { *a = append(*a, x.(*actor)) }
func (a *actors) Pop() any {
	old := *a
	last := old[len(old)-1]
	*a = old[:len(old)-1]
	return last
}

func newCrowd(seed uint64, length time.Duration) *crowd {
	return &crowd{r: rand.New(rand.NewPCG(seed, 7)), length: length}
}

func (c *crowd) host() netip.Addr {
	c.hosts++
	return netip.AddrFrom4([4]byte{10, byte(c.hosts >> 16), byte(c.hosts >> 8), byte(c.hosts)})
}

func (c *crowd) name() string {
	c.names++
	return fmt.Sprintf("n%d.shop.svc.cluster.local.", c.names)
}

func (c *crowd) upTo(d time.Duration) time.Duration {
	return time.Duration(c.r.Int64N(int64(d) + 1))
}

func (c *crowd) add(a actor) { heap.Push(&c.actors, &a) }

// fleet starts within a time and comes back every period, and up to a jitter later.
func (c *crowd) fleet(name string, n int, within, period, jitter time.Duration, ttl int64) {
	at := c.upTo(period)
	for range n {
		c.add(actor{at: at + c.upTo(within), from: c.host(), name: name, ttl: ttl, wait: func(time.Duration) time.Duration {
			return period + time.Millisecond + c.upTo(jitter)
		}})
	}
}

// spinners ask again within a round trip.
func (c *crowd) spinners(name string, n int, trip time.Duration, ttl int64) {
	for range n {
		c.add(actor{at: c.upTo(time.Second), from: c.host(), name: name, ttl: ttl, wait: func(time.Duration) time.Duration {
			return trip/2 + c.upTo(trip)
		}})
	}
}

// oneShot are clients that ask a name once, so many a second.
func (c *crowd) oneShot(name string, rate float64) {
	next := func(time.Duration) time.Duration {
		return time.Duration(c.r.ExpFloat64() / rate * float64(time.Second))
	}
	c.add(actor{at: next(0), name: name, ttl: 30, wait: next})
}

// independent are clients that come by chance, every period in the mean.
func (c *crowd) independent(name string, n int, period time.Duration) {
	for range n {
		wait := func(time.Duration) time.Duration { return time.Duration(c.r.ExpFloat64() * float64(period)) }
		c.add(actor{at: wait(0), from: c.host(), name: name, ttl: 30, wait: wait})
	}
}

// run has everybody ask. ttls tells whether answers are seen.
func (c *crowd) run(f *Finder, ttls bool) {
	begin := time.Unix(1_700_000_000, 0)
	for len(c.actors) > 0 {
		a := c.actors[0]
		if a.at > c.length {
			heap.Pop(&c.actors)
			continue
		}
		from := a.from
		if !from.IsValid() {
			from = c.host()
		}
		if f != nil && (c.seen == 0 || c.r.Float64() < c.seen) {
			f.Query(begin.Add(a.at), 0, from, a.name, 1)
			if ttls && a.ttl >= 0 {
				f.Answer(time.Time{}, from, a.name, 1, false, a.ttl)
			}
		}
		a.at += a.wait(a.at)
		heap.Fix(&c.actors, 0)
	}
}

func (r *Report) of(kind Kind, name string) *Finding {
	for i := range r.Findings {
		if n := &r.Findings[i]; n.Kind == kind && n.Name == name {
			return n
		}
	}
	return nil
}

// TestFindsAll plants herds and storms of several sizes in a crowd of others, in the same
// names and in others, and finds all of them and nothing else, with as many followers as
// there are.
func TestFindsAll(t *testing.T) {
	type planted struct {
		kind   Kind
		n      int
		period time.Duration
	}
	for seed := range uint64(12) {
		for _, ttls := range []bool{false, true} {
			t.Run(fmt.Sprintf("seed %d, TTLs %t", seed, ttls), func(t *testing.T) {
				c := newCrowd(seed, 5*time.Minute)
				want := map[string]planted{}
				plant := func(p planted) string {
					name := c.name()
					want[name] = p
					return name
				}
				for _, n := range []int{20, 50, 400} {
					for _, period := range []time.Duration{5 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute} {
						ttl := int64(period / time.Second)
						name := plant(planted{Herd, n, period})
						c.fleet(name, n, 500*time.Millisecond, period, 20*time.Millisecond, ttl)
						switch c.r.IntN(5) { // who is beside them, in the same name
						case 0:
							c.oneShot(name, 5)
						case 1:
							c.independent(name, n/2, 20*time.Second)
						case 2:
							c.fleet(name, n/4, 45*time.Second, 45*time.Second, 0, -1) // with a period of their own
						case 3:
							c.spinners(name, 1, 50*time.Millisecond, ttl) // an abuser, which is found as well
							want[name+" storm"] = planted{Storm, 1, 0}
						}
					}
				}
				for _, n := range []int{1, 3, 20} {
					c.spinners(plant(planted{Storm, n, 0}), n, 20*time.Millisecond, 0)
				}
				for range 40 {
					c.oneShot(c.name(), 2)
					c.independent(c.name(), 50, 10*time.Second)
					c.fleet(c.name(), 50, 10*time.Second, 10*time.Second, 0, -1) // regular, at any time
				}
				f := New()
				c.run(f, ttls)
				r := f.Report(30)
				for name, p := range want {
					name = name[:len(name)-len(" storm")*btoi(len(name) > 6 && name[len(name)-6:] == " storm")]
					n := r.of(p.kind, name)
					if n == nil {
						t.Errorf("the %s of %d with a period of %v at %s was not found", p.kind, p.n, p.period, name)
						continue
					}
					if off := math.Abs(float64(n.Followers-p.n)) / float64(p.n); off > 0.1 {
						t.Errorf("the %s of %d with a period of %v has %d followers", p.kind, p.n, p.period, n.Followers)
					}
					if p.kind == Herd && math.Abs(n.Period.Seconds()/p.period.Seconds()-1) > 0.05 {
						t.Errorf("a period of %v was taken for %v", p.period, n.Period)
					}
				}
				if len(r.Findings) != len(want) {
					for _, n := range r.Findings {
						if p, ok := want[n.Name]; !ok || p.kind != n.Kind {
							if _, ok := want[n.Name+" storm"]; !ok || n.Kind != Storm {
								t.Errorf("%s at %s of %d clients every %v is none: dispersion %.1f, %d in the busiest second", n.Kind, n.Name, n.Clients, n.Period, n.Disperse, n.Second)
							}
						}
					}
				}
			})
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestOneOfThree has the queries that come to one of three servers: a herd is found in
// them, and its period is not that of the server.
func TestOneOfThree(t *testing.T) {
	const name = "herd.shop.svc.cluster.local."
	for _, ttls := range []bool{false, true} {
		c := newCrowd(9, 15*time.Minute)
		c.seen = 1. / 3
		c.fleet(name, 300, time.Second, 30*time.Second, 20*time.Millisecond, 30)
		c.independent(name, 100, 20*time.Second)
		f := New()
		c.run(f, ttls)
		r := f.Report(30)
		n := r.of(Herd, name)
		if n == nil || !n.Cure || math.Abs(n.Period.Seconds()/30-1) > 0.05 || n.Clients < 200 || n.Clients > 300 || !n.Partly {
			t.Errorf("TTLs %t: %+v", ttls, r.Findings)
		}
	}
}

// TestNoFalseHerd has 10,000 names of clients that know nothing of each other, some with
// a period and some without.
func TestNoFalseHerd(t *testing.T) {
	c := newCrowd(1, 3*time.Minute)
	for i := range 10_000 {
		n := 20 + c.r.IntN(20)
		period := []time.Duration{3 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second}[i%4]
		if i%2 == 0 {
			c.fleet(c.name(), n/(1+btoi(period < 10*time.Second)), period, period, 0, -1)
		} else {
			c.independent(c.name(), n/2, period)
		}
	}
	f := New()
	c.run(f, false)
	r := f.Report(30)
	for _, n := range r.Findings {
		t.Errorf("%s of %d clients every %v: dispersion %.1f, %d in the busiest second", n.Kind, n.Clients, n.Period, n.Disperse, n.Second)
	}
	t.Logf("%d queries, %d questions, %d callers", r.Queries, len(f.questions), f.callers)
}
