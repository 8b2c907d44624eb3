package ttlfloor

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// The oracle is the contract on responses, read anew: it shares no code with
// the plugin. A complaint begins with the rule of the contract that is broken.
// Rules 1 and 9 and the pointer of rule 8 do not show in two messages.
//
// Where the contract is silent: SOAs of several owners are several primary
// RRsets. A referral is NOERROR with no RRset in the answer section and NS in
// the authority section. An RRset of RRSIGs alone is one, but makes no denial
// and no referral. MINIMUM and Original TTL are read as they stand. A window
// that is too wide keeps its late end. Where two sentences hold, either may be
// followed: a base above the horizon, T greater still; a SOA that is not low
// with `jitter off`, something else low.

// terms are a rule's numbers, in seconds and per cent, as the contract names them.
type terms struct {
	floor, zero, negative, max uint32 // negative 0 is `off`; max 1<<31-1 is none
	low, high                  int64  // per cent; both 0 with jitter off
	jitter                     bool   // false with `jitter off`
}

// judged is an RRset: the records of one owner, class and type, and the RRSIGs
// that cover them, wherever they stand.
type judged struct {
	name      string
	rrtype    uint16
	section   int  // the first that it stands in
	authority bool // a record of it, not only an RRSIG, stands in the authority section
	soa       bool // the SOA of a denial
	signed    bool
	in, out   []dns.RR

	received, floor, consent, ceiling, top, base int64 // the contract's terms

	sent int64 // of out what received is of in
	low  bool  // received is below the floor
	left bool  // the base is above the horizon and not low
}

func (r *judged) String() string {
	return fmt.Sprintf("\n\t%s: %d -> %d (floor %d, consent %d, ceiling %d, top %d, base %d)", r.name, r.received, r.sent, r.floor, r.consent, r.ceiling, r.top, r.base)
}

// hearing is a response as rule 5 divides it.
type hearing struct {
	stays   bool      // a denial that `negative off` or `jitter off` has stay as it came
	primary []*judged // what T is drawn for
	follow  []*judged // NSEC and NSEC3, which follow the SOA
	rest    []*judged // the other sections
	alone   []*judged // a signed SOA with MINIMUM 0
}

const oracleNone = 1 << 32 // above all TTLs

// partsOf returns the sections; 0 is the answer, 1 the authority section.
func partsOf(m *dns.Msg) [3][]dns.RR { return [3][]dns.RR{m.Answer, m.Ns, m.Extra} }

// untouchable is rule 2.
func untouchable(rr dns.RR) bool {
	return slices.Contains([]uint16{dns.TypeOPT, dns.TypeTSIG, dns.TypeSIG, dns.TypeTKEY}, rr.Header().Rrtype)
}

// readTTL reads a TTL with the high bit as 7 days.
func readTTL(rr dns.RR) int64 {
	if rr.Header().Ttl >= 1<<31 {
		return 7 * 24 * 3600
	}
	return int64(rr.Header().Ttl)
}

// leastOf returns the least TTL of an RRset, and the least MINIMUM, if any.
func leastOf(rrs []dns.RR) (ttl, minimum int64) {
	ttl, minimum = oracleNone, oracleNone
	for _, rr := range rrs {
		ttl = min(ttl, readTTL(rr))
		if soa, ok := rr.(*dns.SOA); ok {
			minimum = min(minimum, int64(soa.Minttl))
		}
	}
	return ttl, minimum
}

// measure finds the contract's terms for an RRset.
func (k terms) measure(r *judged, denial bool, now int64) {
	before, minimum := leastOf(r.in)
	after, raised := leastOf(r.out)
	if !r.soa {
		minimum, raised = oracleNone, oracleNone
	}
	r.received, r.sent, r.ceiling = min(before, minimum), min(after, raised), oracleNone
	for _, rr := range r.in {
		if sig, ok := rr.(*dns.RRSIG); ok {
			lasts, age := int32(sig.Expiration-uint32(now)), int32(uint32(now)-sig.Inception) // serial arithmetic (RFC 4034 3.1.5)
			if age < 0 {
				lasts = 0
			}
			r.signed, r.ceiling = true, min(r.ceiling, int64(max(lasts, 0)), int64(sig.OrigTtl), minimum) // rules 7 and 6
		}
	}
	r.floor = int64(k.floor)
	if denial {
		r.floor = int64(k.negative)
	}
	from := r.floor
	if r.received == 0 && !denial {
		from = int64(k.zero)
	}
	r.consent = max(r.floor+1, from, (from*(100+k.high)+99)/100) // to `zero` the operator agreed, too
	r.top = min(int64(k.max), max(r.received, min(r.consent, r.ceiling)))
	r.base = min(max(r.received, from), r.top)
	r.low = r.received < r.floor
	r.left = r.base > 4096 && !r.low
}

