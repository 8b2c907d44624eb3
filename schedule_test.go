package ttlfloor

import (
	"container/heap"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/cache"
	"github.com/coredns/coredns/plugin/test"

	"github.com/miekg/dns"
)

// TestHerd runs a fleet in virtual time: 1,000 clients with two names each that
// all start within 20 ms and come back when the TTL runs out, through the real
// *cache* that counts down from 30. It prints the busiest second over the mean
// of each minute:
//
//	go test -v -run TestHerd .
func TestHerd(t *testing.T) {
	const minutes = 10
	for _, tt := range []struct {
		name     string
		jitter   string
		floor    int
		ttl      int // of the source, which *cache* holds as long
		replicas int
		others   float64 // one-shot queries a second beside the fleet
		check    func(minute int, ratio float64) bool
	}{
		{"no jitter", "off", 30, 30, 1, 0, func(_ int, ratio float64) bool { return ratio > 29 }},
		{"random", "10% 50% random", 30, 30, 1, 0, func(minute int, ratio float64) bool { return minute > 5 || ratio > 1.3 }},
		{"scheduled", "10% 50% scheduled", 30, 30, 1, 0, func(minute int, ratio float64) bool { return minute < 4 || ratio <= 1.05 }},
		{"scheduled, 3 replicas", "10% 50% scheduled", 30, 30, 3, 0, func(minute int, ratio float64) bool { return minute < 4 || ratio <= 1.08 }},
		{"scheduled, 10 replicas", "10% 50% scheduled", 30, 30, 10, 0, func(minute int, ratio float64) bool { return minute < 4 || ratio <= 1.15 }},
		{"scheduled, source 60", "10% 50% scheduled", 30, 60, 1, 0, func(minute int, ratio float64) bool { return minute < 4 || ratio <= 1.05 }},
		{"random, mixed", "10% 50% random", 30, 30, 1, 200, func(minute int, ratio float64) bool { return minute > 5 || ratio > 1.3 }},
		{"scheduled, mixed", "10% 50% scheduled", 30, 30, 1, 200, func(minute int, ratio float64) bool { return minute < 5 || ratio <= 1.10 }},
		{"20s over a source of 30", "10% 50% scheduled", 20, 30, 1, 0, func(minute int, ratio float64) bool { return minute < 4 || ratio <= 1.05 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, fmt.Sprintf("ttlfloor %d example {\n jitter %s\n }", tt.floor, tt.jitter), tt.replicas, tt.ttl)
				f.join(1000)
				f.beside(tt.others)
				line := fmt.Sprintf("%-23s", tt.name)
				for minute := 1; minute <= minutes; minute++ {
					ratio := f.minute()
					line += fmt.Sprintf(" %6.2f", ratio)
					if !tt.check(minute, ratio) {
						t.Errorf("minute %d: busiest second is %.3f times the mean", minute, ratio)
					}
				}
				t.Log(line)
			})
		})
	}
}

// TestHerdAgain shows that a fleet that doubles at once, or loses a third, is
// spread again in the fourth minute after.
func TestHerdAgain(t *testing.T) {
	for name, change := range map[string]func(*fleet){
		"doubles":       func(f *fleet) { f.join(1000) },
		"loses a third": func(f *fleet) { f.leave(1.0 / 3) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, "ttlfloor 30s example", 1, 30)
				f.join(1000)
				for range 6 {
					f.minute()
				}
				change(f)
				var ratio float64
				line := name
				for range 4 {
					ratio = f.minute()
					line += fmt.Sprintf(" %6.2f", ratio)
				}
				t.Log(line)
				if ratio > 1.05 {
					t.Errorf("busiest second is %.3f times the mean in the fourth minute after", ratio)
				}
			})
		})
	}
}

// fleet is clients that follow TTLs, and the servers that they ask.
type fleet struct {
	t        *testing.T
	replicas []plugin.Handler
	rand     *rand.Rand
	due      appointments
	clients  int     // how many there were
	rate     float64 // others a second
	received uint32  // TTL of the upstream, and so the greatest that comes
}

func newFleet(t *testing.T, directives string, replicas, ttl int) *fleet {
	t.Helper()
	f := &fleet{t: t, rand: rand.New(rand.NewPCG(1, 2)), received: uint32(ttl)}
	upstream := plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
		m := message(t, fmt.Sprintf("answer %s %d A 192.0.2.1", r.Question[0].Name, ttl))
		m.SetReply(r)
		return 0, w.WriteMsg(m)
	})
	for range replicas {
		c := cache.New()
		c.Zones, c.Next = []string{"."}, upstream
		f.replicas = append(f.replicas, newTTLFloor(t, directives, c))
	}
	return f
}

// join adds n clients that ask for two names within 20 ms.
func (f *fleet) join(n int) {
	for range n {
		at := time.Now().Add(time.Duration(f.rand.IntN(20_000)) * time.Microsecond)
		heap.Push(&f.due, appointment{at, "a.example.", host(f.clients)})
		heap.Push(&f.due, appointment{at, "b.example.", host(f.clients)})
		f.clients++
	}
}

// beside adds others that ask for the same names once and are never seen again, so
// many a second.
func (f *fleet) beside(rate float64) {
	if f.rate = rate; rate > 0 {
		heap.Push(&f.due, appointment{time.Now(), "", nil})
	}
}

// leave takes a share of the clients away.
func (f *fleet) leave(share float64) {
	var left appointments
	for _, a := range f.due {
		if f.rand.Float64() >= share {
			left = append(left, a)
		}
	}
	heap.Init(&left)
	f.due = left
}

