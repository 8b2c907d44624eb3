package ttlfloor

import (
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// size is for how many clients there is room.
func (c *clients) size() (n int) {
	for _, segment := range c {
		n += len(segment)
	}
	return n
}

// TestClientsFind checks a table that grows against a map.
func TestClientsFind(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	var c clients
	known := map[uint64]uint32{} // what was noted of a client
	for n := range uint32(50_000) {
		hash := r.Uint64()
		e, found := c.find(hash, n/100)
		if found {
			t.Fatalf("client %d was there", n)
		}
		if want := (client{tag: uint32(hash >> 32), used: true, of: stranger, last: fresh}); *e != want {
			t.Fatalf("a new client is %+v, want %+v", *e, want)
		}
		e.told, e.meter = n/100, n
		known[hash] = n
	}
	for hash, n := range known {
		if e, found := c.find(hash, 500); !found || e.meter != n {
			t.Fatalf("client %d: found %v, %+v", n, found, *e)
		}
	}
	if size := c.size(); size < len(known) || size > 16*len(known) {
		t.Errorf("there is room for %d clients, of which there are %d", size, len(known))
	}
}

// TestClientsGrow has a segment grow when a bucket is full, and not before.
func TestClientsGrow(t *testing.T) {
	const now = 1000
	of := func(tag uint64) uint64 { return tag<<32 | 5 } // in segment 5
	find := func(c *clients, tag uint64, now uint32) bool {
		e, found := c.find(of(tag), now)
		e.told = now
		return found
	}
	t.Run("a full bucket", func(t *testing.T) {
		var c clients
		for tag := range uint64(perBucket) {
			find(&c, tag, now)
		}
		if n := len(c[5]); n != perBucket || c.size() != n {
			t.Errorf("room for %d of %d after %d clients", n, c.size(), perBucket)
		}
		find(&c, perBucket, now)
		if n := len(c[5]); n != 2*perBucket || c.size() != n {
			t.Errorf("room for %d of %d after one more", n, c.size())
		}
		for tag := range uint64(perBucket + 1) {
			if !find(&c, tag, now) {
				t.Errorf("client %d was lost", tag)
			}
		}
	})
	t.Run("one that needs nothing is known of", func(t *testing.T) {
		var c clients
		for tag := range uint64(perBucket) {
			find(&c, tag, now)
		}
		for tag := range uint64(perBucket) {
			find(&c, 100+tag, now+memory+1)
		}
		if n := len(c[5]); n != perBucket {
			t.Errorf("room for %d", n)
		}
	})
	t.Run("clients that differ in few bits", func(t *testing.T) {
		var c clients
		for i := range uint64(2 * perBucket) {
			find(&c, i<<6, now) // in one bucket of 64
		}
		if n := len(c[5]); n != perBucket<<7 {
			t.Errorf("room for %d, want %d", n, perBucket<<7)
		}
	})
	t.Run("no further than to its bound", func(t *testing.T) {
		var c clients
		for i := range uint64(20) {
			find(&c, i<<8, now+uint32(i)) // in one bucket of 256
		}
		if n := len(c[5]); n != perBucket*mostBucket {
			t.Errorf("room for %d, want %d", n, perBucket*mostBucket)
		}
		for i := range uint64(20) {
			if found := c.has(of(i<<8), now+20); found != (i >= 20-perBucket) {
				t.Errorf("client %d is there: %v", i, found)
			}
		}
	})
}

// has tells whether a client is there, and changes nothing.
func (c *clients) has(hash uint64, now uint32) bool {
	for _, e := range bucket(c[hash%segments], uint32(hash>>32)) {
		if e.tag == uint32(hash>>32) && !e.gone(now) {
			return true
		}
	}
	return false
}

// TestClientsForget has who makes room in a full bucket.
func TestClientsForget(t *testing.T) {
	const now = 100_000
	for _, tt := range []struct {
		name string
		edit func(b []client)
		want int
	}{
		{"who was answered longest ago", func(b []client) { b[5].told -= 10 }, 5},
		{"the first, of equals", func([]client) {}, 0},
		{"no follower, however long ago", func(b []client) { b[2].told, b[2].trust, b[6].told = now-5000, 1, now-4000 }, 6},
		{"one without trust before a follower", func(b []client) {
			for i := range b {
				b[i].trust = 1
			}
			b[4].trust, b[4].told = 0, now
		}, 4},
		{"distrust is no trust", func(b []client) { b[3].trust, b[3].told = -2, now-101 }, 3},
		{"followers, the oldest first", func(b []client) {
			for i := range b {
				b[i].trust, b[i].told = 3, now-uint32(i)
			}
		}, perBucket - 1},
		{"who is gone, before all others", func(b []client) { b[1].told, b[7].trust, b[7].told = now-memory, 3, now-memory-1 }, 7},
		{"a place that is free", func(b []client) { b[1].told, b[6].used = now-memory, false }, 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c clients
			c[9] = make([]client, perBucket*mostBucket)
			b := bucket(c[9], 0)
			for i := range b {
				b[i] = client{tag: uint32(i+1) << 8, told: now - 100, used: true}
			}
			tt.edit(b)
			before := slices.Clone(b)
			if _, found := c.find(100<<(32+8)|9, now); found {
				t.Fatal("found")
			}
			for i := range b {
				if replaced := b[i] != before[i]; replaced != (i == tt.want) {
					t.Errorf("place %d: taken %v, want %d", i, replaced, tt.want)
				}
			}
		})
	}
}

