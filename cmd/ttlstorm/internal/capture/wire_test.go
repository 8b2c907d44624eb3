package capture

import (
	"bytes"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func rr(tb testing.TB, s string) dns.RR {
	tb.Helper()
	rr, err := dns.NewRR(s)
	if err != nil {
		tb.Fatal(err)
	}
	return rr
}

// TestWire has answers, with the TTL that each may be kept for.
func TestWire(t *testing.T) {
	const soa = "example. 300 IN SOA ns.example. root.example. 1 2 3 4 60"
	type records []string
	for what, tc := range map[string]struct {
		typ                       uint16
		rcode                     int
		answer, authority, others records
		ttl                       int64
	}{
		"one":                       {answer: records{"a.example. 30 A 192.0.2.1"}, ttl: 30},
		"the least":                 {answer: records{"a.example. 30 CNAME b.example.", "b.example. 5 A 192.0.2.1", "b.example. 7 A 192.0.2.2"}, ttl: 5},
		"others do not count":       {answer: records{"a.example. 30 A 192.0.2.1"}, authority: records{"example. 5 NS ns.example."}, others: records{"ns.example. 4 A 192.0.2.3"}, ttl: 30},
		"SOA beside data":           {answer: records{"a.example. 30 A 192.0.2.1"}, authority: records{"example. 5 SOA ns.example. root.example. 1 2 3 4 6"}, ttl: 30},
		"NXDOMAIN, MINIMUM":         {rcode: dns.RcodeNameError, authority: records{soa}, ttl: 60},
		"NXDOMAIN, TTL of the SOA":  {rcode: dns.RcodeNameError, authority: records{strings.Replace(soa, "300", "30", 1)}, ttl: 30},
		"NODATA":                    {authority: records{soa}, ttl: 60},
		"NODATA after a CNAME":      {answer: records{"a.example. 90 CNAME b.example."}, authority: records{soa}, ttl: 60},
		"NODATA after a short one":  {answer: records{"a.example. 20 CNAME b.example."}, authority: records{soa}, ttl: 20},
		"ANY is no denial":          {typ: dns.TypeANY, answer: records{"a.example. 90 A 192.0.2.1"}, authority: records{soa}, ttl: 90},
		"referral":                  {authority: records{"example. 5 NS ns.example."}, ttl: -1},
		"SERVFAIL":                  {rcode: dns.RcodeServerFailure, ttl: -1},
		"BADVERS":                   {rcode: dns.RcodeBadVers, ttl: -1},
		"a TTL with the first bit":  {answer: records{"a.example. 2147483648 A 192.0.2.1"}, ttl: 0},
		"the longest TTL":           {answer: records{"a.example. 2147483647 A 192.0.2.1"}, ttl: 2147483647},
		"signatures count":          {answer: records{"a.example. 30 A 192.0.2.1", "a.example. 20 RRSIG A 8 2 30 20300101000000 20200101000000 1 example. AA=="}, ttl: 20},
		"names that are compressed": {typ: dns.TypeMX, answer: records{"a.example. 30 MX 1 mx.a.example.", "a.example. 29 MX 2 my.a.example."}, ttl: 29},
	} {
		t.Run(what, func(t *testing.T) {
			m := new(dns.Msg).SetQuestion("A.Example.", max(tc.typ, dns.TypeA))
			m.Response, m.Rcode = true, tc.rcode
			for i, section := range []*[]dns.RR{&m.Answer, &m.Ns, &m.Extra} {
				for _, s := range []records{tc.answer, tc.authority, tc.others}[i] {
					*section = append(*section, rr(t, s))
				}
			}
			if tc.rcode > 15 {
				m.SetEdns0(1232, false)
			}
			var p parser
			var got Message
			b := pack(t, m)
			want := Message{Name: "a.example.", Type: m.Question[0].Qtype, Answer: true, Rcode: tc.rcode, TTL: tc.ttl}
			if !p.message(b, &got) {
				t.Fatal("no message")
			}
			same(t, []Message{got}, []Message{want})
			// What is cut off makes the TTL unknown, never longer.
			question := headerLength + len("\x01a\x07example\x00") + 4
			for n := range b {
				ok := p.message(b[:n], &got)
				if ok != (n >= question) || ok && got.TTL != -1 && got.TTL != tc.ttl {
					t.Errorf("cut to %d octets: %v, %+v", n, ok, got)
				}
			}
			if n := testing.AllocsPerRun(10, func() { p.message(b, &got) }); n > 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// TestWireNames has names as miekg/dns writes them.
func TestWireNames(t *testing.T) {
	long := strings.Repeat("x", 63)
	var p parser
	for _, name := range []string{".", "a.", "Upper.Example.", `a\.b.example.`, `a\ b\"c\;\(\)\@\'.example.`, `\000\010\255\127.example.`, `\\.`, "_x._tcp.example.",
		strings.Join([]string{long, long, long, long[:61], ""}, ".")} {
		var m Message
		if !p.message(query(t, name, dns.TypeA), &m) || m.Name != strings.ToLower(name) || m.Answer || m.Rcode != -1 || m.TTL != -1 {
			t.Errorf("%q is %+v", name, m)
		}
	}
}

// TestWireRefused has what is no message.
func TestWireRefused(t *testing.T) {
	good := query(t, "a.example.", dns.TypeA)
	label := []byte(strings.Repeat("\x3f"+strings.Repeat("x", 63), 4))
	for what, b := range map[string][]byte{
		"nothing":      nil,
		"a header":     good[:headerLength],
		"no questions": edit(good, func(b []byte) { b[5] = 0 }),
		"two":          edit(good, func(b []byte) { b[5] = 2 }),
		"NOTIFY":       edit(good, func(b []byte) { b[2] |= 4 << 3 }),
		"CHAOS":        edit(good, func(b []byte) { b[len(b)-1] = 3 }),
		"a pointer":    edit(good, func(b []byte) { b[headerLength] = 0xc0 }),
		"reserved":     edit(good, func(b []byte) { b[headerLength] = 0x41 }),
		"no end":       good[:headerLength+9],
		"256 octets":   append(append(bytes.Clone(good[:headerLength]), label...), 0, 0, 1, 0, 1),
	} {
		var p parser
		var m Message
		if p.message(b, &m) {
			t.Errorf("%s is %+v", what, m)
		}
	}
}

func edit(b []byte, f func([]byte)) []byte {
	b = bytes.Clone(b)
	f(b)
	return b
}

// FuzzMessage compares with miekg/dns, where it unpacks a message.
func FuzzMessage(f *testing.F) {
	f.Add(query(f, "a.example.", dns.TypeA))
	f.Add(answer(f, `b\ c.example.`, 30))
	denial := new(dns.Msg).SetQuestion("a.example.", dns.TypeAAAA)
	denial.Response, denial.Rcode = true, dns.RcodeNameError
	denial.Ns = []dns.RR{rr(f, "example. 300 IN SOA ns.example. root.example. 1 2 3 4 60")}
	denial.SetEdns0(1232, true)
	f.Add(pack(f, denial))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p parser
		var got Message
		ok := p.message(b, &got)
		var m dns.Msg
		if m.Unpack(b) != nil || len(m.Question) != 1 || m.Opcode != dns.OpcodeQuery || m.Question[0].Qclass != dns.ClassINET {
			return
		}
		if b[headerLength] >= 0xc0 {
			return // miekg/dns follows a pointer into the header
		}
		if ok && (got.Name != strings.ToLower(m.Question[0].Name) || got.Type != m.Question[0].Qtype || got.Answer != m.Response) {
			t.Errorf("%+v of %v", got, m.Question)
		}
		least := int64(-1)
		for _, rr := range m.Answer {
			if ttl := int64(rr.Header().Ttl); ttl <= 1<<31-1 && (least < 0 || ttl < least) {
				least = ttl
			} else if ttl > 1<<31-1 {
				least = 0
			}
		}
		if ok && got.TTL > least && least >= 0 {
			t.Errorf("TTL %d of %v", got.TTL, m.Answer)
		}
	})
}