// minute lets a minute go by and returns its busiest second over the mean.
func (f *fleet) minute() float64 {
	start := time.Now()
	end := start.Add(time.Minute)
	var seconds [60]int
	queries := 0
	for f.due[0].at.Before(end) {
		a := f.due[0]
		time.Sleep(time.Until(a.at))
		if a.name == "" { // another one
			exchangeFrom(f.t, f.replicas[f.rand.IntN(len(f.replicas))], host(f.clients).String(), []string{"a.example.", "b.example."}[f.clients%2], dns.TypeA)
			f.clients++
			f.due[0].at = a.at.Add(time.Duration(f.rand.ExpFloat64() / f.rate * float64(time.Second)))
			heap.Fix(&f.due, 0)
			continue
		}
		seconds[int(time.Since(start)/time.Second)]++
		queries++
		m := exchangeFrom(f.t, f.replicas[f.rand.IntN(len(f.replicas))], a.ip.String(), a.name, dns.TypeA)
		ttl := m.Answer[0].Header().Ttl
		if ttl < 20 || ttl > max(45, f.received) {
			f.t.Fatalf("TTL %d", ttl)
		}
		f.due[0].at = a.at.Add(time.Duration(ttl) * time.Second)
		heap.Fix(&f.due, 0)
	}
	time.Sleep(time.Until(end))
	busiest := 0
	for _, n := range seconds {
		busiest = max(busiest, n)
	}
	return float64(busiest) * 60 / float64(queries)
}

type appointment struct {
	at   time.Time
	name string
	ip   net.IP // of the client
}

// appointments is a heap by time.
type appointments []appointment

func (a appointments) Len() int           { return len(a) }
func (a appointments) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a appointments) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *appointments) Push(x any)        { *a = append(*a, x.(appointment)) }
func (a *appointments) Pop() any {
	old := *a
	last := old[len(old)-1]
	*a = old[:len(old)-1]
	return last
}

// TestChooseSecond has the choice second by second, in a ring that is filled by hand.
func TestChooseSecond(t *testing.T) {
	const from = 1000
	even := func(lo, hi, n uint32) map[uint32]uint32 { // as many in each second
		loads := map[uint32]uint32{}
		for ttl := lo; ttl <= hi; ttl++ {
			loads[ttl] = n
		}
		return loads
	}
	but := func(loads map[uint32]uint32, ttl, n uint32) map[uint32]uint32 {
		loads[ttl] = n
		return loads
	}
	for _, tt := range []struct {
		name   string
		lo, hi uint32
		loads  map[uint32]uint32 // by second
		share  uint32
		slid   bool
		want   []uint32 // of several in a row, each of which is booked
	}{
		{"below the fair share, the earliest", 33, 45, nil, 2, false, []uint32{33, 33, 34, 34, 35, 35, 36, 36}},
		{"a second that is full", 33, 45, map[uint32]uint32{33: 2, 35: 2}, 2, false, []uint32{34, 34, 36}},
		{"filling up: 10 near, 2 far", 31, 40, even(31, 40, 8), 10, false, []uint32{31, 31, 32, 32, 33}},
		{"filling up, in the middle", 31, 40, even(31, 40, 6), 10, false, append(slices.Repeat([]uint32{31}, 4), 32, 32, 32, 32, 33, 33, 33, 34, 34, 35)},
		{"filling up, at the far end", 31, 40, but(even(31, 40, 10), 40, 1), 10, false, []uint32{40}},
		{"the far end has its part", 31, 40, but(but(even(31, 40, 10), 40, 2), 36, 4), 10, false, []uint32{36}},
		{"full, then the emptiest", 33, 36, but(even(33, 36, 5), 35, 3), 1, false, []uint32{35, 35, 36, 33}},
		{"without a share, in turns", 33, 36, nil, 0, false, []uint32{34, 35, 36, 33, 34, 35, 36, 33}},
		{"full by one, in turns", 33, 36, even(33, 36, 1), 1, false, []uint32{34, 35, 36, 33}},
		{"slid down, equals: the far ones first, in turns", 30, 35, nil, 0, true, []uint32{33, 34, 35, 32, 31, 30}},
		{"slid down, the emptiest, near or far", 30, 35, but(even(33, 35, 3), 35, 1), 0, true, []uint32{32, 30, 31, 32}},
		{"slid down, full by one", 30, 35, even(30, 35, 1), 1, true, []uint32{33, 34, 35, 32, 31, 30}},
		{"slid down, below the fair share, the earliest", 30, 35, nil, 2, true, []uint32{30, 30, 31}},
		{"slid down, one second", 30, 30, nil, 0, true, []uint32{30, 30}},
		{"slid down, two seconds", 30, 31, nil, 0, true, []uint32{31, 30}},
		{"one second", 40, 40, nil, 0, false, []uint32{40, 40}},
		{"one second that is full", 40, 40, even(40, 40, 3), 1, false, []uint32{40}},
		{"a window of 64", 100, 163, but(even(100, 163, 1), 163, 0), 1, false, []uint32{163}},
		{"a window of 65 is looked at in 64 steps", 100, 164, even(100, 163, 2), 1, false, []uint32{101, 102, 103}},
		{"a wide window: even steps", 660, 660 + 639, map[uint32]uint32{660: 9, 670: 9, 680: 9}, 9, false, []uint32{690}},
		{"a wide window: the last step", 660, 660 + 639, but(even(660, 660+630, 9), 660+630, 8), 1, false, []uint32{1290}},
		{"a wide window: between the steps", 100, 199, even(101, 102, 9), 9, false, append(slices.Repeat([]uint32{100}, 9), slices.Repeat([]uint32{103}, 9)...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r ring
			r.grow(tt.hi + 1)
			r.pass(from)
			for ttl, n := range tt.loads {
				for range n {
					r.add(from+int64(ttl)*ticks, follower, 0)
				}
			}
			s, v := &schedule{draw: lowest}, view{ring: &r, share: tt.share, far: tt.slid}
			for i, want := range tt.want {
				got := s.choose(&v, choice{lo: tt.lo, hi: tt.hi}, from)
				if got != want {
					t.Fatalf("appointment %d after %d seconds, want %d", i, got, want)
				}
				r.add(from+int64(got)*ticks, follower, 0)
			}
		})
	}
	t.Run("a wide window, all of it", func(t *testing.T) {
		var r ring
		r.grow(1300)
		r.pass(from)
		s, v, got := &schedule{draw: lowest}, view{ring: &r}, map[uint32]int{}
		for range 2 * choices {
			ttl := s.choose(&v, choice{lo: 660, hi: 1299}, from)
			r.add(from+int64(ttl)*ticks, follower, 0)
			got[ttl]++
		}
		for i := range uint32(choices) {
			if got[660+10*i] != 2 {
				t.Errorf("second %d was given %d times, want twice: %v", 660+10*i, got[660+10*i], got)
			}
		}
	})
	t.Run("a wide window, each second of it", func(t *testing.T) {
		var r ring
		r.grow(300)
		r.pass(from)
		s, v, got := &schedule{}, view{ring: &r}, map[uint32]bool{}
		for shift := range uint32(200) {
			s.draw = func(n uint32) uint32 { return shift % n }
			for range choices {
				got[s.choose(&v, choice{lo: 100, hi: 299}, from)] = true
			}
		}
		for ttl := uint32(100); ttl < 300; ttl++ {
			if !got[ttl] {
				t.Errorf("second %d was never given", ttl)
			}
		}
		if len(got) != 200 {
			t.Errorf("%d seconds were given, want 200", len(got))
		}
	})
	t.Run("from another part of the second", func(t *testing.T) {
		var r ring
		r.grow(46)
		r.pass(from)
		r.add(from+33*ticks, follower, 0)
		s, v := new(schedule), view{ring: &r, share: 1}
		for tick, want := range map[int64]uint32{from: 34, from + 1: 33, from - 1: 33, from - ticks: 33} {
			if got := s.choose(&v, choice{lo: 33, hi: 45}, tick); got != want {
				t.Errorf("from tick %d after %d seconds, want %d", tick, got, want)
			}
		}
	})
}