// TestClientGone has for how long a client is remembered.
func TestClientGone(t *testing.T) {
	for _, told := range []uint32{1000, math.MaxUint32 - 5} { // the latter goes around
		e := client{told: told, ttl: 40, used: true}
		for since, want := range map[uint32]bool{0: false, memory + 40*ticks: false, memory + 40*ticks + 1: true} {
			if got := e.gone(told + since); got != want {
				t.Errorf("gone %d ticks after %d: %v, want %v", since, told, got, want)
			}
		}
	}
	if e := new(client); !e.gone(0) {
		t.Error("a place that was never used is not free")
	}
}

// heapInUse is how many bytes are in use.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestFlood has a million addresses ask within a minute. The table stays within its
// bound, and whoever has an appointment is still known when it comes.
func TestFlood(t *testing.T) {
	const followers, strangers, interval = 2000, 1_000_000, 50
	synctest.Test(t, func(t *testing.T) {
		before := heapInUse()
		s := newSchedule(func(uint32) uint32 { return 7 })
		book := func(n int, lo, hi uint32) comeback {
			_, _, came := s.book(visit{client: mix(uint64(n)), name: 1}, choice{lo: lo, hi: hi})
			return came
		}
		for range 2 {
			for n := range followers {
				book(n, interval, interval)
			}
			time.Sleep(interval * time.Second)
		}
		for n := range followers {
			if came := book(n, interval, interval); came != kept {
				t.Fatalf("follower %d came back %d", n, came)
			}
		}
		for second := range interval {
			for n := range strangers / interval {
				book(followers+second*strangers/interval+n, 33, 45)
			}
			time.Sleep(time.Second)
		}
		lost := 0
		for n := range followers {
			if came := book(n, interval, interval); came != kept {
				lost++
			}
		}
		if lost > 0 {
			t.Errorf("%d of %d followers were forgotten", lost, followers)
		}
		if n := s.clients.size(); n != segments*perBucket*mostBucket {
			t.Errorf("there is room for %d clients, want the most that there may be", n)
		}
		got := heapInUse() - before
		if got > 16<<20 {
			t.Errorf("a schedule has %d bytes, want at most 16 MiB", got)
		}
		t.Logf("with a full table a schedule has %.1f MiB", float64(got)/(1<<20))
		runtime.KeepAlive(s)
	})
}

// TestIdle has what a rule costs that nobody asks for.
func TestIdle(t *testing.T) {
	const many = 100
	before := heapInUse()
	all := make([]*schedule, many)
	for i := range all {
		all[i] = newSchedule(rand.Uint32N)
	}
	got := (int64(heapInUse()) - int64(before)) / many
	if got > 64<<10 {
		t.Errorf("an idle schedule has %d bytes, want at most 64 KiB", got)
	}
	t.Logf("an idle schedule has %d KiB", got>>10)
	runtime.KeepAlive(all)
}

