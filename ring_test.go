package ttlfloor

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// checkSums checks the sums of a ring against its slots.
func checkSums(t *testing.T, r *ring) {
	t.Helper()
	var counts [ticks][standings]uint32
	var shares [ticks][standings]uint64
	for tick := r.next; tick < r.next+int64(len(r.slots)); tick++ {
		s := r.slot(tick)
		for of := range standings {
			counts[tick%ticks][of] += s.counts[of]
			shares[tick%ticks][of] += s.rates[of]
		}
	}
	if shares != r.shares || counts != r.counts {
		t.Fatalf("the sums are %v of %v, of the slots they are %v of %v", r.shares, r.counts, shares, counts)
	}
}

// total counts the appointments of a standing.
func (r *ring) total(of standing) (n int) {
	for i := range r.slots {
		n += int(r.slots[i].counts[of])
	}
	return n
}

// diary is what a ring is to know, as a list.
type diary []appointed

type appointed struct {
	tick int64
	of   standing
	rate uint64
}

// pass takes off what is over at a tick.
func (d *diary) pass(now int64) {
	*d = slices.DeleteFunc(*d, func(a appointed) bool { return a.tick <= now })
}

// check holds a ring to the list, tick by tick and in its sums.
func (d diary) check(t *testing.T, r *ring) {
	t.Helper()
	slots := map[int64]*slot{}
	for _, a := range d {
		if slots[a.tick] == nil {
			slots[a.tick] = new(slot)
		}
		slots[a.tick].counts[a.of]++
		slots[a.tick].rates[a.of] += a.rate
		if a.tick < r.next || a.tick >= r.next+int64(len(r.slots)) {
			t.Fatalf("the appointment at %d is not in the ring of %d to %d", a.tick, r.next, r.next+int64(len(r.slots)))
		}
	}
	for tick := r.next; tick < r.next+int64(len(r.slots)); tick++ {
		want := slots[tick]
		if want == nil {
			want = new(slot)
		}
		if got := r.slot(tick); *got != *want {
			t.Fatalf("tick %d has %+v, want %+v", tick, *got, *want)
		}
	}
	checkSums(t, r)
}

// TestRingKeeps checks what a ring knows against the list of its appointments, while
// time goes on, it grows and appointments are taken back.
func TestRingKeeps(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, step := range []int64{0, 1, 7, 60, 400, 5000} {
		var r ring
		var all diary
		now := rnd.Int64N(1 << 40)
		r.grow(1)
		r.pass(now)
		for range 400 {
			now += rnd.Int64N(step + 1)
			if rnd.IntN(50) == 0 {
				r.grow(1 + rnd.Uint32N(300)) // before the time that has gone by is taken off
			}
			r.pass(now)
			all.pass(now)
			if r.next != now+1 {
				t.Fatalf("step %d: the next tick is %d at %d", step, r.next, now)
			}
			for range rnd.IntN(4) {
				a := appointed{tick: r.next + rnd.Int64N(int64(len(r.slots))), of: standing(rnd.IntN(int(standings)))}
				a.rate = perSecond / uint64(1+a.tick%97) // the same for all of a tick
				r.add(a.tick, a.of, a.rate)
				all = append(all, a)
			}
			if len(all) > 0 && rnd.IntN(3) == 0 {
				i := rnd.IntN(len(all))
				r.remove(all[i].tick, all[i].of)
				all = slices.Delete(all, i, i+1)
			}
			all.check(t, &r)
		}
		now += 2 * int64(len(r.slots))
		r.pass(now)
		diary{}.check(t, &r)
	}
}

// TestRingGrows has lengths of a power of two of seconds, and none that shrinks.
func TestRingGrows(t *testing.T) {
	var r ring
	for _, tt := range []struct{ seconds, want uint32 }{
		{1, 1}, {2, 2}, {3, 4}, {4, 4}, {5, 8}, {4, 8}, {1, 8}, {46, 64}, {64, 64}, {65, 128}, {horizon, horizon},
	} {
		r.grow(tt.seconds)
		if got := len(r.slots); got != int(tt.want)*ticks {
			t.Errorf("%d seconds take %d ticks, want %d", tt.seconds, got, tt.want*ticks)
		}
	}
	slots := &r.slots[0]
	if r.grow(horizon); &r.slots[0] != slots {
		t.Error("a ring that is long enough was made anew")
	}
}

// TestRingPassesNow has the appointments of the running tick on their way in, and those
// of the next one still to come.
func TestRingPassesNow(t *testing.T) {
	var r ring
	r.grow(4)
	r.pass(99)
	r.add(100, follower, 1)
	r.add(101, follower, 2)
	r.pass(100)
	diary{{101, follower, 2}}.check(t, &r)
	r.pass(40) // a clock that goes back changes nothing
	if r.next != 101 {
		t.Errorf("the next tick is %d", r.next)
	}
}