// TestTurnsStart has schedules that know nothing of each other start in other places.
func TestTurnsStart(t *testing.T) {
	for start := range uint32(choices) {
		s := newSchedule(func(n uint32) uint32 { return start % n })
		ttl, _, _ := s.book(visit{client: 1 << 32, name: 1}, choice{lo: 33, hi: 45})
		if want := 33 + (start+1)%13; ttl != want {
			t.Errorf("from %d, the first TTL is %d, want %d", start, ttl, want)
		}
	}
}

// TestRate has what an appointment is taken to bring to the queries per second: one in
// the time at three fifths of its window, and at three quarters of one that was slid down.
func TestRate(t *testing.T) {
	for _, tt := range []struct {
		c    choice
		want float64 // one in so many seconds
	}{
		{choice{lo: 40, hi: 40}, 40},
		{choice{lo: 33, hi: 45}, 40.2},
		{choice{lo: 30, hi: 40, slid: true}, 37.5},
		{choice{lo: 36, hi: 60, slid: true}, 54},
		{choice{lo: 1, hi: 1}, 1},
		{choice{lo: 1, hi: horizon - 1}, 2457.4},
	} {
		if got, want := tt.c.rate(), perSecond/tt.want; float64(got) > want || float64(got) < want-1 {
			t.Errorf("%+v brings %d, want %.1f", tt.c, got, want)
		}
	}
}

// TestRingOf has the ring of a name whose windows stay the same, change, and settle.
func TestRingOf(t *testing.T) {
	const name, other, collides = 1000, 1001, 1000 + 512
	const settled = 600 * ticks
	for _, start := range []int64{0, 1000, 1<<32 - 100, 1 << 40} {
		s := new(schedule)
		for i, step := range []struct {
			what string
			hash uint32
			at   int64 // since the start
			hi   uint32
			want uint8
		}{
			{"new", name, 0, 45, 6},
			{"the same window", name, 1, 45, 6},
			{"another name, with another window", other, 2, 64, 7},
			{"the first is as it was", name, 3, 45, 6},
			{"another window", name, 10, 46, roamers},
			{"that one again", name, 11, 46, roamers},
			{"just before it has settled", name, 10 + settled - 1, 46, roamers},
			{"it has settled", name, 10 + settled, 46, 6},
			{"and stays so", name, 11 + settled, 46, 6},
			{"a longer one", name, 20 + settled, 300, roamers},
			{"and back", name, 30 + settled, 46, roamers},
			{"settled since the last change, not the one before", name, 20 + 2*settled, 46, roamers},
			{"settled again", name, 30 + 2*settled, 46, 6},
			{"the other was not concerned", other, 40 + 2*settled, 64, 7},
			{"a name in the same place", collides, 50 + 2*settled, 90, 7},
			{"the first is new again", name, 51 + 2*settled, 300, 9},
			{"the least window", 7, 60, 1, 1},
			{"the greatest window", 8, 60, horizon - 1, 12},
			{"hash 0", 0, 60, 45, 6},
			{"hash 0, another window", 0, 61, 46, roamers},
		} {
			if got, counts := s.ringOf(step.hash, start+step.at, choice{hi: step.hi, received: 30}); got != step.want || counts {
				t.Errorf("from %d, step %d, %s: ring %d, want %d", start, i, step.what, got, step.want)
			}
		}
	}
}

// wait lets so many ticks go by.
func wait(n int64) { time.Sleep(time.Duration(n) * time.Second / ticks) }

// peek is what a schedule knows of a client. It is there.
func (s *schedule) peek(t *testing.T, hash uint64) client {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	e, found := s.clients.find(hash, uint32(s.now()))
	if !found {
		t.Fatal("the client is not known")
	}
	return *e
}

// bookedIn are the appointments of a ring that are still to come, by tick and standing.
func (s *schedule) bookedIn(r *ring) map[appointed]uint32 {
	all := map[appointed]uint32{}
	if r == nil {
		return all
	}
	for tick := max(r.next, s.now()+1); tick < r.next+int64(len(r.slots)); tick++ {
		for of, n := range r.slot(tick).counts {
			if n > 0 {
				all[appointed{tick: tick, of: standing(of)}] = n
			}
		}
	}
	return all
}

// lowest is chance that draws the least number.
func lowest(uint32) uint32 { return 0 }

// highest is chance that draws the greatest number.
func highest(n uint32) uint32 { return n - 1 }