// TestJudge has how a client came back, and what is thought of it then.
func TestJudge(t *testing.T) {
	const lo = 33
	told40 := client{ttl: 40}
	with := func(edit func(e *client)) client {
		e := told40
		edit(&e)
		return e
	}
	early40 := with(func(e *client) { e.last = early })
	again40 := with(func(e *client) { e.again = true })
	trust := func(n int8) client { return with(func(e *client) { e.trust = n }) }
	both := client{ttl: 100, lower: 40}
	for _, tt := range []struct {
		name  string
		e     client
		since int // ticks
		came  comeback
		want  client // trust, early and again
	}{
		{"a tick too early to be on time", told40, 198, early, client{last: early}},
		{"on time, a tick early", told40, 199, kept, client{trust: trusted}},
		{"on time", told40, 200, kept, client{trust: trusted}},
		{"on time, two seconds late", told40, 210, kept, client{trust: trusted}},
		{"a tick later", told40, 211, late, client{trust: -2}},
		{"just before another replica may have told it", told40, 2*lo*ticks - 1, late, client{trust: -2}},
		{"as another replica may have told it", told40, 2 * lo * ticks, late, client{trust: 1}},
		{"much later", told40, 5000, late, client{trust: 1}},

		{"at once", told40, 0, again, client{again: true}},
		{"before it was answered", told40, -5, again, client{again: true}},
		{"once more, in time", told40, retry, again, client{again: true}},
		{"a tick later than once more", told40, retry + 1, early, client{last: early}},
		{"a third time at once", again40, 3, early, client{last: early}},
		{"once more, of one that came early", early40, 3, early, client{last: early}},
		{"once more, of a follower", trust(trusted), 3, again, client{trust: trusted, again: true}},
		{"once more, of one that was late", trust(-2), 3, again, client{trust: -2, again: true}},
		{"on time after once more", again40, 200, kept, client{trust: trusted}},
		{"late after once more", again40, 300, late, client{trust: -2}},

		{"a short TTL, once more", client{ttl: 5}, 23, again, client{again: true}},
		{"a short TTL, on time", client{ttl: 5}, 24, kept, client{trust: trusted}},
		{"a short TTL, two seconds late", client{ttl: 5}, 35, kept, client{trust: trusted}},
		{"a short TTL, later", client{ttl: 5}, 36, late, client{trust: -2}},
		{"between once more and on time", client{ttl: 6}, retry + 1, early, client{last: early}},
		{"a TTL of 0, at once", client{}, 0, kept, client{trust: trusted}},
		{"a TTL of 0, two seconds late", client{}, onTime, kept, client{trust: trusted}},
		{"a TTL of 0, later", client{}, onTime + 1, late, client{trust: -2}},

		{"a follower that comes early", trust(trusted), 100, early, client{last: early}},
		{"a follower that is late", trust(trusted), 211, late, client{trust: -2}},
		{"a follower that stayed away", trust(trusted), 330, late, client{trust: trusted}},
		{"trust that comes back", trust(-2), 330, late, client{trust: -1}},
		{"trust that was given once", trust(2), 330, late, client{trust: 3}},
		{"late, and on time now", trust(-2), 200, kept, client{trust: trusted}},

		{"early, and on time now", early40, 200, kept, client{trust: trusted}},
		{"early, and late now", early40, 211, late, client{last: early}},
		{"early, and away now", early40, 330, late, client{last: early}},
		{"early, and early now", early40, 100, early, client{last: early}},

		{"before either TTL has run out", both, 198, early, client{last: early}},
		{"when the lower one has", both, 199, kept, client{trust: trusted}},
		{"two seconds after the lower one has", both, 210, kept, client{trust: trusted}},
		{"later, but before the other has", both, 211, late, client{trust: -2}},
		{"just before the other has", both, 498, late, client{trust: 1}},
		{"when the other has", both, 499, kept, client{trust: trusted}},
		{"two seconds after the other has", both, 510, kept, client{trust: trusted}},
		{"later than that", both, 511, late, client{trust: 1}},
		{"once more, before the lower one has run out", client{ttl: 100, lower: 6}, retry, again, client{again: true}},
		{"the lower one has run out, and it asks at once", client{ttl: 100, lower: 2}, 21, late, client{trust: -2}},
		{"the lower one is not lower", client{ttl: 40, lower: 100}, 499, late, client{trust: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, told := range []uint32{10_000, 0, math.MaxUint32 - 50} { // the latter goes around
				e := tt.e
				e.told = told
				if came := e.judge(told+uint32(tt.since), lo, new(siblings)); came != tt.came {
					t.Errorf("told at %d: came back %d, want %d", told, came, tt.came)
				}
				if e.trust != tt.want.trust || (e.last == early) != (tt.want.last == early) || e.again != tt.want.again {
					t.Errorf("told at %d: trust %d, last %v, again %v; want %+v", told, e.trust, e.last, e.again, tt.want)
				}
			}
		})
	}
}

