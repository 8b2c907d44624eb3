package ttlfloor

import (
	"container/heap"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/cache"

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
		check    func(minute int, ratio float64) bool
	}{
		{"no jitter", "off", 30, 30, 1, func(_ int, ratio float64) bool { return ratio > 29 }},
		{"random", "10% 50% random", 30, 30, 1, func(minute int, ratio float64) bool { return minute > 5 || ratio > 1.3 }},
		{"scheduled", "10% 50% scheduled", 30, 30, 1, func(minute int, ratio float64) bool { return minute < 4 || ratio <= 1.05 }},
		{"scheduled, 3 replicas", "10% 50% scheduled", 30, 30, 3, func(minute int, ratio float64) bool { return minute < 4 || ratio <= 1.08 }},
		{"scheduled, 10 replicas", "10% 50% scheduled", 30, 30, 10, func(minute int, ratio float64) bool { return minute < 4 || ratio <= 1.10 }},
		{"scheduled, source 60", "10% 50% scheduled", 30, 60, 1, func(minute int, ratio float64) bool { return minute < 4 || ratio <= 1.05 }},
		{"20s over a source of 30", "10% 50% scheduled", 20, 30, 1, func(minute int, ratio float64) bool { return minute < 4 || ratio <= 1.05 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, fmt.Sprintf("ttlfloor %d example {\n jitter %s\n }", tt.floor, tt.jitter), tt.replicas, tt.ttl)
				f.join(1000)
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
	received uint32 // TTL of the upstream, and so the greatest that comes
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
		heap.Push(&f.due, appointment{at, "a.example."})
		heap.Push(&f.due, appointment{at, "b.example."})
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
		seconds[int(time.Since(start)/time.Second)]++
		queries++
		m := exchange(f.t, f.replicas[f.rand.IntN(len(f.replicas))], a.name, dns.TypeA)
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

// diary is what a schedule is to know, as a list.
type diary []appointed

type appointed struct {
	tick int64
	ttl  uint32
}

// rate is the sum over the appointments after the second of now.
func (d diary) rate(now int64) (sum uint64) {
	for _, a := range d {
		if a.tick/ticks > now/ticks {
			sum += perSecond / uint64(a.ttl)
		}
	}
	return sum
}

// load looks at every second that begins on a tick and holds the one at.
func (d diary) load(at int64) (middle, fullest uint64) {
	for begin := at - ticks + 1; begin <= at; begin++ {
		n := uint64(0)
		for _, a := range d {
			if a.tick >= begin && a.tick < begin+ticks {
				n++
			}
		}
		fullest = max(fullest, n)
		if begin == at-half {
			middle = n
		}
	}
	return middle, fullest
}

// TestScheduleBooks checks the choice second by second.
func TestScheduleBooks(t *testing.T) {
	t.Run("the emptiest while there is no fair share", func(t *testing.T) {
		var s schedule
		got := map[uint32]int{}
		for range 26 {
			got[s.book(100, 33, 45)]++
		}
		for ttl := uint32(33); ttl <= 45; ttl++ {
			if got[ttl] != 2 {
				t.Errorf("second %d was given %d times, want twice: %v", ttl, got[ttl], got)
			}
		}
	})
	t.Run("the earliest below the fair share", func(t *testing.T) {
		var s schedule
		for range 80 { // 2 a second
			s.book(0, 40, 40)
		}
		want := []uint32{33, 33, 34, 34, 35, 35}
		for i, ttl := range want {
			if got := s.book(0, 33, 45); got != ttl {
				t.Errorf("appointment %d after %d seconds, want %d", i, got, ttl)
			}
		}
	})
	t.Run("the second around the moment, and those that it is part of", func(t *testing.T) {
		var s schedule
		for range 120 { // 2 a second
			s.book(0, 60, 60)
		}
		s.book(10, 33, 33)
		s.book(10, 33, 33)
		s.book(10, 33, 33)
		// Three at tick 175: around 173 to 177 all of them count, and less around
		// 171, 172, 178 and 179.
		for now, want := range map[int64]uint32{5: 33, 7: 33, 8: 34, 10: 34, 12: 34, 13: 33, 20: 33} {
			if got := s.choose(now, 33, 45); got != want {
				t.Errorf("at tick %d: after %d seconds, want %d", now, got, want)
			}
		}
	})
	// At tick 10,000 an appointment in 33 seconds is at 10,165. What is there is in
	// the middle of its second, and what is at 10,161 in the fullest only.
	const then, now = 10_165 - 833*ticks, 10_000
	t.Run("how much each of them counts", func(t *testing.T) {
		for _, tt := range []struct{ middle, edge, want int }{{1, 0, 33}, {2, 0, 34}, {0, 7, 33}, {0, 8, 34}, {1, 3, 33}, {1, 4, 34}} {
			var s schedule
			for range tt.edge {
				s.book(then-4, 833, 833)
			}
			for range tt.middle {
				s.book(then, 833, 833)
			}
			for range 200 { // 2 a second
				s.book(now, 100, 100)
			}
			if got := s.choose(now, 33, 34); int(got) != tt.want {
				t.Errorf("%d in the middle and %d at the edge: after %d seconds, want %d", tt.middle, tt.edge, got, tt.want)
			}
		}
	})
	t.Run("the emptiest by both of them", func(t *testing.T) {
		for edge, want := range map[int]uint32{5: 34, 7: 33} { // 10 and 14, beside 12
			var s schedule
			for range 4 {
				s.book(then, 833, 833)
			}
			for range edge {
				s.book(then+4, 834, 834)
			}
			if got := s.choose(now, 33, 34); got != want {
				t.Errorf("%d at the edge: after %d seconds, want %d", edge, got, want)
			}
		}
	})
	t.Run("a share is rounded", func(t *testing.T) {
		for n, want := range map[int]uint32{19: 30, 21: 20} { // 0.475 and 0.525 a second
			var s schedule
			for range n {
				s.book(0, 40, 40)
			}
			s.turn = 9 // the emptiest is looked for from the 11th second of the window on
			if got := s.book(0, 20, 35); got != want {
				t.Errorf("%d outstanding at 40 seconds: after %d seconds, want %d", n, got, want)
			}
		}
	})
	t.Run("a wide window is looked at in 64 even steps", func(t *testing.T) {
		var s schedule
		got := map[uint32]bool{}
		for range 200 {
			got[s.book(0, 660, 660+639)] = true
		}
		if len(got) != choices {
			t.Errorf("%d seconds, want %d", len(got), choices)
		}
		for ttl := range got {
			if (ttl-660)%10 != 0 {
				t.Errorf("second %d is not on a step of 10", ttl)
			}
		}
	})
	t.Run("the running second is over", func(t *testing.T) {
		var s schedule
		s.book(0, 2, 2)
		s.book(2*ticks, 50, 50)
		if s.rate != perSecond/50 {
			t.Errorf("the sum is %d, want %d: who was to come in this second is on the way in", s.rate, perSecond/50)
		}
	})
	t.Run("nothing is written to what is over", func(t *testing.T) {
		var s schedule
		s.book(0, 1, 1)
		for tick := range s.next * ticks {
			if n := s.ring.around[tick]; n > 0 {
				t.Errorf("%d around tick %d, which nobody clears before it comes round again", n, tick)
			}
		}
		if s.ring.around[ticks] != 1 {
			t.Errorf("%d around tick %d, want the appointment", s.ring.around[ticks], ticks)
		}
	})
	t.Run("around the end of the ring", func(t *testing.T) {
		for off := -2 * int64(ticks); off <= 2*ticks; off++ {
			var s schedule
			const first = length - 100*ticks
			for range 3 {
				s.book(first+off, 100, 100)
			}
			s.book(first+off+3, 100, 100)
			all := diary{{length + off, 100}, {length + off, 100}, {length + off, 100}, {length + off + 3, 100}}
			for at := length - 4*int64(ticks); at <= length+4*ticks; at++ {
				middle, fullest := all.load(at)
				if m, f := s.load((at-100*ticks)%length, 100); m != middle || f != fullest {
					t.Errorf("appointments at %+d, load %d and %d at %+d, want %d and %d", off, m, f, at-length, middle, fullest)
				}
			}
		}
	})
	t.Run("a TTL of 0 is no appointment", func(t *testing.T) {
		var s schedule
		if ttl := s.book(0, 0, 0); ttl != 0 || s.ring != nil {
			t.Errorf("after %d seconds, ring %v", ttl, s.ring != nil)
		}
	})
}

// TestSchedulePasses checks what a schedule knows against the list of its
// appointments, however time goes on.
func TestSchedulePasses(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, step := range []int64{0, 1, 7, 60, 400, horizon - 1, horizon * ticks, 3 * horizon * ticks} {
		var s schedule
		var all diary
		now := r.Int64N(1 << 40)
		for range 700 {
			now += r.Int64N(step + 1)
			lo := 1 + r.Uint32N(horizon-1)
			hi := lo + r.Uint32N(horizon-lo)
			asked := max(now-r.Int64N(2*ticks), now/ticks*ticks-ticks) // some callers are late
			ttl := s.book(asked, lo, hi)
			if ttl < lo || ttl > hi {
				t.Fatalf("after %d seconds, want %d to %d", ttl, lo, hi)
			}
			at := max(asked, (s.next-1)*ticks) // no earlier than the schedule
			all = append(all, appointed{at + int64(ttl)*ticks, ttl})
			if want := all.rate((s.next - 1) * ticks); s.rate != want {
				t.Fatalf("step %d: the sum is %d, want %d", step, s.rate, want)
			}
			for range 3 {
				ttl := 1 + r.Uint32N(horizon-1)
				if r.IntN(2) == 0 {
					ttl = uint32((all[r.IntN(len(all))].tick-at)/ticks) + r.Uint32N(2)
				}
				if ttl == 0 || ttl >= horizon {
					continue
				}
				middle, fullest := all.load(at + int64(ttl)*ticks)
				m, f := s.load(at%length, ttl)
				if (m != middle || f != fullest) && at+int64(ttl)*ticks-ticks+1 >= s.next*ticks {
					t.Fatalf("step %d: load %d and %d in %d seconds, want %d and %d", step, m, f, ttl, middle, fullest)
				}
			}
		}
		s.book(now+2*horizon*ticks, 1, 1)
		if s.rate != perSecond {
			t.Errorf("step %d: rate %d is left, want the last", step, s.rate)
		}
	}
}

// TestScheduleParallel checks that no appointment is lost or counted twice.
func TestScheduleParallel(t *testing.T) {
	var s schedule
	const callers, each = 8, 5000
	var mu sync.Mutex
	want := map[uint32]uint64{}
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			got := map[uint32]uint64{}
			for range each {
				got[s.book(1000, 33, 45)]++
			}
			mu.Lock()
			defer mu.Unlock()
			for ttl, n := range got {
				want[ttl] += n
			}
		})
	}
	wg.Wait()
	var all diary
	for ttl, n := range want {
		for range n {
			all = append(all, appointed{1000 + int64(ttl)*ticks, ttl})
		}
	}
	if rate := all.rate(1000); len(all) != callers*each || s.rate != rate {
		t.Errorf("%d appointments, want %d; the sum is %d, want %d", len(all), callers*each, s.rate, rate)
	}
	for ttl, n := range want {
		if middle, fullest := s.load(1000%length, ttl); middle != n || fullest != n {
			t.Errorf("second %d has %d and %d appointments, %d were given out", ttl, middle, fullest, n)
		}
	}
}

