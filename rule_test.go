package ttlfloor

import (
	"math/rand/v2"
	"testing"

	"github.com/miekg/dns"
)

// TestWindow has the windows that the contract's sentences give.
func TestWindow(t *testing.T) {
	for _, tt := range []struct {
		name              string
		low, high         int64
		m, floor, ceiling uint32
		lo, hi            uint32
		capped            bool
	}{
		{"10 to 50 per cent", 10, 50, 30, 30, maxTTL, 33, 45, false},
		{"from the floor of LOW to the ceiling of HIGH", 10, 50, 31, 30, maxTTL, 34, 47, false},
		{"at least a second wide", 0, 0, 30, 30, maxTTL, 30, 31, false},
		{"never below the floor", -25, 25, 32, 30, maxTTL, 30, 40, false},
		{"never below the floor, and then a second wide", -25, -10, 30, 30, maxTTL, 30, 31, false},
		{"a large negative LOW", -99, 1000, 1, 1, maxTTL, 1, 11, false},
		{"up to the ceiling", 10, 50, 30, 30, 45, 33, 45, false},
		{"slides under the ceiling", 10, 50, 30, 30, 44, 32, 44, true},
		{"slides to the floor", 10, 50, 30, 30, 42, 30, 42, true},
		{"is narrower where the floor does not let it slide", 10, 50, 30, 30, 35, 30, 35, true},
		{"has no room at the floor", 10, 50, 30, 30, 30, 30, 30, true},
		{"a ceiling below the floor wins", 10, 50, 30, 30, 20, 20, 20, true},
		{"a base above the ceiling", 10, 50, 300, 30, 100, 30, 100, true},
		{"a ceiling of 0", 10, 50, 30, 30, 0, 0, 0, true},
		{"the greatest TTL", 10, 1000, maxTTL, 30, maxTTL, 30, maxTTL, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := policy{low: tt.low, high: tt.high, spread: true}
			if lo, hi, capped := p.window(tt.m, tt.floor, tt.ceiling); lo != tt.lo || hi != tt.hi || capped != tt.capped {
				t.Errorf("got %d to %d, capped %v; want %d to %d, %v", lo, hi, capped, tt.lo, tt.hi, tt.capped)
			}
		})
	}
}

// anyTTL returns TTLs of all sizes, and the edges often.
func anyTTL(r *rand.Rand) uint32 {
	edges := []uint32{0, 1, 2, 29, 30, 31, week - 1, week, week + 1, maxTTL - 1, maxTTL, maxTTL + 1, 1<<32 - 1}
	if r.IntN(3) == 0 {
		return edges[r.IntN(len(edges))]
	}
	return uint32(r.Uint64N(1 << (1 + r.IntN(32))))
}

// anyPolicy returns a policy that the parser accepts.
func anyPolicy(r *rand.Rand) *policy {
	p := &policy{floor: 1 + anyTTL(r)%week, max: maxTTL, spread: r.IntN(4) > 0}
	p.zero = p.floor + r.Uint32N(1000)
	p.negative = anyTTL(r) % week
	if r.IntN(2) == 0 {
		p.max = max(p.zero, p.negative) + r.Uint32N(1000)
	}
	p.low = -99 + r.Int64N(200)
	p.high = p.low + r.Int64N(1000-p.low+1)
	return p
}

