package records

import (
	"slices"
	"testing"

	"github.com/miekg/dns"
)

func parse(t *testing.T, lines ...string) []dns.RR {
	t.Helper()
	rrs := make([]dns.RR, len(lines))
	for i, line := range lines {
		var err error
		if rrs[i], err = dns.NewRR(line); err != nil {
			t.Fatal(err)
		}
	}
	return rrs
}

func text(rrs []dns.RR) []string {
	out := make([]string, len(rrs))
	for i, rr := range rrs {
		out[i] = rr.String()
	}
	return out
}

// all copies all records with a TTL, in runs, and returns the length of each.
func all(c *Copier, into, from []dns.RR, ttl uint32) (runs []int) {
	for j, n := 0, 0; j < len(from); j += n {
		n = c.Copy(into[j:], from[j:], len(from)-j, ttl)
		runs = append(runs, n)
	}
	return runs
}

// TestCopy has runs of records that are alike, of types that have an array of
// their own and of others, and leaves what they were copied from as it was.
func TestCopy(t *testing.T) {
	from := parse(t,
		"a. 1 A 192.0.2.1", "a. 1 A 192.0.2.2", "a. 2 A 192.0.2.3", "a. 1 AAAA 2001:db8::1", "a. 1 CNAME b.", "a. 1 SRV 0 0 0 b.", "a. 1 SRV 1 0 0 b.",
		"a. 1 SOA b. c. 1 2 3 4 5", "a. 1 RRSIG A 13 1 1 20300101000000 20200101000000 1 a. c2ln", "a. 1 MX 1 b.", "a. 1 MX 2 b.", "a. 1 TXT x", "a. 1 A 192.0.2.4",
		"a. 1 TYPE65300 \\# 1 00", "a. 1 TYPE65301 \\# 1 01")
	before := text(from)
	var c Copier
	into := make([]dns.RR, len(from))
	runs := all(&c, into, from, 30)
	if want := []int{2, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1}; !slices.Equal(runs, want) {
		t.Errorf("runs of %v records, want %v", runs, want)
	}
	for i, rr := range into {
		want := dns.Copy(from[i])
		want.Header().Ttl = 30
		if rr == from[i] || rr.String() != want.String() {
			t.Errorf("%v became %v", from[i], rr)
		}
		rr.Header().Ttl = 99
	}
	if !slices.Equal(text(from), before) {
		t.Errorf("the records are now\n%q, were\n%q", text(from), before)
	}
}

// TestCopyMost stops where it is told to, and goes on in the same array.
func TestCopyMost(t *testing.T) {
	from := parse(t, "a. 1 A 192.0.2.1", "b. 1 A 192.0.2.2", "c. 1 A 192.0.2.3")
	var c Copier
	into := make([]dns.RR, 3)
	if n := c.Copy(into, from, 1, 30); n != 1 || into[1] != nil {
		t.Errorf("copied %d, the second is %v", n, into[1])
	}
	if n := c.Copy(into[1:], from[1:], 2, 40); n != 2 || into[2].Header().Ttl != 40 || into[0].Header().Ttl != 30 {
		t.Errorf("copied %d: %v", n, into)
	}
}

// TestCopyAgain has an array that is used up.
func TestCopyAgain(t *testing.T) {
	var c Copier
	for range 3 {
		for _, from := range [][]dns.RR{parse(t, "a. 1 A 192.0.2.1"), parse(t, "a. 1 MX 1 b.")} {
			into := make([]dns.RR, 1)
			if n := c.Copy(into, from, 1, 30); n != 1 || into[0].Header().Ttl != 30 || into[0] == from[0] {
				t.Errorf("copied %d: %v", n, into)
			}
		}
	}
}

// TestCopyAllocations holds that they do not grow with the number of records.
func TestCopyAllocations(t *testing.T) {
	count := func(n int, lines ...string) float64 {
		var from []dns.RR
		for range n {
			from = append(from, parse(t, lines...)...)
		}
		into := make([]dns.RR, len(from))
		return testing.AllocsPerRun(100, func() {
			var c Copier
			for j, k := 0, 0; j < len(from); j += k {
				k = c.Copy(into[j:], from[j:], len(from)-j, 30)
			}
		})
	}
	for _, lines := range [][]string{{"a. 1 A 192.0.2.1"}, {"a. 1 MX 1 b."}, {"a. 1 SRV 0 0 0 b.", "a. 1 MX 1 b.", "a. 1 AAAA 2001:db8::1"}} {
		if few, many := count(2, lines...), count(200, lines...); few != many {
			t.Errorf("%q: %v allocations for twice, %v for 200 times", lines, few, many)
		}
	}
}

// TestMessage has a copy of a message that the server may append to.
func TestMessage(t *testing.T) {
	m := &dns.Msg{Answer: parse(t, "a. 1 A 192.0.2.1"), Ns: parse(t, "a. 1 NS b."), Extra: parse(t, "b. 1 A 192.0.2.2")}
	m.Id = 7
	var out dns.Msg
	Message(&out, m)
	if out.String() != m.String() {
		t.Errorf("got\n%v\nwant\n%v", &out, m)
	}
	out.Answer = append(out.Answer, new(dns.OPT))
	out.Ns = append(out.Ns, new(dns.OPT))
	out.Answer[0], out.Ns[0], out.Extra[0] = nil, nil, nil
	if text(m.Answer)[0] == "" || m.Answer[0] == nil || m.Ns[0] == nil || m.Extra[0] == nil || len(m.Answer) != 1 {
		t.Errorf("the message is now\n%v", m)
	}
	if first := &out.Extra[:1][0]; &append(out.Extra, new(dns.OPT), new(dns.TSIG))[0] != first {
		t.Error("no room for OPT and TSIG")
	}
}