// TestChoose has the choice between the schedules, chance and neither.
func TestChoose(t *testing.T) {
	const many = 500
	draw := func(r *rule, k kind, lo, hi uint32) map[uint32]int {
		got := map[uint32]int{}
		w := &responseWriter{handler: newHandler(nil), rule: r}
		for range many {
			got[w.choose(k, lo, hi)]++
		}
		return got
	}
	for k := range kinds {
		r := new(rule)
		draw(r, k, 33, 45)
		for other := range kinds {
			if used := r.schedules[other].ring != nil; used != (other == k) {
				t.Errorf("kind %d books in the schedule of kind %d: %v", k, other, used)
			}
		}
	}
	r := new(rule)
	if got := draw(r, positive, horizon-2, horizon); len(got) != 3 || r.schedules[positive].ring != nil {
		t.Errorf("a window beyond the horizon is not drawn at random: %v", got)
	}
	r = new(rule)
	if draw(r, positive, horizon-2, horizon-1); r.schedules[positive].ring == nil {
		t.Error("a window up to the horizon is not scheduled")
	}
	for _, j := range []jitter{random, off} {
		r = &rule{policy: policy{jitter: j}}
		if got := draw(r, positive, 33, 33); got[33] != many || r.schedules[positive].ring != nil {
			t.Errorf("jitter %d keeps state, or draws from one TTL %v", j, got)
		}
	}
	r = &rule{policy: policy{jitter: random}}
	got := draw(r, positive, 33, 45)
	if len(got) != 13 || r.schedules[positive].ring != nil {
		t.Errorf("random: %v", got)
	}
}