// TestWindowProperties checks random windows against the contract.
func TestWindowProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 200_000 {
		p := anyPolicy(r)
		floor, ceiling := p.floor, min(anyTTL(r)&maxTTL, p.max)
		m := p.base(anyTTL(r), ceiling)
		lo, hi, capped := p.window(m, floor, ceiling)
		free, freeHigh, _ := p.window(m, floor, maxTTL)
		switch {
		case lo > hi || hi > ceiling:
			t.Fatalf("%+v: base %d, ceiling %d: window %d to %d", *p, m, ceiling, lo, hi)
		case lo < min(floor, ceiling) && p.spread:
			t.Fatalf("%+v: base %d, ceiling %d: window %d to %d is below the floor", *p, m, ceiling, lo, hi)
		case p.spread && ceiling > floor && hi == lo:
			t.Fatalf("%+v: base %d, ceiling %d: window %d to %d has no width", *p, m, ceiling, lo, hi)
		case !capped && freeHigh < maxTTL && (lo != free || hi != freeHigh):
			t.Fatalf("%+v: base %d, ceiling %d: window %d to %d, but not capped from %d to %d", *p, m, ceiling, lo, hi, free, freeHigh)
		case capped && hi != ceiling:
			t.Fatalf("%+v: base %d, ceiling %d: window %d to %d is capped below", *p, m, ceiling, lo, hi)
		case capped && freeHigh < maxTTL && hi-lo != min(freeHigh-free, ceiling-min(floor, ceiling)):
			t.Fatalf("%+v: base %d, ceiling %d: window %d to %d does not keep its width of %d", *p, m, ceiling, lo, hi, freeHigh-free)
		case !p.spread && lo != hi:
			t.Fatalf("%+v: base %d, ceiling %d: window %d to %d without jitter", *p, m, ceiling, lo, hi)
		}
	}
}

// anyMessage returns a response with records of some types in all sections.
func anyMessage(r *rand.Rand, now int64) *dns.Msg {
	m := new(dns.Msg)
	if r.IntN(3) == 0 {
		m.Rcode = dns.RcodeNameError
	}
	for i, section := range []*[]dns.RR{&m.Answer, &m.Ns, &m.Extra} {
		ttl := anyTTL(r)
		for range r.IntN(4) {
			if r.IntN(3) == 0 {
				ttl = anyTTL(r)
			}
			h := dns.RR_Header{Name: "a.example.", Class: dns.ClassINET, Ttl: ttl}
			var rr dns.RR
			switch r.IntN(7) {
			case 0, 1:
				h.Rrtype = dns.TypeA
				rr = &dns.A{Hdr: h, A: []byte{192, 0, 2, 1}}
			case 2:
				h.Rrtype = dns.TypeMX
				rr = &dns.MX{Hdr: h, Mx: "b.example."}
			case 3:
				h.Rrtype = dns.TypeNSEC
				rr = &dns.NSEC{Hdr: h, NextDomain: "b.example."}
			case 4:
				h.Rrtype = dns.TypeOPT
				rr = &dns.OPT{Hdr: h}
			case 5:
				h.Rrtype = dns.TypeSOA
				rr = &dns.SOA{Hdr: h, Ns: "b.example.", Mbox: "b.example.", Minttl: anyTTL(r)}
			case 6:
				h.Rrtype = dns.TypeRRSIG
				rr = &dns.RRSIG{
					Hdr: h, OrigTtl: anyTTL(r), Expiration: uint32(now) + anyTTL(r)%maxTTL, SignerName: "example.",
					TypeCovered: []uint16{dns.TypeA, dns.TypeSOA, dns.TypeNSEC}[r.IntN(3)],
				}
			}
			if i < 2 || r.IntN(2) == 0 {
				*section = append(*section, rr)
			}
		}
	}
	return m
}