// window is rule 4's, slid down under top.
func (k terms) window(r *judged, top int64) (lo, hi int64) {
	if !k.jitter || r.left {
		return r.base, r.base
	}
	lo, hi = max(r.base*(100+k.low)/100, r.floor), (r.base*(100+k.high)+99)/100
	hi = max(hi, lo+1) // at least one second wide
	if r.base > r.consent {
		lo = max(lo, hi-r.base/2) // never wider than b/2
	}
	if over := hi - top; over > 0 {
		lo, hi = max(lo-over, min(r.floor, top)), top
	}
	return lo, hi
}

// read divides a response into its RRsets, beside what became of them in out.
func (k terms) read(qtype uint16, now int64, in, out *dns.Msg) (c hearing) {
	var sets []*judged
	known := map[string]*judged{}
	for section, rrs := range partsOf(in) {
		for i, rr := range rrs {
			if untouchable(rr) {
				continue
			}
			h, rrtype := rr.Header(), rr.Header().Rrtype
			if sig, ok := rr.(*dns.RRSIG); ok {
				rrtype = sig.TypeCovered
			}
			name := fmt.Sprint(dns.CanonicalName(h.Name), " ", dns.Class(h.Class), " ", dns.Type(rrtype))
			r := known[name]
			if r == nil {
				r = &judged{name: name, rrtype: rrtype, section: section}
				known[name], sets = r, append(sets, r)
			}
			r.in, r.out = append(r.in, rr), append(r.out, partsOf(out)[section][i])
			r.authority = r.authority || section == 1 && h.Rrtype == rrtype
		}
	}
	asked := func(rr dns.RR) bool { return qtype == dns.TypeANY || rr.Header().Rrtype == qtype }
	isSOA := func(r *judged) bool { return r.rrtype == dns.TypeSOA && r.authority }
	isNS := func(r *judged) bool { return r.rrtype == dns.TypeNS && r.authority }
	inAnswer := func(r *judged) bool { return r.section == 0 }

	noError, soa := in.Rcode == dns.RcodeSuccess, slices.ContainsFunc(sets, isSOA)
	denial := in.Rcode == dns.RcodeNameError || noError && soa && !slices.ContainsFunc(in.Answer, asked)
	primary := inAnswer
	if denial && soa {
		primary = isSOA
	} else if noError && !slices.ContainsFunc(sets, inAnswer) && slices.ContainsFunc(sets, isNS) { // a referral
		primary = isNS
	}
	c.stays = denial && !k.jitter
	for _, r := range sets {
		r.soa = denial && isSOA(r)
		k.measure(r, denial, now)
		_, minimum := leastOf(r.in)
		switch {
		case r.soa && r.signed && minimum == 0:
			c.alone = append(c.alone, r)
			continue
		case primary(r):
			c.primary = append(c.primary, r)
		case denial && soa && r.section == 1 && (r.rrtype == dns.TypeNSEC || r.rrtype == dns.TypeNSEC3):
			c.follow = append(c.follow, r)
		default:
			c.rest = append(c.rest, r)
		}
		c.stays = c.stays && !r.low && !slices.ContainsFunc(r.in, func(rr dns.RR) bool { return rr.Header().Ttl > k.max })
	}
	c.stays = c.stays || denial && k.negative == 0
	if c.primary == nil { // no T to follow
		c.rest, c.follow = append(c.rest, c.follow...), nil
	}
	return c
}

// lowestOf returns the least base and the least top of some RRsets.
func lowestOf(sets []*judged) (base, top int64) {
	base, top = sets[0].base, sets[0].top
	for _, r := range sets {
		base, top = min(base, r.base), min(top, r.top)
	}
	return base, top
}

// keeps tells whether an RRset kept its base, or took t where that is greater;
// above the horizon it need not.
func (r *judged) keeps(t int64) bool {
	return r.sent == min(max(r.base, t), r.top) || r.left && r.sent == r.base
}

// explain finds the TTL that was drawn for the lowest of some RRsets. Others as
// low take it as well, but need not outside of the primary section.
func (k terms) explain(sets []*judged, primary bool) (t int64, ok bool) {
	base, under := lowestOf(sets)
	for _, r := range sets {
		lo, hi := k.window(r, r.top)
		slidLo, slidHi := k.window(r, under) // so that none of them runs out before it
		drawn := lo <= r.sent && r.sent <= hi || slidLo <= r.sent && r.sent <= slidHi
		astray := func(q *judged) bool {
			takes := q.base == base && q.sent == min(r.sent, q.top)
			return !takes && (primary && q.base == base && !q.left || !q.keeps(r.sent))
		}
		if r.base == base && drawn && !slices.ContainsFunc(sets, astray) {
			return r.sent, true
		}
	}
	return 0, false
}