// TestRingOfCounts has the TTLs of a name that count down, and those that do not.
func TestRingOfCounts(t *testing.T) {
	const settled = 600 * ticks
	s := new(schedule)
	for i, step := range []struct {
		at       int64
		received uint32
		want     bool
	}{
		{0, 30, false}, {1, 30, false}, {2, 29, true}, {3, 29, true}, {1 + settled, 29, true}, {2 + settled, 29, false}, {3 + settled, 300, true},
	} {
		if ring, counts := s.ringOf(7, 1<<32-50+step.at, choice{hi: 45, received: step.received}); ring != 6 || counts != step.want {
			t.Errorf("step %d: ring %d, counts %v, want %v", i, ring, counts, step.want)
		}
	}
}

// TestBookCounts has a window that was slid down. Its clients are sent farther while it
// costs queries, and not where the TTL counts down in a cache, which ends it anyway.
func TestBookCounts(t *testing.T) {
	for received, far := range map[uint32]bool{60: true, 59: false} {
		synctest.Test(t, func(t *testing.T) {
			s := newSchedule(highest)
			s.book(visit{client: 1 << 32, name: 1}, choice{lo: 36, hi: 60, slid: true, received: 60})
			s.book(visit{client: 2 << 32, name: 1}, choice{lo: 36, hi: 60, slid: true, received: received})
			sum := uint64(0)
			for _, part := range s.rings[6].shares {
				sum += part[stranger]
			}
			costs, ends := choice{lo: 36, hi: 60, slid: true}, choice{lo: 36, hi: 60}
			want := costs.rate() + ends.rate()
			if far {
				want = 2 * costs.rate()
			}
			if sum != want {
				t.Errorf("received %d: the shares are %d, want %d", received, sum, want)
			}
		})
	}
}

// TestLowerOnceMore has a client that asks once more when what is left of the lower TTL is
// too little for its window. It gets another one, and keeps that.
func TestLowerOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, v := newSchedule(highest), visit{client: 1, name: 1}
		primary, lower := choice{lo: 180, hi: 300, slid: true}, choice{lo: 33, hi: 33, lower: true}
		s.book(v, primary)
		s.book(v, lower)
		wait(15)
		_, _, came := s.book(v, primary)
		ttl, _, _ := s.book(v, lower)
		if came != again || ttl != 33 {
			t.Fatalf("once more: came back %d, TTL %d", came, ttl)
		}
		wait(int64(ttl) * ticks)
		if _, _, came := s.book(v, primary); came != kept {
			t.Errorf("came back %d, want kept", came)
		}
	})
}

// TestBook follows one client through visits, and looks at its appointment each time.
func TestBook(t *testing.T) {
	const back = 1 << 20 // ticks; with these, when its TTL has run out, and as many more
	window := choice{lo: 33, hi: 45}
	one := func(ttl uint32) choice { return choice{lo: ttl, hi: ttl} }
	type step struct {
		after  int64 // ticks since the last one
		c      choice
		came   comeback
		of     standing
		ring   int   // -1: it has no appointment
		offset int64 // ticks from now to where its TTL is counted from; not above 0
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"on time", []step{{0, window, fresh, stranger, 6, 0}, {back, window, kept, follower, 6, 0}, {back, window, kept, follower, 6, 0}}},
		{"a little late, and in its part of the second", []step{
			{0, one(40), fresh, stranger, 6, 0}, {back + 1, one(40), kept, follower, 6, -1}, {back + 1, one(40), kept, follower, 6, -2}, {back + 5, one(40), kept, follower, 6, -2}, {back + 1, one(40), kept, follower, 6, 0},
		}},
		{"later, and in another part of the second", []step{{0, one(40), fresh, stranger, 6, 0}, {back + 3, one(40), kept, follower, 6, 0}, {back + 9, one(40), kept, follower, 6, 0}}},
		{"a tick early", []step{{0, one(40), fresh, stranger, 6, 0}, {back - 1, one(40), kept, follower, 6, 0}}},
		{"late", []step{{0, window, fresh, stranger, 6, 0}, {back + 13, window, late, returner, 6, 0}, {back + 53, window, late, returner, 6, 0}, {back, window, kept, follower, 6, 0}}},
		{"late, then away", []step{{0, window, fresh, stranger, 6, 0}, {400, window, late, follower, 6, 0}}},
		{"early, by chance and not booked", []step{{0, window, fresh, stranger, 6, 0}, {100, window, early, stranger, -1, 0}, {40, window, early, stranger, -1, 0}}},
		{"early, then on time", []step{{0, window, fresh, stranger, 6, 0}, {100, window, early, stranger, -1, 0}, {back, window, kept, follower, 6, 0}}},
		{"early, then late", []step{{0, window, fresh, stranger, 6, 0}, {100, window, early, stranger, -1, 0}, {back + 14, window, late, stranger, 6, 0}}},
		{"a follower that comes early", []step{{0, window, fresh, stranger, 6, 0}, {back, window, kept, follower, 6, 0}, {100, window, early, stranger, -1, 0}}},
		{"once more, which keeps the appointment", []step{{0, one(40), fresh, stranger, 6, 0}, {7, choice{lo: 33, hi: 40}, again, stranger, 6, -7}, {193, one(40), kept, follower, 6, 0}}},
		{"once more of a follower", []step{{0, one(40), fresh, stranger, 6, 0}, {200, one(40), kept, follower, 6, 0}, {7, choice{lo: 33, hi: 40}, again, follower, 6, -7}}},
		{"once more of a follower, with another window", []step{{0, one(40), fresh, stranger, 6, 0}, {200, one(40), kept, follower, 6, 0}, {7, one(300), again, follower, roamers, 0}, {back, one(300), kept, follower, roamers, 0}}},
		{"remembered for half an hour", []step{{0, one(40), fresh, stranger, 6, 0}, {back + memory, one(40), late, follower, 6, 0}}},
		{"forgotten after that", []step{{0, one(40), fresh, stranger, 6, 0}, {back + memory + 1, one(40), fresh, stranger, 6, 0}}},
		{"another window", []step{{0, window, fresh, stranger, 6, 0}, {back, choice{lo: 180, hi: 300, slid: true}, kept, follower, roamers, 0}, {back, window, kept, follower, roamers, 0}}},
		{"a window that was slid down", []step{{0, choice{lo: 180, hi: 300, slid: true}, fresh, stranger, 9, 0}, {back, choice{lo: 180, hi: 300, slid: true}, kept, follower, 9, 0}}},
		{"the least window", []step{{0, one(1), fresh, stranger, 1, 0}, {back + 2, one(1), kept, follower, 1, -2}}},
		{"the greatest window", []step{{0, choice{lo: 2000, hi: horizon - 1}, fresh, stranger, 12, 0}, {back, choice{lo: 2000, hi: horizon - 1}, kept, follower, 12, 0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSchedule(highest)
				wait(1003)
				v := visit{client: 12345 << 20, name: 77, meter: 3}
				ttl := uint32(0)
				for i, step := range tt.steps {
					if step.after > back/2 {
						step.after += int64(ttl)*ticks - back
					}
					wait(step.after)
					got, _, came := s.book(v, step.c)
					ttl = got
					e := s.peek(t, v.client)
					if came != step.came || e.of != step.of || e.meter != 3 {
						t.Fatalf("visit %d: came back %d, standing %d; want %d and %d", i, came, e.of, step.came, step.of)
					}
					if came != again && (e.told != uint32(s.now()) || uint32(e.ttl) != ttl || e.lower != 0) {
						t.Errorf("visit %d: %+v was noted, want TTL %d at %d", i, e, ttl, s.now())
					}
					if ttl < step.c.lo || ttl > step.c.hi || step.ring < 0 && ttl != step.c.hi {
						t.Errorf("visit %d: after %d seconds, want %d to %d", i, ttl, step.c.lo, step.c.hi)
					}
					at := appointed{tick: s.now() + step.offset + int64(e.ttl)*ticks, of: step.of}
					for number, r := range s.rings {
						want := map[appointed]uint32{}
						if number == step.ring {
							want[at] = 1
						}
						if got := s.bookedIn(r); !maps.Equal(got, want) {
							t.Errorf("visit %d: ring %d has %v, want %v", i, number, got, want)
						}
					}
					if step.ring >= 0 && (int(e.ring) != step.ring || e.appointment(s.now()) != at.tick) {
						t.Errorf("visit %d: appointment in ring %d at %d, want %d at %d", i, e.ring, e.appointment(s.now()), step.ring, at.tick)
					}
				}
			})
		})
	}
}

