package ttlfloor

import (
	"net"
	"strings"
	"sync/atomic"
	"time"
)

const (
	moment    = 10 * time.Millisecond
	perMoment = int64(time.Second / moment)
	// mostSmear is the greatest that smear may be: a stub resolver waits for seconds.
	mostSmear = 500 * time.Millisecond
	// mostHeld is how many responses of a rule are held at once. Those above it go out.
	mostHeld = 4096
	// astray is how many moments after its own a client may come back that follows a
	// delay. One that does not, since it has a clock of whole seconds, is delayed no more.
	astray = 10
	// patience is for how long a query may have been under way for its response to be held.
	patience = time.Second
)

// smear is how appointments lie within the second. TTLs are whole seconds and leave a
// client where it is, so that a fleet that started at once comes in bursts, which
// the buffer of a socket has to hold; only a delay moves it.
type smear struct {
	slots []uint16 // appointments by moment, around the end
	next  int64    // least moment that is still to come
	held  atomic.Int32
}

// take makes an appointment at a moment or up to so many later, and returns how many.
// Who has less than twice what is fair beside it stays, so that a round trip that varies
// moves nobody; who has more is moved to where there is less than is fair, or least.
func (s *smear) take(now, at int64, most int, fair uint16) int {
	s.pass(now, at+int64(most))
	best := 0
	least := s.slot(at)
	if *least >= 2*fair {
		for later := 1; later <= most && *least >= fair; later++ {
			if slot := s.slot(at + int64(later)); *slot < *least {
				best, least = later, slot
			}
		}
	}
	*least = min(*least, 1<<16-2) + 1
	return best
}

func (s *smear) slot(at int64) *uint16 { return &s.slots[at%int64(len(s.slots))] }

// pass takes off the appointments up to now, and makes room for those up to a moment.
func (s *smear) pass(now, last int64) {
	s.next = max(s.next, now+1-int64(len(s.slots)))
	for ; s.next <= now; s.next++ {
		*s.slot(s.next) = 0
	}
	n := int64(len(s.slots))
	for n < last-now+1 {
		n = max(2*n, perMoment)
	}
	if n > int64(len(s.slots)) {
		longer := make([]uint16, n)
		for i := range int64(len(s.slots)) {
			longer[(s.next+i)%n] = *s.slot(s.next + i)
		}
		s.slots = longer
	}
}

// delay returns for how long a response is held to a client that comes back after so
// many seconds.
func (s *schedule) delay(v visit, e *client, came comeback, ttl uint32) time.Duration {
	now := int64(time.Since(s.epoch) / moment)
	if e.moment > 0 && came == kept && (now+1-int64(e.moment)+perMoment)%perMoment > astray {
		e.fixed = true
	}
	if e.moment = 0; v.smear == 0 || v.waited > patience || e.fixed {
		return 0
	}
	rate := uint64(0)
	for _, r := range s.rings {
		if r == nil {
			continue
		}
		r.pass(now / (perMoment / ticks))
		for _, part := range r.shares {
			for _, share := range part {
				rate += share
			}
		}
	}
	fair := uint16(min((rate/perSecond+uint64(perMoment))/uint64(perMoment), 1<<14)) // #nosec G115 -- in range
	later := s.smear.take(now, now+int64(ttl)*perMoment, int(v.smear/moment), fair)
	if later > 0 {
		e.moment = uint8((now+int64(later))%perMoment) + 1 // #nosec G115 -- at most 100
	}
	return time.Duration(later) * moment
}

// hold waits, unless too many do so already.
func (s *smear) hold(d time.Duration) {
	if d == 0 {
		return
	}
	if s.held.Add(1) <= mostHeld {
		time.Sleep(d)
	}
	s.held.Add(-1)
}

// mayHold tells whether a response is one that can be held: over UDP a packet does not
// wait for others.
func (m *meter) mayHold(client net.Addr) bool {
	_, udp := client.(*net.UDPAddr)
	return udp && strings.HasPrefix(m.labels[0], "dns://") // not QUIC
}