// judge returns what is wrong with out as the response that goes out for in,
// which came from below at now (Unix time) in answer to a query for qtype under
// a rule; nil if nothing is. It writes to neither. No record is nil.
func judge(k terms, qtype uint16, now int64, in, out *dns.Msg) (wrong []string) {
	if out == nil || !reflect.DeepEqual(bare(in), bare(out)) {
		return []string{"2: nothing is touched but TTLs and the MINIMUM of rule 6"}
	}
	complain := func(sentence string, sets ...*judged) {
		wrong = append(wrong, sentence+strings.Trim(fmt.Sprint(sets), "[]"))
	}
	c := k.read(qtype, now, in, out)
	if c.stays {
		if !reflect.DeepEqual(in.Copy(), out.Copy()) {
			complain("6: with `negative off` a denial, with `jitter off` one that is not low, stays as it came")
		}
		return wrong
	}
	for _, r := range c.alone {
		if fmt.Sprint(r.in) != fmt.Sprint(r.out) {
			complain("6: where the MINIMUM of a signed SOA is 0 the SOA is left alone", r)
		}
	}
	for _, r := range slices.Concat(c.primary, c.follow, c.rest) {
		k.judgeRecords(r, complain)
		if r.sent < min(r.floor, r.top) || r.sent > r.top {
			complain("invariant: min(floor, top) <= out <= top", r)
		}
	}
	below := c.rest
	if c.primary != nil {
		base, _ := lowestOf(c.primary)
		t, ok := k.explain(c.primary, true)
		if !ok {
			complain("5: one TTL T is chosen in the window of the lowest primary base; those with a higher base keep it, unless T is greater", c.primary...)
		}
		for _, r := range c.follow {
			stays := !k.jitter && r.sent == r.base && !slices.ContainsFunc(c.primary, func(r *judged) bool { return r.low })
			if ok && !stays && r.sent != min(max(t, r.floor), r.top) {
				complain("6: NSEC and NSEC3 follow the SOA, but not above their own top", append(c.primary, r)...)
			}
		}
		below = nil
		for _, r := range c.rest {
			if r.base < base {
				below = append(below, r)
			} else if ok && !r.keeps(t) {
				complain("5: elsewhere an RRset with a base of at least the primary's takes max(base, T), within its own top", append(c.primary, r)...)
			}
		}
	}
	if below != nil {
		if _, ok := k.explain(below, false); !ok {
			complain("5: the lowest of those below gets a TTL of its own in its own window, the rest of them keep their base unless that one is greater", below...)
		}
	}
	return wrong
}

// judgeRecords judges the records of an RRset beside each other.
func (k terms) judgeRecords(r *judged, complain func(string, ...*judged)) {
	var written, uneven bool
	for i, rr := range r.out {
		written = written || rr.Header().Ttl != r.in[i].Header().Ttl
		uneven = uneven || readTTL(rr) != readTTL(r.out[0])
	}
	stays := r.soa && !r.low && !written && (!k.jitter || r.left) // T is what came, as TTL or as MINIMUM
	if uneven && !stays {
		complain("5: records of one RRset get one TTL", r)
	}
	for i, rr := range r.out {
		if soa, ok := rr.(*dns.SOA); ok {
			ttl, minimum := uint32(readTTL(rr)), r.in[i].(*dns.SOA).Minttl
			if r.soa && !r.signed && !stays {
				minimum = max(minimum, ttl)
			}
			if soa.Minttl != minimum || r.soa && !stays && ttl > minimum {
				complain("6: the SOA goes out with T, and MINIMUM is raised to T where it is lower and may be", r)
			}
		}
	}
}

// bare returns a message without what may change.
func bare(m *dns.Msg) *dns.Msg {
	m = m.Copy()
	for _, rrs := range partsOf(m) {
		for _, rr := range rrs {
			if !untouchable(rr) {
				rr.Header().Ttl = 0
			}
			if soa, ok := rr.(*dns.SOA); ok {
				soa.Minttl = 0
			}
		}
	}
	return m
}