// TestBookByStanding has who is arranged without regard to whom, through the whole of
// a ring.
func TestBookByStanding(t *testing.T) {
	one := choice{lo: 40, hi: 40}
	two := choice{lo: 39, hi: 40}
	// visits has clients of each standing back at the same tick.
	visits := func(s *schedule) (of func(standing) uint64) {
		for client := range uint64(20) {
			s.book(visit{client: client << 32, name: 1}, one)
			s.book(visit{client: (100 + client) << 32, name: 1}, choice{lo: 35, hi: 35})
		}
		wait(200) // the first are on time now, the others late
		next := map[standing]uint64{follower: 0, returner: 100, stranger: 200}
		return func(of standing) uint64 {
			next[of]++
			return (next[of] - 1) << 32
		}
	}
	for _, tt := range []struct {
		name   string
		before map[standing]int // appointments in 39 seconds
		of     standing
		want   uint32
	}{
		{"a follower, beside strangers and returners", map[standing]int{returner: 5, stranger: 5}, follower, 39},
		{"a returner, beside strangers", map[standing]int{stranger: 5}, returner, 39},
		{"a follower, beside a follower", map[standing]int{follower: 1}, follower, 40},
		{"a returner, beside a follower", map[standing]int{follower: 1}, returner, 40},
		{"a stranger, beside a follower", map[standing]int{follower: 1}, stranger, 40},
		{"a stranger, beside a returner", map[standing]int{returner: 1}, stranger, 40},
		{"a stranger, beside a stranger", map[standing]int{stranger: 1}, stranger, 40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSchedule(highest)
				next := visits(s)
				for of, n := range tt.before {
					for range n {
						s.book(visit{client: next(of), name: 1}, choice{lo: 39, hi: 39})
					}
				}
				client := next(tt.of)
				s.rings[6].shares = [ticks][standings]uint64{} // so that the emptiest is chosen
				s.turn = 1                                     // of equals the first
				got, _, _ := s.book(visit{client: client, name: 1}, two)
				if of := s.peek(t, client).of; of != tt.of {
					t.Fatalf("its standing is %d, want %d", of, tt.of)
				}
				if got != tt.want {
					t.Errorf("after %d seconds, want %d", got, tt.want)
				}
			})
		})
	}
}

// TestBookNames has names share rings by how far their windows reach.
func TestBookNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(highest)
		client := uint64(0)
		book := func(name, lo, hi uint32) {
			client++
			s.book(visit{client: client << 32, name: name}, choice{lo: lo, hi: hi})
		}
		count := func() (n [16]int) {
			for i, r := range s.rings {
				for _, of := range s.bookedIn(r) {
					n[i] += int(of)
				}
			}
			return n
		}
		book(1, 33, 45)
		book(2, 32, 63)
		book(3, 40, 64)
		book(4, 180, 300)
		if got, want := count(), [16]int{6: 2, 7: 1, 9: 1}; got != want {
			t.Errorf("rings have %v, want %v", got, want)
		}
		book(1, 30, 44) // its window changed
		book(4, 170, 290)
		book(2, 32, 63)
		if got, want := count(), [16]int{roamers: 2, 6: 3, 7: 1, 9: 1}; got != want {
			t.Errorf("rings have %v, want %v", got, want)
		}
		if n := len(s.rings[6].slots); n != 64*ticks {
			t.Errorf("a ring for 63 seconds has %d ticks", n)
		}
	})
}

// TestSlid has a window that was slid down: the far part of it, but for names whose TTLs
// count down.
func TestSlid(t *testing.T) {
	for _, counts := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSchedule(lowest)
			next := uint64(0)
			book := func(c choice) uint32 {
				next++
				ttl, _, _ := s.book(visit{client: next << 32, name: 1}, c)
				return ttl
			}
			window := choice{lo: 36, hi: 60, slid: true, received: 60}
			for range 30 { // so that somebody comes in every other second
				book(window)
			}
			wait(1)
			if counts {
				book(choice{lo: 30, hi: 59, received: 59})
			}
			near := 0
			for range 17 {
				wait(ticks)
				if book(window) < 44 {
					near++
				}
			}
			if (near > 0) != counts {
				t.Errorf("%d of 17 are in the near part; the TTLs count down: %t", near, counts)
			}
		})
	}
}