// TestRingRemoves has what is not there any more, was never there, and one of several
// that bring different rates.
func TestRingRemoves(t *testing.T) {
	filled := func() *ring {
		var r ring
		r.grow(2)
		r.pass(99) // 100 to 109
		r.add(100, follower, 30)
		r.add(104, returner, 10)
		r.add(104, returner, 21)
		r.add(109, stranger, 7)
		return &r
	}
	whole := diary{{100, follower, 30}, {104, returner, 10}, {104, returner, 21}, {109, stranger, 7}}
	for name, tt := range map[string]struct {
		tick int64
		of   standing
		want diary
	}{
		"the first that is to come":  {100, follower, whole[1:]},
		"the last":                   {109, stranger, whole[:3]},
		"one of several":             {104, returner, diary{{100, follower, 30}, {104, returner, 16}, {109, stranger, 7}}},
		"of another standing":        {104, follower, whole},
		"at another tick":            {103, returner, whole},
		"over":                       {99, stranger, whole}, // in the place of 109
		"beyond the end":             {110, follower, whole},
		"beyond the end, far beyond": {1 << 40, follower, whole},
	} {
		t.Run(name, func(t *testing.T) {
			r := filled()
			r.remove(tt.tick, tt.of)
			tt.want.check(t, r)
		})
	}
	t.Run("of several, all", func(t *testing.T) {
		r := filled()
		for range 3 {
			r.remove(104, returner)
		}
		diary{{100, follower, 30}, {109, stranger, 7}}.check(t, r)
	})
}

// TestViewRounds has the sums of shares rounded to whole appointments.
func TestViewRounds(t *testing.T) {
	const half, most = perSecond / 2, math.MaxUint32
	for _, tt := range []struct {
		name   string
		shares [standings]uint64
		of     standing
		down   bool
		want   [standings]uint32
	}{
		{"nothing", [standings]uint64{}, stranger, false, [standings]uint32{}},
		{"just below a half", [standings]uint64{half - 1}, follower, false, [standings]uint32{}},
		{"a half", [standings]uint64{half}, follower, false, [standings]uint32{1}},
		{"just below one and a half", [standings]uint64{3*half - 1}, follower, false, [standings]uint32{1}},
		{"rounded down, just below one", [standings]uint64{perSecond - 1}, follower, true, [standings]uint32{}},
		{"rounded down, one", [standings]uint64{perSecond}, follower, true, [standings]uint32{1}},
		{"the sum is rounded, not its parts", [standings]uint64{2 * half / 5, 2 * half / 5, 3 * half / 5}, stranger, false, [standings]uint32{0, 0, 1}},
		{"the sum is rounded down, not its parts", [standings]uint64{half, half, 3 * half}, stranger, true, [standings]uint32{0, 1, 1}},
		{"what is worth less does not count", [standings]uint64{perSecond, perSecond, perSecond}, returner, false, [standings]uint32{1, 1}},
		{"what is worth more does", [standings]uint64{3 * perSecond, 2 * perSecond, perSecond}, stranger, false, [standings]uint32{3, 2, 1}},
		{"more than can be counted", [standings]uint64{most * perSecond, most * perSecond}, follower, false, [standings]uint32{most}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r ring
			r.shares[3], r.counts[3] = tt.shares, [standings]uint32{most, most, most}
			c := choice{lo: 1, hi: 1, slid: tt.down}
			v := r.view(3, tt.of, c)
			sum := uint32(0)
			for _, share := range tt.want {
				sum += share
			}
			if v.shares != tt.want || v.share != sum || v.of != tt.of || v.ring != &r {
				t.Errorf("got %v, in all %d, for %d; want %v, %d and %d", v.shares, v.share, v.of, tt.want, sum, tt.of)
			}
			if v := r.view(2, tt.of, c); v.share != 0 {
				t.Errorf("another part of the second has a share of %d", v.share)
			}
		})
	}
}