// responseOf makes a message of a line: its rcode and the type asked for, then
// the records, each after "an", "ns" or "ad" for its section. sig:A:300:40:-9
// is an RRSIG for A with Original TTL 300, that ends in 40 s and began 9 s ago.
func responseOf(now int64, line string) *dns.Msg {
	m := new(dns.Msg)
	for i, line := range strings.Split(line, "; ") {
		word, text, _ := strings.Cut(line, " ")
		if i == 0 {
			m.Question = []dns.Question{{Name: "a.example.", Qtype: dns.StringToType[text], Qclass: dns.ClassINET}}
			m.Response, m.Rcode = true, dns.StringToRcode[word]
			continue
		}
		if owner, sig, ok := strings.Cut(text, "sig:"); ok {
			of := append(strings.Split(sig, ":"), "0") // began just now
			ends, _ := strconv.ParseInt(of[2], 10, 64)
			began, _ := strconv.ParseInt(of[3], 10, 64)
			text = fmt.Sprint(owner, "RRSIG ", of[0], " 8 2 ", of[1], " ", now+ends, " ", now+began, " 1 example. AA==")
		}
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(line)
		}
		section := map[string]*[]dns.RR{"an": &m.Answer, "ns": &m.Ns, "ad": &m.Extra}[word]
		*section = append(*section, rr)
	}
	return m
}

// shapes are responses without TTLs.
var shapes = strings.Split(`NOERROR A
SERVFAIL A; ns example. NS ns.example.
NOERROR A; an a.example. A 192.0.2.1; an a.example. A 192.0.2.2; ns example. NS ns.example.; ad ns.example. A 192.0.2.53
NOERROR SRV; an a.example. SRV 0 0 80 b.example.; an a.example. SRV 0 0 80 c.example.; ad b.example. A 192.0.2.1; ad c.example. AAAA 2001:db8::1
NOERROR A; an a.example. CNAME b.example.; an b.example. A 192.0.2.1; an b.example. A 192.0.2.2
NOERROR A; an d.example. DNAME e.example.; an a.d.example. CNAME a.e.example.; an a.e.example. A 192.0.2.1
NOERROR A; an a.example. CNAME b.example.
NOERROR A; ns c.example. NS ns.c.example.; ns c.example. NS ns.example.; ns c.example. DS 1 8 2 00; ad ns.c.example. A 192.0.2.1; ad ns.example. A 192.0.2.2
NOERROR A; ns c.example. NS ns.c.example.; ns 00.example. NSEC3 1 0 0 - 00 NS; ns c.example. NSEC d.example. NS; ad ns.c.example. A 192.0.2.1
NOERROR DS; an c.example. DS 1 8 2 00; ns example. NS ns.example.
NOERROR RRSIG; an a.example. sig:A:3600:9000; an a.example. sig:MX:30:9000; an a.example. sig:A:35:9000
NOERROR ANY; an a.example. A 192.0.2.1; an a.example. MX 1 b.example.; an a.example. SOA a. b. 1 2 3 4 MINIMUM; ns a.example. NS a.example.
NOERROR A; an a.example. A 192.0.2.1; ns *.example. NSEC b.example. A
NXDOMAIN A
NXDOMAIN A; ns example. SOA a. b. 1 2 3 4 MINIMUM; ns example. NSEC b.example. A; ns 00.example. NSEC3 1 0 0 - 00 A
NXDOMAIN A; an a.example. CNAME b.example.; ns example. SOA a. b. 1 2 3 4 MINIMUM
NXDOMAIN A; an a.example. CNAME b.example.; an b.example. CNAME c.example.
NOERROR A; ns example. SOA a. b. 1 2 3 4 MINIMUM; ns example. SOA a. b. 2 2 3 4 MINIMUM; ns a.example. NSEC b.example. MX
NOERROR A; an a.example. CNAME b.example.; ns example. SOA a. b. 1 2 3 4 MINIMUM; ns b.example. SOA a. b. 1 2 3 4 MINIMUM`, "\n")

// strays may stand in any section.
var strays = strings.Split(`a.example. A 192.0.2.9; example. NS a.example.; example. SOA a. b. 3 2 3 4 MINIMUM; a.example. TXT x; a.example. NSEC b.example. A; `+
	`b.example. sig:TXT:40:40; . OPT; k. TSIG; k. TKEY; . SIG; a.example. TYPE65300 \# 1 00`, "; ")

// edgeTTL returns TTLs at the edges of anyTerms, of the horizon and of the field.
func edgeTTL(r *rand.Rand) string {
	edges := []uint32{1, 1, 1, 5, 30, 30, 45, 60, 300, 600, 900, 3600, 4096, 5000, 86400, 604800, 1<<31 - 1, 1 << 31, 0}
	return fmt.Sprint(edges[r.IntN(len(edges))] + r.Uint32N(3) - 1)
}