// caller asks for a name whose answer has records that run out before those that it
// acts on.
type caller struct {
	t *testing.T
	s *schedule
	visit
}

// book returns the TTLs of both sections.
func (c *caller) book() (ttl, second uint32, came comeback) {
	c.t.Helper()
	ttl, _, came = c.s.book(c.visit, choice{lo: 180, hi: 300, slid: true})
	second, _, none := c.s.book(c.visit, choice{lo: 33, hi: 45, lower: true})
	if none != again {
		c.t.Errorf("the client came back %d for the second time", none)
	}
	if ttl < 180 || ttl > 300 || second < 33 || second > 45 {
		c.t.Errorf("TTLs %d and %d", ttl, second)
	}
	return ttl, second, came
}

// check checks how many appointments there are for each standing, in the two rings.
func (c *caller) check(first, second [standings]uint32) {
	c.t.Helper()
	for what, tt := range map[string]struct {
		in   *rings
		only int
		want [standings]uint32
	}{"rings": {&c.s.rings, 9, first}, "rings of other sections": {&c.s.lower, 6, second}} {
		for number, r := range tt.in {
			var got, want [standings]uint32
			for at, n := range c.s.bookedIn(r) {
				got[at.of] += n
			}
			if number == tt.only {
				want = tt.want
			}
			if got != want {
				c.t.Errorf("of the %s, number %d has %v, want %v", what, number, got, want)
			}
		}
	}
}

// TestLower has the records of another section than the one that a client acts on.
func TestLower(t *testing.T) {
	type of = [standings]uint32
	for _, tt := range []struct {
		name string
		test func(c *caller)
	}{
		{"booked apart", func(c *caller) {
			ttl, second, _ := c.book()
			c.check(of{stranger: 1}, of{stranger: 1})
			e := c.s.peek(c.t, c.client)
			if uint32(e.ttl) != ttl || uint32(e.lower) != second || e.appointment(c.s.now()) != c.s.now()+int64(ttl)*ticks {
				c.t.Errorf("%+v was noted", e)
			}
		}},
		{"back when the lower one has run out", func(c *caller) {
			_, second, _ := c.book()
			wait(int64(second) * ticks)
			if _, _, came := c.book(); came != kept {
				c.t.Errorf("came back %d", came)
			}
			c.check(of{follower: 1}, of{follower: 1})
		}},
		{"back when the other one has", func(c *caller) {
			ttl, _, _ := c.book()
			wait(int64(ttl) * ticks)
			if _, _, came := c.book(); came != kept {
				c.t.Errorf("came back %d", came)
			}
			c.check(of{follower: 1}, of{follower: 1})
		}},
		{"late", func(c *caller) {
			_, second, _ := c.book()
			wait(int64(second)*ticks + 50)
			if _, _, came := c.book(); came != late {
				c.t.Errorf("came back %d", came)
			}
			c.check(of{returner: 1}, of{returner: 1})
		}},
		{"once more", func(c *caller) {
			ttl, second, _ := c.book()
			wait(ticks)
			if ttl2, second2, came := c.book(); came != again || second2 != second-1 || ttl2 != ttl-1 {
				c.t.Errorf("came back %d; TTLs %d and %d, then %d and %d", came, ttl, second, ttl2, second2)
			}
			c.check(of{stranger: 1}, of{stranger: 1})
		}},
		{"early, by chance and not booked", func(c *caller) {
			c.book()
			wait(100)
			if ttl, second, came := c.book(); came != early || ttl != 300 || second != 45 {
				c.t.Errorf("came back %d; TTLs %d and %d", came, ttl, second)
			}
			c.check(of{}, of{stranger: 1}) // what was booked apart is not taken back
		}},
		{"none any more", func(c *caller) {
			c.book()
			wait(300 * ticks)
			c.s.book(c.visit, choice{lo: 180, hi: 300, slid: true})
			if e := c.s.peek(c.t, c.client); e.lower != 0 {
				c.t.Errorf("a TTL of %d is left", e.lower)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSchedule(highest)
				s.turn = 0 // so that no TTL is the least that may be
				wait(1002)
				tt.test(&caller{t, s, visit{client: 5 << 40, name: 9, meter: 1}})
			})
		})
	}
}

// TestWaited has a response that took long: what counts is when its query came.
func TestWaited(t *testing.T) {
	one := choice{lo: 40, hi: 40}
	for _, tt := range []struct {
		after  int64 // ticks
		waited time.Duration
		want   comeback
	}{
		{220, 0, late},
		{220, 10 * time.Second / ticks, kept},
		{220, 10*time.Second/ticks - 1, late},
		{200, time.Second / ticks, kept},
		{200, 2 * time.Second / ticks, early},
		{30, 3 * time.Second / ticks, again},
		{10, 4 * time.Second, again}, // it came before the last was answered
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSchedule(highest)
			s.book(visit{client: 1}, one)
			wait(tt.after)
			if _, _, came := s.book(visit{client: 1, waited: tt.waited}, one); came != tt.want {
				t.Errorf("after %d ticks, %v of which it waited: came back %d, want %d", tt.after, tt.waited, came, tt.want)
			}
			if e := s.peek(t, 1); tt.want != again && e.told != uint32(tt.after) {
				t.Errorf("told at %d, want %d", e.told, tt.after)
			}
		})
	}
}