// TestReadProperties compares what is read of random messages in one go with
// the sentences of the contract, taken one by one and record by record.
func TestReadProperties(t *testing.T) {
	const now = 1_000_000_000
	r := rand.New(rand.NewPCG(7, 8))
	for range 100_000 {
		p, m := anyPolicy(r), anyMessage(r, now)
		before := m.Copy()
		got := p.read(m, dns.TypeA, now)
		want := readSlowly(p, m, dns.TypeA, now)
		want.policy, want.msg = got.policy, got.msg
		if got != want {
			t.Fatalf("%+v\n%v\ngot  %+v\nwant %+v", *p, m, got, want)
		}
		if got.empty {
			continue
		}
		lo, hi, _ := got.window(got.base, got.least, got.ceiling)
		ttl := lo + uint32(r.Uint64N(uint64(hi-lo)+1))
		var room dns.Msg
		out := got.rewrite(ttl, &room)
		if m.String() != before.String() {
			t.Fatalf("the message was written to:\n%v\nbefore:\n%v", m, before)
		}
		if (out == m) != (out.String() == m.String()) {
			t.Fatalf("changed %v:\n%v\nto\n%v", out != m, m, out)
		}
		if after := p.read(out, dns.TypeA, now); after.lowest != ttl {
			t.Fatalf("%+v\n%v\nbecame\n%v\nwith a lowest TTL of %d, want %d", *p, m, out, after.lowest, ttl)
		}
		for i, section := range sections(out) {
			for j, rr := range section {
				h := rr.Header()
				was := sections(m)[i][j].Header().Ttl
				switch {
				case h.Rrtype == dns.TypeOPT && h.Ttl != was:
					t.Fatalf("the flags of OPT were written to: %v", out)
				case h.Rrtype != dns.TypeOPT && h.Ttl > p.max:
					t.Fatalf("%+v\n%v\nhas a TTL above max", *p, out)
				case h.Rrtype != dns.TypeOPT && h.Ttl > got.signed && h.Ttl > serial(was) && h.Ttl != 0:
					t.Fatalf("%+v\n%v\nbecame\n%v\nwith a TTL raised above the ceiling of DNSSEC, %d", *p, m, out, got.signed)
				}
			}
		}
	}
}

// readSlowly reads a message as the contract has it, with no eye on time.
func readSlowly(p *policy, m *dns.Msg, qtype uint16, now int64) (r reading) {
	r.signed = maxTTL
	each := func(f func(section int, rr dns.RR)) {
		for i, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
			for _, rr := range section {
				switch rr.Header().Rrtype {
				case dns.TypeOPT, dns.TypeTSIG, dns.TypeSIG, dns.TypeTKEY:
				default:
					f(i, rr)
				}
			}
		}
	}
	answered, negative, minimum := false, uint32(maxTTL), uint32(maxTTL)
	each(func(i int, rr dns.RR) {
		answered = answered || i == answer && (rr.Header().Rrtype == qtype || qtype == dns.TypeANY)
		if soa, ok := rr.(*dns.SOA); ok && i == authority {
			r.hasSOA = true
			negative = min(negative, negativeTTL(soa))
			minimum = min(minimum, serial(soa.Minttl))
		}
		if sig, ok := rr.(*dns.RRSIG); ok {
			r.signed = min(r.signed, serial(sig.OrigTtl), untilExpiration(sig, now))
			r.soaFixed = r.soaFixed || i == authority && sig.TypeCovered == dns.TypeSOA
		}
	})
	r.denial = m.Rcode == dns.RcodeNameError || m.Rcode == dns.RcodeSuccess && r.hasSOA && !answered
	if r.denial && r.soaFixed {
		r.signed = min(r.signed, minimum)
	}
	r.ceiling = min(r.signed, p.max)

	r.empty, r.even, r.lowest, r.base = true, true, maxTTL, maxTTL
	var first *dns.RR_Header
	each(func(i int, rr dns.RR) {
		ttl, base, floor := serial(rr.Header().Ttl), p.base(rr.Header().Ttl, r.signed), p.floor
		if r.denial && r.hasSOA && i == authority && denies(rr, rr.Header()) {
			r.proof = p.negativeBase(negative, r.signed)
			base, floor = r.proof, p.negative
			if soa, ok := rr.(*dns.SOA); ok {
				ttl = negativeTTL(soa)
			}
			r.even = false
		}
		if first == nil {
			first = rr.Header()
		}
		r.even = r.even && rr.Header().Ttl == first.Ttl && first.Ttl <= maxTTL
		r.empty = false
		r.lowest = min(r.lowest, ttl)
		r.raised = r.raised || ttl < base
		r.capped = r.capped || serial(rr.Header().Ttl) > p.max
		if base < r.base {
			r.base, r.least = base, 0
		}
		if base == r.base {
			r.least = max(r.least, floor)
		}
	})
	r.capped = r.capped || r.least > r.ceiling
	return r
}