// anyTerms returns terms that the parser accepts.
func anyTerms(r *rand.Rand) terms {
	pick := func(ttls ...uint32) uint32 { return ttls[r.IntN(len(ttls))] }
	k := terms{floor: pick(1, 5, 30, 30, 30, 600, 4000, 604800), negative: pick(0, 1, 5, 5, 30, 4000), max: 1<<31 - 1, jitter: r.IntN(6) > 0}
	k.zero = k.floor * pick(1, 1, 2)
	if r.IntN(3) == 0 {
		k.max = max(k.zero, k.negative) + pick(0, 1, 10, 1000)
	}
	if k.jitter {
		k.low = []int64{10, 10, 0, -25, -99}[r.IntN(5)]
		k.high = k.low + []int64{40, 40, 0, 50, 89, 800}[r.IntN(6)]
	}
	return k
}

// anyResponse returns a nasty response, with the question that it answers.
func anyResponse(r *rand.Rand, now int64) *dns.Msg {
	oneIn := func(n int) bool { return r.IntN(n) == 0 }
	anywhere := func() string { return []string{"an", "ns", "ad"}[r.IntN(3)] }
	lines := strings.Split(shapes[r.IntN(len(shapes))], "; ")
	for n := r.IntN(4); n > 1; n-- {
		lines = append(lines, anywhere()+" "+strays[r.IntN(len(strays))])
	}
	text, ttls := lines[0], map[string]string{} // TTLs by RRset
	for _, line := range lines[1:] {
		word := strings.SplitN(line, " ", 4) // section, owner, type, RDATA
		rrset := word[1] + word[2]
		ttl, known := ttls[rrset]
		if !known || oneIn(6) {
			ttl = edgeTTL(r)
		}
		ttls[rrset] = ttl
		if oneIn(8) {
			word[1] = strings.ToUpper(word[1])
		}
		text += strings.ReplaceAll(fmt.Sprint("; ", word[0], " ", word[1], " ", ttl, " ", strings.Join(word[2:], " ")), "MINIMUM", edgeTTL(r))
		for keys := r.IntN(4) - 1; keys > 0 && !known && len(word) == 4; keys-- {
			if oneIn(8) {
				ttl, word[0] = edgeTTL(r), anywhere()
			}
			ends, began := []int{-1, 0, 40, 900, 1e5, 1e5}[r.IntN(6)], []int{-900, -900, -900, 0, 1}[r.IntN(5)]
			text += fmt.Sprintf("; %s %s %s sig:%s:%s:%d:%d", word[0], word[1], ttl, word[2], edgeTTL(r), ends, began)
		}
	}
	m := responseOf(now, text)
	for _, rrs := range partsOf(m) {
		if oneIn(2) {
			r.Shuffle(len(rrs), func(i, j int) { rrs[i], rrs[j] = rrs[j], rrs[i] })
		}
	}
	return m
}