// TestBookObserved has a client that gets what came: it is judged by that, and booked
// as if it had got what was chosen.
func TestBookObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(highest)
		v := visit{client: 1, observe: true}
		primary, lower := choice{lo: 33, hi: 45, received: 20}, choice{lo: 33, hi: 44, received: 12, lower: true}
		book := func(after int64, want comeback, of standing) {
			t.Helper()
			wait(after)
			ttl, _, came := s.book(v, primary)
			if came != want || ttl < 33 || ttl > 45 {
				t.Errorf("TTL %d, came back %d, want %d", ttl, came, want)
			}
			if ttl, _, _ := s.book(v, lower); ttl < 33 || ttl > 44 {
				t.Errorf("TTL %d of another section", ttl)
			}
			e := s.peek(t, 1)
			if e.ttl != 20 || e.lower != 12 {
				t.Errorf("told %d and %d, want what came", e.ttl, e.lower)
			}
			if got, want := s.bookedIn(s.rings[6]), (map[appointed]uint32{{tick: s.now() + int64(ttl)*ticks, of: of}: 1}); !maps.Equal(got, want) {
				t.Errorf("booked %v, want %v", got, want)
			}
		}
		book(0, fresh, stranger)
		book(20*ticks, kept, follower)
		book(12*ticks, kept, follower)
		book(40*ticks, late, returner)
		v.observe = false
		if ttl, _, _ := s.book(v, primary); ttl < 33 || uint32(s.peek(t, 1).ttl) != ttl {
			t.Errorf("TTL %d, told %d", ttl, s.peek(t, 1).ttl)
		}
	})
	t.Run("more than can be noted", func(t *testing.T) {
		v := visit{observe: true}
		for received, want := range map[uint32]uint16{65_535: 65_535, 65_536: 65_535, maxTTL: 65_535, 0: 0} {
			if got := v.told(40, choice{received: received}); got != want {
				t.Errorf("%d is noted as %d, want %d", received, got, want)
			}
		}
	})
}

// TestFollowers has who is expected back.
func TestFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(highest)
		one := choice{lo: 40, hi: 40}
		expect := func(when string, want map[uint32]int) {
			t.Helper()
			got := map[uint32]int{}
			s.followers(func(meter uint32) { got[meter]++ })
			if !maps.Equal(got, want) {
				t.Errorf("%s: %v, want %v", when, got, want)
			}
		}
		book := func(first, n uint64, meter uint32) {
			for client := first; client < first+n; client++ {
				s.book(visit{client: mix(client), meter: meter}, one)
			}
		}
		expect("nobody", map[uint32]int{})
		book(0, 30, 1)
		book(100, 20, 2)
		expect("new ones", map[uint32]int{})
		wait(200)
		book(0, 30, 1)
		book(100, 20, 3) // asked through another server
		expect("on time", map[uint32]int{1: 30, 3: 20})
		wait(100)
		book(0, 10, 1)
		expect("ten of them early", map[uint32]int{1: 20, 3: 20})
		wait(100 + onTime)
		expect("as late as they may be", map[uint32]int{1: 20, 3: 20})
		wait(1)
		expect("they stay away", map[uint32]int{})
	})
}

// TestScheduleParallel checks that no appointment is lost or counted twice.
func TestScheduleParallel(t *testing.T) {
	const callers, each = 8, 2000
	s := newSchedule(rand.Uint32N)
	s.epoch = s.epoch.Add(-time.Hour)
	var wg sync.WaitGroup
	for caller := range uint64(callers) {
		wg.Go(func() {
			for n := range uint64(each) {
				v := visit{client: mix(caller*each + n), name: 1}
				if ttl, _, came := s.book(v, choice{lo: 833, hi: 845}); ttl < 833 || ttl > 845 || came != fresh {
					t.Errorf("TTL %d, came back %d", ttl, came)
				}
				if ttl, _, _ := s.book(v, choice{lo: 333, hi: 345, lower: true}); ttl < 333 || ttl > 345 {
					t.Errorf("TTL %d of another section", ttl)
				}
				s.followers(func(uint32) {})
			}
		})
	}
	wg.Wait()
	for what, r := range map[string]*ring{"rings": s.rings[10], "rings of other sections": s.lower[9]} {
		checkSums(t, r)
		if n := r.total(stranger); n != callers*each {
			t.Errorf("%s: %d appointments, want %d", what, n, callers*each)
		}
	}
}

// TestClockStands has many clients within a tick, and one client several times.
func TestClockStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(highest)
		wait(500)
		const each = 100
		for client := range uint64(13 * each) {
			s.book(visit{client: client << 32}, choice{lo: 33, hi: 45})
		}
		for ttl := int64(33); ttl <= 45; ttl++ {
			if n := s.rings[6].slot(500 + ttl*ticks).counts[stranger]; n < each-30 || n > each+30 {
				t.Errorf("second %d has %d appointments, want about %d", ttl, n, each)
			}
		}
		first, _, came := s.book(visit{client: 0}, choice{lo: 33, hi: 45})
		if second := s.peek(t, 0).ttl; came != again || first != uint32(second) {
			t.Errorf("once more: came back %d; TTL %d, told %d", came, first, second)
		}
		for range 3 {
			if ttl, _, came := s.book(visit{client: 0}, choice{lo: 33, hi: 45}); came != early || ttl != 45 {
				t.Errorf("a third time: came back %d, TTL %d", came, ttl)
			}
		}
		checkSums(t, s.rings[6])
		if n := s.rings[6].total(stranger); n != 13*each-1 {
			t.Errorf("%d appointments, want those of all others", n)
		}
	})
}

// writerFrom is a ResponseWriter of a client.
func writerFrom(r *rule, addr net.Addr) *responseWriter {
	return &responseWriter{
		ResponseWriter: addrWriter{new(test.ResponseWriter), addr}, rule: r, meter: meters.get(labels{"", "writer.example.", ""}), qname: "a.example.", qtype: dns.TypeA,
	}
}

type addrWriter struct {
	dns.ResponseWriter
	addr net.Addr
}

func (w addrWriter) RemoteAddr() net.Addr { return w.addr }