// TestSiblings has what the returns of clients tell of other replicas: nothing at first, and
// then none where those who keep an appointment have kept the one before.
func TestSiblings(t *testing.T) {
	for _, tt := range []struct {
		name    string
		returns string // k for one kept after one kept, l for one kept after another kind, in turns
		n       int
		want    bool
	}{
		{"nothing", "k", 0, false},
		{"too few to tell", "k", 31, false},
		{"enough", "k", 32, true},
		{"four of five", "kkkkl", 500, true},
		{"three of four", "kkkl", 500, false},
		{"every other, as with two replicas", "kl", 500, false},
		{"none, as after a start", "l", 500, false},
		{"more than are counted", "kkkkl", 5000, true},
	} {
		var s siblings
		for i := range tt.n {
			if tt.returns[i%len(tt.returns)] == 'k' {
				s.note(kept)
			} else {
				s.note(late)
			}
		}
		if s.none() != tt.want {
			t.Errorf("%s: none is %t after %+v", tt.name, s.none(), s)
		}
	}
	var s siblings
	for range 5000 {
		s.note(late)
	}
	for range 3000 { // the other replicas are gone
		s.note(kept)
	}
	if !s.none() {
		t.Errorf("what was before still counts: %+v", s)
	}
}

// TestJudgeAlone has a client that stays away for longer than two windows: where no other
// replica can have told it to, it is no follower.
func TestJudgeAlone(t *testing.T) {
	alone := siblings{kept: 100, before: 100}
	e := client{ttl: 40, trust: trusted, told: 1000, last: kept}
	if came := e.judge(1000+400, 33, &alone); came != late || e.trust != -2 || e.last != late {
		t.Errorf("came back %d: %+v", came, e)
	}
	if alone != (siblings{kept: 100, before: 100}) {
		t.Errorf("one that was late counts: %+v", alone)
	}
	e = client{ttl: 40, told: 1000, last: kept}
	e.judge(1000+200, 33, &alone)
	e.told = 2000
	e.last = late
	e.judge(2000+200, 33, &alone)
	if want := (siblings{kept: 102, before: 101}); alone != want {
		t.Errorf("%+v, want %+v", alone, want)
	}
}