// TestOracle has right and wrong values for the rules of the contract: what a
// complaint about the wrong ones says, the terms, the response, right values,
// wrong values. "5>%" comes with 5 and goes out with each of the values; "/"
// stands between those of one message, of which the last one is repeated.
func TestOracle(t *testing.T) {
	const now = 1_700_000_000
	rules := map[string]terms{"std": {30, 30, 5, 1<<31 - 1, 10, 50, true}, "off": {30, 30, 5, 1<<31 - 1, 0, 0, false}, "zero60": {30, 60, 5, 1<<31 - 1, 10, 50, true},
		"max40": {30, 30, 5, 40, 10, 50, true}, "capped": {30, 30, 5, 40, 0, 0, false}, "wide": {30, 30, 5, 1<<31 - 1, 10, 400, true}, "around": {30, 30, 5, 1<<31 - 1, -25, 25, true},
		"flat": {30, 30, 5, 1<<31 - 1, 0, 0, true}, "hours": {5000, 5000, 5, 1<<31 - 1, 10, 50, true}, "keep": {30, 30, 0, 1<<31 - 1, 10, 50, true}}
	change := regexp.MustCompile(`(\S+)>([^\s;]+)`)
	for row := range strings.SplitSeq(`2: nothing | std | NOERROR>% A; an a. 5>40 A 192.0.2.1 | NOERROR | NXDOMAIN
2: nothing | std | NOERROR A; an a.>% 5>40 A 192.0.2.1 | a. | A. b.
2: nothing | std | NOERROR A; an a. 5>40 A 192.0.2.1>% | 192.0.2.1 | 192.0.2.2
2: nothing | std | NOERROR A; ad . 0>% OPT; ad k. 0>% TSIG; ad k. 0>% TKEY; ad . 0>% SIG | 0/0/0/0 | 30/0/0/0 0/30/0/0 0/0/30/0 0/0/0/30
primary | std | NOERROR A; an a. 0>% A 192.0.2.1 | 33 45 | 0 32 46
primary | std | NOERROR A; an a. 5>% A 192.0.2.1 | 33 45 | 5 32 46
primary | std | NOERROR A; an a. 40>% A 192.0.2.1 | 30 45 | 29 46
primary | std | NOERROR A; an a. 60>% A 192.0.2.1 | 36 60 | 35 61 90
primary | std | NOERROR A; an a. 300>% A 192.0.2.1 | 180 300 | 179 301
primary | std | NOERROR A; an a. 3600>% A 192.0.2.1 | 2160 3600 | 3601 5400
primary | std | NOERROR A; an a. 4096>% A 192.0.2.1 | 2457 4096 | 2456 4097
primary | std | NOERROR A; an a. 86400>% A 192.0.2.1 | 86400 | 86399 86401 95040
primary | std | NOERROR A; an a. 2147483647>% A 192.0.2.1 | 2147483647 | 2102192437
invariant | std | NOERROR A; an a. 2147483648>% A 192.0.2.1 | 604800 | 604801
primary | std | NOERROR A; an a. 5>% A 192.0.2.1; an a. 5>% sig:A:35:90 | 30 35 | 29 36
primary | std | NOERROR A; an a. 5>% A 192.0.2.1; an a. 5>% sig:A:20:90 | 20 | 5 21 30
primary | std | NOERROR A; an a. 300>% A 192.0.2.1; an a. 300>% sig:A:300:40 | 180 300 | 40 179 301
primary | zero60 | NOERROR A; an a. 0>% A 192.0.2.1 | 66 90 | 33 65 91
primary | wide | NOERROR A; an a. 300>% A 192.0.2.1 | 150 300 | 149 301
primary | around | NOERROR A; an a. 32>% A 192.0.2.1 | 30 38 | 29 39
primary | around | NOERROR A; an a. 0>% A 192.0.2.1 | 30 38 | 29 39
primary | flat | NOERROR A; an a. 0>% A 192.0.2.1 | 30 31 | 29 32
primary | flat | NOERROR A; an a. 300>% A 192.0.2.1 | 299 300 | 298 301
primary | max40 | NOERROR A; an a. 300>% A 192.0.2.1 | 30 40 | 29 41
primary | hours | NOERROR A; an a. 0>% A 192.0.2.1 | 5500 7500 | 5000 7501
primary | hours | NOERROR A; an a. 5000>% A 192.0.2.1 | 5000 | 5500
primary | off | NOERROR A; an a. 0>% A 192.0.2.1; an b. 40>% A 192.0.2.1 | 30/40 | 31/40 30/39
one TTL | off | NOERROR A; an a. 40>% A 192.0.2.1; an a. 60>% A 192.0.2.2 | 40 | 40/60
one TTL | std | NOERROR A; an a. 40>% A 192.0.2.1; an A. 60>% A 192.0.2.2; ad a. 60>% sig:A:60:60 | 30 40 | 40/40/41 40/41/40
primary | std | NOERROR A; an a. 5>% CNAME b.; an b. 300>% A 192.0.2.1 | 33/300 45/300 | 33/299 33/180 45/301
primary | std | NOERROR A; an a. 300>% CNAME b.; an b. 300>% A 192.0.2.1 | 180 300 | 180/300 300/180
primary | std | NOERROR A; an a. 0>% CNAME b.; an b. 35>% A 192.0.2.1; an b. 35>% sig:A:35:90 | 30/35/35 45/35/35 | 29/35/35 46/35/35 45/45/45
primary | hours | NOERROR A; an a. 0>% CNAME b.; an b. 6000>% A 192.0.2.1 | 7000/6000 7000/7000 | 7000/6500
primary | hours | NOERROR A; an a. 0>% CNAME b.; an b. 5000>% A 192.0.2.1 | 7000/5000 7000/7000 | 5000/7000
primary | std | NOERROR SRV; an a. 300>% SRV 1 1 1 b.; ad b. 30>% A 192.0.2.1 | 180/33 300/45 | 179/33 301/45
below | std | NOERROR SRV; an a. 300>% SRV 1 1 1 b.; ad b. 30>% A 192.0.2.1 | 180/33 300/45 | 180/32 300/46
below | std | NOERROR A; an a. 120>% A 192.0.2.1; ns . 60>% NS b. | 72/36 120/60 | 120/35 120/66
below | std | NOERROR SRV; an a. 300>% SRV 1 1 1 b.; ad b. 5>% A 192.0.2.1; ad c. 40>% A 192.0.2.1 | 300/33/40 300/44/44 | 300/33/33 300/44/40 300/44/45
5: | std | NOERROR A; an a. 0>% A 192.0.2.1; an a. 0>% sig:A:3600:90; ns *. 0>% NSEC b. A; ns *. 0>% sig:NSEC:5:90 | 33/33/5/5 | 33/33/6/6 33/33/33/33 5/5/5/5
below | std | NOERROR SRV; an a. 300>% SRV 1 1 1 b.; ad b. 60>% A 192.0.2.1; ad c. 60>% A 192.0.2.1 | 300/36/60 300/36/36 | 300/36/37
below | std | NOERROR SRV; an a. 300>% SRV 1 1 1 b.; ad b. 0>% A 192.0.2.1; ad c. 35>% A 192.0.2.1; ad c. 35>% sig:A:35:90 | 300/45/35 300/30/35 | 300/29/35
below | std | SERVFAIL A; ad b. 0>% A 192.0.2.1; ns b. 300>% NS b.; ns . 300>% SOA a. b. 1 2 3 4 60 | 33/300 | 30/300 33/180 33/300/60
elsewhere | std | NOERROR A; an a. 5>% A 192.0.2.1; ad b. 300>% A 192.0.2.1 | 33/300 | 33/180 33/301
elsewhere | std | NOERROR A; an a. 5>% A 192.0.2.1; ad b. 30>% A 192.0.2.1; ad b. 30>% sig:A:35:90 | 33/33/33 45/35/35 | 40/34/34 33/30/30
elsewhere | std | NOERROR A; ns c. 300>% NS n.; ns c. 300>% DS 1 8 2 00; ad n. 5>% A 192.0.2.1 | 180/300/33 | 180/180/33 300/301/33
primary | std | NOERROR A; ns c. 300>% NS n.; ns c. 30>% DS 1 8 2 00 | 180/33 | 33/33 301/45
primary | std | NXDOMAIN A; ns a. 3600>% SOA a. b. 1 2 3 4 3600>% | 2160/3600 3600/3600 | 2159/3600 3601/3601 5384/5384
primary | std | NXDOMAIN A; ns a. 3600>% SOA a. b. 1 2 3 4 60>% | 36/60 60/60 | 35/60 61/61
6: the SOA | std | NXDOMAIN A; ns a. 3600>% SOA a. b. 1 2 3 4 60>% | 36/60 60/60 | 36/61 36/36 61/60 3600/60
6: the SOA | std | NXDOMAIN A; ns a. 86400>% SOA a. b. 1 2 3 4 5000; ns a. 90000>% SOA b. b. 1 2 3 4 5000 | 86400/90000 5000 | 86400
6: the SOA | off | NXDOMAIN A; ns . 300>% SOA a. b. 1 2 3 4 60; ns . 3>% NSEC b. A | 300/5 60/5 | 100/5
6: the SOA | off | NXDOMAIN A; ns . 300>% SOA a. b. 1 2 3 4 3; ns . 300>% sig:SOA:300:90 | 3 | 300
6: the SOA | std | NOERROR A; ns a. 300>% SOA a. b. 1 2 3 4 0>% | 5/5 8/8 | 8/0 8/9 6/5 300/0
6: the SOA | std | NOERROR A; an a. 300>200 A 192.0.2.1; ns a. 300>300 SOA a. b. 1 2 3 4 5>% | 5 | 200 300
6: the SOA | std | NXDOMAIN A; ns a. 0>% SOA a. b. 1 2 3 4 3>%; ns a. 0>% sig:SOA:90:90 | 3/3/3 | 3/5/3 4/3/4 5/5/5
primary | std | NXDOMAIN A; ns a. 0>% SOA a. b. 1 2 3 4 7; ns a. 0>% sig:SOA:90:90 | 5 7 | 4
left alone | std | NXDOMAIN A; ns a. 300>% SOA a. b. 1 2 3 4 0>%; ns a. 300>% sig:SOA:300:90 | 300/0/300 | 0/0/300 5/5/5 300/0/5
primary | std | NOERROR A; ns a. 300>% SOA a. b. 1 2 3 4 300; ns . 600>% SOA a. b. 1 2 3 4 600 | 180/600 | 180/180 180/360
below | std | NOERROR A; an a. 0>% CNAME b.; ns . 300>% SOA a. b. 1 2 3 4 300 | 5/180 8/300 | 4/180 33/180
below | std | NXDOMAIN A; an a. 0>% CNAME b.; ns . 300>% SOA a. b. 1 2 3 4 0; ns . 300>% sig:SOA:9:9; ns a. 9>% NSEC b. A | 5/300/300/9 8/300/300/9 | 33/300/300/9 5/300/300/8
primary | std | NOERROR A; an a. 0>% CNAME b.; ad . 300>% SOA a. b. 1 2 3 4 60; ns . 300>% sig:SOA:300:90 | 33/300 45/300 | 5/300
primary | std | NOERROR CNAME; an a. 0>% CNAME b.; ns . 300>% SOA a. b. 1 2 3 4 60 | 33/300 45/300 | 5/300
elsewhere | std | NOERROR ANY; an a. 0>% TXT x; ns . 300>% SOA a. b. 1 2 3 4 60 | 33/300 45/300 | 33/60
primary | std | NXDOMAIN A; an a. 5>% CNAME b. | 5 8 | 4 9 34
NSEC | std | NXDOMAIN A; ns . 3600>% SOA a. b. 1 2 3 4 60; ns a. 300>% NSEC b. A; ns a. 5>% NSEC3 1 0 0 - 00 A | 36/36/8 60/60/8 | 36/300/8 36/37/8 36/36/36 36/36/5
stays | off | NXDOMAIN A; ns . 3600>% SOA a. b. 1 2 3 4 60; ns . 300>% NSEC b. A | 3600/300 | 60/300 3600/60
primary | off | NXDOMAIN A; ns . 300>% SOA a. b. 1 2 3 4 60; ns . 3>% NSEC b. A | 300/5 60/5 | 59/5
NSEC | std | NXDOMAIN A; ns . 0>% SOA a. b. 1 2 3 4 3; ns . 0>% sig:SOA:90:90; ns a. 300>% NSEC b. A | 3/3/5 | 3/3/3
elsewhere | std | NXDOMAIN A; ns . 300>% SOA a. b. 1 2 3 4 300; ad a. 300>% NSEC b. A | 180/300 | 180/180
elsewhere | std | NXDOMAIN A; an a. 5>% CNAME b.; ns a. 300>% NSEC b. A | 5/300 | 5/5
NSEC | off | NXDOMAIN A; ns . 3>% SOA a. b. 1 2 3 4 60; ns . 300>% NSEC b. A | 5/5 | 5/300
primary | keep | NOERROR A; an a. 0>% A 192.0.2.1 | 33 | 0
primary | capped | NXDOMAIN A; ns . 300>% SOA a. b. 1 2 3 4 300 | 40 | 39
stays | keep | NXDOMAIN A; an a. 0>% CNAME b.; ns . 0>% SOA a. b. 1 2 3 4 0 | 0/0 | 33/0 0/5
invariant | std | NOERROR A; an a. 300>% A 192.0.2.1; an a. 300>% sig:A:300:-1 | 180 300 | 0 29 301
invariant | std | NOERROR A; an a. 1>% A 192.0.2.1; an a. 1>% sig:A:300:-1 | 1 | 0 30
invariant | std | NOERROR A; an a. 86400>% A 192.0.2.1; an a. 86400>% sig:A:300:-1 | 86400 | 0
invariant | std | NOERROR A; an a. 1>% A 192.0.2.1; an a. 1>% sig:A:300:90:1 | 1 | 0 30
invariant | std | NOERROR A; an a. 0>% A 192.0.2.1; an a. 0>% sig:A:60:35; an a. 0>% sig:A:60:90 | 30 35 | 29 36
invariant | std | NOERROR RRSIG; an a. 0>% sig:A:60:90; an a. 0>% sig:MX:35:90 | 45/35 35/35 | 29/35 33/36`, "\n") {
		col := strings.Split(row, " | ")
		in := responseOf(now, change.ReplaceAllString(col[2], "$1"))
		for i, wrong := range []bool{false, true} {
			for values := range strings.FieldsSeq(col[3+i]) {
				text := change.ReplaceAllString(col[2], "$2")
				each := strings.Split(values, "/")
				for _, value := range each {
					text = strings.Replace(text, "%", value, 1)
				}
				out := responseOf(now, strings.ReplaceAll(text, "%", each[len(each)-1]))
				got := judge(rules[col[1]], in.Question[0].Qtype, now, in, out)
				if wrong && !strings.Contains(strings.Join(got, "\n"), col[0]) || !wrong && got != nil {
					t.Errorf("%s\n%s: got %q", row, values, got)
				}
			}
		}
	}
}

// TestOracleNothing has a plugin that does nothing, which must fail.
func TestOracleNothing(t *testing.T) {
	const now, all = 1_700_000_000, 20_000
	r := rand.New(rand.NewPCG(7, 8))
	failed := 0
	for range all {
		k, in := anyTerms(r), anyResponse(r, now)
		if judge(k, in.Question[0].Qtype, now, in, in.Copy()) != nil {
			failed++
		}
	}
	if failed < all/2 {
		t.Errorf("%d of %d responses may go out as they came", all-failed, all)
	}
}