// TestWriterChooses has the choice between the schedule, chance and neither.
func TestWriterChooses(t *testing.T) {
	t.Cleanup(meters.settle)
	const many = 500
	udp := func(n int) net.Addr { return &net.UDPAddr{IP: host(n)} }
	unix := func(int) net.Addr { return &net.UnixAddr{Name: "/tmp/socket"} }
	for _, tt := range []struct {
		name   string
		jitter jitter
		addr   func(n int) net.Addr
		c      choice
		ttls   int  // how many different ones
		booked bool // in the rings
		lower  bool // in those of other sections
	}{
		{"scheduled", scheduled, udp, choice{lo: 33, hi: 45}, 13, true, false},
		{"scheduled, one TTL", scheduled, udp, choice{lo: 33, hi: 33}, 1, true, false},
		{"up to the horizon", scheduled, udp, choice{lo: horizon - 2, hi: horizon - 1}, 2, true, false},
		{"beyond the horizon", scheduled, udp, choice{lo: horizon - 2, hi: horizon}, 3, false, false},
		{"back at once", scheduled, udp, choice{}, 1, false, false},
		{"no IP", scheduled, unix, choice{lo: 33, hi: 45}, 13, false, false},
		{"the lowest are of another section, and nothing was booked", scheduled, udp, choice{lo: 33, hi: 45, lower: true}, 13, true, false},
		{"random", random, udp, choice{lo: 33, hi: 45}, 13, false, false},
		{"random, one TTL", random, udp, choice{lo: 33, hi: 33}, 1, false, false},
		{"off", off, udp, choice{lo: 33, hi: 33}, 1, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &rule{policy: policy{jitter: tt.jitter}, schedule: newSchedule(rand.Uint32N)}
			got := map[uint32]int{}
			for n := range many {
				got[writerFrom(r, tt.addr(n)).choose(tt.c)]++
			}
			if len(got) != tt.ttls {
				t.Errorf("TTLs %v, want %d of them", got, tt.ttls)
			}
			for ttl := range got {
				if ttl < tt.c.lo || ttl > tt.c.hi {
					t.Errorf("TTL %d", ttl)
				}
			}
			if booked, lower := r.schedule.rings != (rings{}), r.schedule.lower != (rings{}); booked != tt.booked || lower != tt.lower {
				t.Errorf("booked %v, of other sections %v", booked, lower)
			}
			if known := r.schedule.clients.size() > 0; known != tt.booked {
				t.Errorf("clients are known: %v", known)
			}
		})
	}
	t.Run("a second choice for a response", func(t *testing.T) {
		r := &rule{schedule: newSchedule(rand.Uint32N)}
		w := writerFrom(r, udp(1))
		w.choose(choice{lo: 180, hi: 300})
		w.choose(choice{lo: 33, hi: 45, lower: true})
		if booked, lower := r.schedule.rings != (rings{}), r.schedule.lower != (rings{}); !booked || !lower {
			t.Errorf("booked %v, of other sections %v", booked, lower)
		}
	})
	t.Run("a name and type, and its letters' case", func(t *testing.T) {
		r := &rule{schedule: newSchedule(rand.Uint32N)}
		for i, tt := range []struct {
			name  string
			qtype uint16
			want  int // clients that are known then
		}{{"a.example.", dns.TypeA, 1}, {"A.exAMPle.", dns.TypeA, 1}, {"a.example.", dns.TypeSRV, 2}, {"b.example.", dns.TypeA, 3}} {
			w := writerFrom(r, udp(1))
			w.qname, w.qtype = tt.name, tt.qtype
			w.choose(choice{lo: 33, hi: 45})
			n := 0
			for _, segment := range r.schedule.clients {
				for _, e := range segment {
					if e.used {
						n++
					}
				}
			}
			if n != tt.want {
				t.Errorf("query %d: %d clients, want %d", i, n, tt.want)
			}
		}
	})
}

// TestChoices has what is asked of the schedule for a response.
func TestChoices(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options string
		in      []string
		want    []choice
	}{
		{"low", "", []string{"answer a.example. 5 A 192.0.2.1"}, []choice{{lo: 33, hi: 45, received: 5}}},
		{"zero", "", []string{"answer a.example. 0 A 192.0.2.1"}, []choice{{lo: 33, hi: 45}}},
		{"not low", "", []string{"answer a.example. 300 A 192.0.2.1"}, []choice{{lo: 180, hi: 300, slid: true, received: 300}}},
		{"hardly low", "", []string{"answer a.example. 40 A 192.0.2.1"}, []choice{{lo: 30, hi: 45, slid: true, received: 40}}},
		{"under max", "max 40", []string{"answer a.example. 5 A 192.0.2.1"}, []choice{{lo: 30, hi: 40, slid: true, received: 5}}},
		{"low in another section", "", []string{"answer a.example. 300 SRV 0 0 80 b.example.", "additional b.example. 5 A 192.0.2.1"},
			[]choice{{lo: 180, hi: 300, slid: true, received: 300}, {lo: 33, hi: 45, lower: true, received: 5}}},
		{"as low in another section", "", []string{"answer a.example. 5 SRV 0 0 80 b.example.", "additional b.example. 5 A 192.0.2.1"}, []choice{{lo: 33, hi: 45, received: 5}}},
		{"in another section alone", "", []string{"additional b.example. 5 A 192.0.2.1"}, []choice{{lo: 33, hi: 45, received: 5}}},
		{"a denial", "", []string{"NXDOMAIN", "authority example. 300 SOA " + zoneSOA + " 2"}, []choice{{lo: 5, hi: 8, received: 2}}},
		{"no records", "", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newTTLFloor(t, "ttlfloor 30s example {\n "+tt.options+"\n }", nil)
			var r reading
			r.read(message(t, tt.in...), dns.TypeSRV, time.Now)
			var got []choice
			h.rules[0].decide(r.sets, r.denial, func(c choice) uint32 {
				got = append(got, c)
				return c.lo
			})
			if !slices.Equal(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// TestSlowUpstream has a client that is on time, and whose response is not.
func TestSlowUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, _ *dns.Msg) (int, error) {
			time.Sleep(4 * time.Second)
			return 0, w.WriteMsg(message(t, "answer a.example. 5 A 192.0.2.1"))
		})
		h := newTTLFloor(t, "ttlfloor 30s example", slow)
		h.view = t.Name()
		t.Cleanup(meters.settle)
		m := meters.get(labels{"", "example.", h.view})
		for range 2 {
			ttl := exchange(t, h, "a.example.", dns.TypeA).Answer[0].Header().Ttl
			time.Sleep(time.Duration(ttl) * time.Second)
		}
		if n := counted(t, m.returns[kept]); n != 1 {
			t.Errorf("%v came back on time, want 1; late: %v", n, counted(t, m.returns[late]))
		}
	})
}