// TestStanding has what a client's appointment is worth.
func TestStanding(t *testing.T) {
	for _, tt := range []struct {
		name string
		e    client
		came comeback
		want standing
	}{
		{"new", client{}, fresh, stranger},
		{"on time", client{trust: trusted}, kept, follower},
		{"with the least trust", client{trust: 1}, late, follower},
		{"with none yet", client{}, late, returner},
		{"late", client{trust: -2}, late, returner},
		{"early", client{last: early}, early, stranger},
		{"early, and late now", client{last: early}, late, stranger},
	} {
		if got := tt.e.standing(tt.came); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestLeft has what is left of a TTL, in whole seconds, where the window has it.
func TestLeft(t *testing.T) {
	for _, tt := range []struct {
		name   string
		ttl    uint16
		since  int64
		lo, hi uint32
		want   uint32 // 0: not in the window
	}{
		{"at once", 40, 0, 33, 45, 40},
		{"a tick later", 40, 1, 33, 45, 40},
		{"just before a second has gone", 40, 4, 33, 45, 40},
		{"a second later", 40, 5, 33, 45, 39},
		{"the start of the window", 40, 39, 33, 45, 33},
		{"below it", 40, 40, 33, 45, 0},
		{"the end of the window", 50, 25, 33, 45, 45},
		{"above it", 50, 24, 33, 45, 0},
		{"it has run out", 40, 500, 1, 45, 0},
		{"there was none", 0, 0, 1, 45, 0},
	} {
		for _, now := range []int64{1000, 1 << 32, 1<<40 + 7} {
			e := client{told: uint32(now - tt.since)}
			if got, ok := e.left(tt.ttl, now, choice{lo: tt.lo, hi: tt.hi}); ok != (tt.want > 0) || ok && got != tt.want {
				t.Errorf("%s: %d, %v; want %d", tt.name, got, ok, tt.want)
			}
		}
	}
}

// TestAlign has a client booked from its own part of the second, where it is hardly
// late.
func TestAlign(t *testing.T) {
	for _, base := range []int64{1000, 1<<32 - 3, 1<<40 + 1} {
		e := client{booked: uint32(base)}
		for since, late := range map[int64]int64{
			0: 0, 1: 1, 2: 2, 3: 0, 4: 0, 5: 0, 6: 1, 7: 2, 8: 0, 9: 0, 10: 0, 11: 1, 501: 1, 503: 0,
			-1: 0, -2: 0, -3: 0, -4: 0, -5: 0, -100: 0, // its appointment is still to come
		} {
			if got := e.appointment(base + since); got != base {
				t.Errorf("at %+d, the appointment is at %d, want %d", since, got, base)
			}
			if got := e.align(base + since); got != base+since-late {
				t.Errorf("at %+d, booked from %+d, want %+d", since, got-base, since-late)
			}
		}
	}
}

// TestClientHash has which addresses and names are one client.
func TestClientHash(t *testing.T) {
	const seed, name = 7, 11
	udp := func(ip string) net.Addr { return &net.UDPAddr{IP: net.ParseIP(ip), Port: 53} }
	hash := func(seed uint64, addr net.Addr, name uint32) uint64 {
		h, ok := clientHash(seed, addr, name)
		if !ok {
			t.Errorf("%v is no client", addr)
		}
		return h
	}
	one := hash(seed, udp("192.0.2.1"), name)
	for what, same := range map[string]net.Addr{
		"over TCP":              &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1024},
		"from another port":     &net.UDPAddr{IP: net.ParseIP("192.0.2.1"), Port: 54},
		"in four octets":        &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1).To4()},
		"IPv4 within IPv6":      udp("::ffff:192.0.2.1"),
		"with a zone of a link": &net.UDPAddr{IP: net.ParseIP("192.0.2.1"), Zone: "eth0"},
	} {
		if hash(seed, same, name) != one {
			t.Errorf("%s: another client", what)
		}
	}
	others := map[uint64]string{one: "192.0.2.1"}
	add := func(what string, h uint64) {
		if other, ok := others[h]; ok {
			t.Errorf("%s and %s are one client", what, other)
		}
		others[h] = what
	}
	add("another name", hash(seed, udp("192.0.2.1"), name+1))
	add("another seed", hash(seed+1, udp("192.0.2.1"), name))
	for _, ip := range []string{"192.0.2.2", "1.2.0.192", "::192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db9::1", "1::2001:db8", "::", "0.0.0.0"} {
		add(ip, hash(seed, udp(ip), name))
	}
	for what, addr := range map[string]net.Addr{
		"nil":                 nil,
		"no IP":               &net.UDPAddr{},
		"no IP, over TCP":     &net.TCPAddr{},
		"half an IP":          &net.UDPAddr{IP: net.IP{192, 0, 2}},
		"a Unix socket":       &net.UnixAddr{Name: "/tmp/socket"},
		"an IP without ports": &net.IPAddr{IP: net.ParseIP("192.0.2.1")},
	} {
		if _, ok := clientHash(seed, addr, name); ok {
			t.Errorf("%s is a client", what)
		}
	}
}

// TestClientHashSpreads has addresses in a row, and few names, fill all segments and
// buckets alike.
func TestClientHashSpreads(t *testing.T) {
	const many = 256 * 400
	perSegment, perTag := map[uint64]int{}, map[uint64]int{}
	for n := range many {
		h, _ := clientHash(1, &net.UDPAddr{IP: host(n / 4)}, uint32(n%4))
		perSegment[h%segments]++
		perTag[h>>32%256]++
	}
	for what, counts := range map[string]map[uint64]int{"segment": perSegment, "bucket": perTag} {
		if least, most := slices.Min(slices.Collect(maps.Values(counts))), slices.Max(slices.Collect(maps.Values(counts))); len(counts) != 256 || least < 280 || most > 520 { // six standard deviations
			t.Errorf("%d %ss have %d to %d clients each, want 400", len(counts), what, least, most)
		}
	}
}