// TestViewShares has appointments in shorter windows count as if they were in this one,
// where they are less than half as long.
func TestViewShares(t *testing.T) {
	for _, tt := range []struct {
		booked, c choice
		want      uint32 // of 4,200
	}{
		{choice{lo: 42, hi: 42}, choice{lo: 42, hi: 42}, 100},
		{choice{lo: 42, hi: 42}, choice{lo: 30, hi: 30}, 100},
		{choice{lo: 42, hi: 42}, choice{lo: 84, hi: 84}, 100},
		{choice{lo: 42, hi: 42}, choice{lo: 86, hi: 86}, 49},
		{choice{lo: 42, hi: 42}, choice{lo: 210, hi: 210}, 20},
		{choice{lo: 42, hi: 42}, choice{lo: 150, hi: 229, slid: true}, 20}, // as 210
	} {
		var r ring
		r.grow(64)
		r.pass(4)
		for range 4200 {
			r.add(200, follower, tt.booked.rate())
		}
		if v := r.view(0, follower, tt.c); v.share != tt.want {
			t.Errorf("4,200 in %+v are a share of %d for %+v, want %d", tt.booked, v.share, tt.c, tt.want)
		}
	}
}

// TestViewFar has the far seconds preferred where the near ones would cost queries that
// are worth something, and where there is no crowd to break up.
func TestViewFar(t *testing.T) {
	second := choice{lo: 1, hi: 1}
	for _, tt := range []struct {
		name   string
		others int // with an appointment in another part of the second, each worth a quarter of one per second
		before int // seconds ago
		now    int // booked in this tick
		slid   bool
		want   bool
	}{
		{"a client in two seconds", 2, 1, 0, true, true},
		{"less than that", 1, 1, 0, true, false},
		{"where it costs nothing", 2, 1, 0, false, false},
		{"others in the same tick", 2, 0, 0, true, false},
		{"one in the same tick", 2, 1, 1, true, false},
		{"as many as twice the share", 2, 1, 4, true, true},
		{"more than that", 2, 1, 5, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r ring
			r.grow(64)
			r.pass(0)
			for range tt.others {
				r.add(21, stranger, perSecond/4)
			}
			r.pass(int64(tt.before))
			for i := range tt.now {
				rate := uint64(0)
				if tt.now >= 4 && i < 2 {
					rate = second.rate()
				}
				r.add(20, follower, rate)
			}
			second.slid = tt.slid
			if v := r.view(0, follower, second); v.far != tt.want {
				t.Errorf("far is %t with a share of %d, want %t", v.far, v.share, tt.want)
			}
		})
	}
}

// TestViewLoad has how full a tick is for each standing.
func TestViewLoad(t *testing.T) {
	var r ring
	r.grow(4)
	r.pass(99)
	for of, n := range map[standing]int{follower: 2, returner: 3, stranger: 4} {
		for range n {
			r.add(105, of, 1)
		}
	}
	for _, tt := range []struct {
		name   string
		of     standing
		shares [standings]uint32
		tick   int64
		want   uint32
	}{
		{"a follower sees followers alone", follower, [standings]uint32{9, 9, 9}, 105, 2},
		{"a returner sees both", returner, [standings]uint32{1, 9, 9}, 105, 5},
		{"a stranger sees all", stranger, [standings]uint32{1, 1, 9}, 105, 9},
		{"followers that have not booked yet", returner, [standings]uint32{7}, 105, 10},
		{"returners that have not booked yet", stranger, [standings]uint32{0, 7}, 105, 13},
		{"both", stranger, [standings]uint32{5, 6}, 105, 15},
		{"as many as have booked", stranger, [standings]uint32{2, 3}, 105, 9},
		{"an empty tick", stranger, [standings]uint32{1, 2, 3}, 106, 3},
		{"the next tick", stranger, [standings]uint32{1, 2, 3}, 100, 3},
		{"one that is over", stranger, [standings]uint32{1, 2, 3}, 99, 0},
		{"one that is over, in whose place is another", follower, [standings]uint32{}, 85, 0},
	} {
		v := view{ring: &r, of: tt.of, shares: tt.shares}
		if got := v.load(tt.tick); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestViewFair has a second fill up while it draws nearer.
func TestViewFair(t *testing.T) {
	for _, tt := range []struct {
		share, n uint32
		want     []uint32
	}{
		{0, 3, []uint32{0, 0, 0}},
		{1, 3, []uint32{1, 1, 1}},
		{10, 10, []uint32{10, 10, 9, 8, 7, 6, 5, 4, 3, 2}},
		{30, 3, []uint32{30, 23, 13}},
		{100, 4, []uint32{100, 85, 60, 35}},
		{5, 1, []uint32{5}},
		{math.MaxUint32, 2, []uint32{math.MaxUint32, 6*(math.MaxUint32/10) + 3}},
	} {
		v := view{share: tt.share}
		var got []uint32
		for i := range tt.n {
			got = append(got, v.fair(i, tt.n))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("of %d, in %d steps: %d, want %d", tt.share, tt.n, got, tt.want)
		}
	}
}
