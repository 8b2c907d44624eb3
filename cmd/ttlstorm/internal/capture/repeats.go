package capture

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"time"
)

// copyWindow is how far apart two copies of a packet are at most. Who asks again with the
// same ID from the same port has waited longer.
const copyWindow = 50 * time.Millisecond

// repeats tells copies of packets. "tcpdump -i any" has one for each interface that a
// packet passes, and before and after its destination is translated.
type repeats struct {
	seed maphash.Seed
	last []repeat
}

type repeat struct {
	question
	at time.Time
}

// question is what the copies of a packet share.
type question struct {
	client netip.AddrPort
	id     uint16
	typ    uint16
	answer bool
}

const repeatSlots = 1 << 13

// seen says whether the message b, which m was made of, was there just before.
func (r *repeats) seen(client netip.AddrPort, b []byte, m *Message) bool {
	if m.At.IsZero() {
		return false
	}
	if r.last == nil {
		r.seed, r.last = maphash.MakeSeed(), make([]repeat, repeatSlots)
	}
	q := question{client, binary.BigEndian.Uint16(b), m.Type, m.Answer}
	last := &r.last[maphash.Comparable(r.seed, q)%repeatSlots]
	if last.question == q && m.At.Sub(last.at).Abs() <= copyWindow {
		return true
	}
	*last = repeat{q, m.At}
	return false
}
