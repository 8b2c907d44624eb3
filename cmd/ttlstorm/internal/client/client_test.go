package client

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// response makes a response from words: an rcode, "tc", and records as type and
// TTL, such as "SRV 30"; a SOA has its MINIMUM behind its TTL. "-" is none.
func response(t *testing.T, text string) *dns.Msg {
	t.Helper()
	if text == "-" {
		return nil
	}
	m := new(dns.Msg)
	words := strings.Fields(text)
	for i := 0; i < len(words); i++ {
		word := words[i]
		if rcode, ok := dns.StringToRcode[word]; ok {
			m.Rcode = rcode
			continue
		}
		if word == "tc" {
			m.Truncated = true
			continue
		}
		i++
		rdata := map[string]string{
			"SRV": "0 0 1 t.example.", "A": "192.0.2.1", "AAAA": "2001:db8::1", "CNAME": "t.example.",
			"SOA": "ns.example. h.example. 1 2 3 4 ",
		}[word]
		if word == "SOA" {
			rdata += words[i+1]
		}
		rr, err := dns.NewRR(fmt.Sprintf("a.example. %s %s %s", words[i], word, rdata))
		if err != nil {
			t.Fatal(err)
		}
		if word == "SOA" {
			i++
			m.Ns = append(m.Ns, rr)
			continue
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

// TestModels goes through what each model asks and how long it waits.
func TestModels(t *testing.T) {
	const srv, a, aaaa, tcp = "SRV", "A", "AAAA", "tcp "
	type step struct {
		query, response string
		lo, hi          time.Duration // of the wait; hi is lo where it is 0
	}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for _, tt := range []struct {
		name, model, qtype string
		steps              []step
	}{
		{"waits for the TTL", "linkerd-unpatched", "", []step{{srv, "SRV 30", ms(30000), 0}, {srv, "SRV 7", ms(7000), 0}}},
		{"spins on TTL 0", "linkerd-unpatched", "", []step{{srv, "SRV 0", 0, 0}, {srv, "SRV 0", 0, 0}}},
		{"least TTL of the RRset and of CNAMEs", "linkerd-unpatched", "", []step{
			{srv, "CNAME 9 SRV 30 SRV 20", ms(9000), 0}, {srv, "SRV 30 SRV 20 A 3", ms(20000), 0}}},
		{"addresses where SRV fails", "linkerd-unpatched", "", []step{
			{srv, "NXDOMAIN", 0, 0}, {a, "A 30", 0, 0}, {aaaa, "AAAA 20", ms(20000), 0},
			{srv, "SERVFAIL", 0, 0}, {a, "A 30", 0, 0}, {aaaa, "SOA 5 5", ms(30000), 0}, {srv, "SRV 1", ms(1000), 0}}},
		{"negative TTL", "linkerd-unpatched", "", []step{
			{srv, "NXDOMAIN SOA 30 5", 0, 0}, {a, "NXDOMAIN SOA 9 30", 0, 0}, {aaaa, "NXDOMAIN SOA 30 7", ms(5000), 0},
			{srv, "SOA 0 0", 0, 0}, {a, "SOA 0 0", 0, 0}, {aaaa, "SOA 0 0", 0, 0}, {srv, "SRV 1", ms(1000), 0}}},
		{"back-off without a SOA", "linkerd-unpatched", "", []step{
			{srv, "NXDOMAIN", 0, 0}, {a, "SERVFAIL", 0, 0}, {aaaa, "NXDOMAIN", ms(90), ms(100)},
			{srv, "SERVFAIL", 0, 0}, {a, "REFUSED", 0, 0}, {aaaa, "SERVFAIL", ms(180), ms(200)},
			{srv, "SRV 30", ms(30000), 0},
			{srv, "SERVFAIL", 0, 0}, {a, "SERVFAIL", 0, 0}, {aaaa, "SERVFAIL", ms(90), ms(100)}}},
		{"no response, twice", "linkerd-unpatched", "", []step{
			{srv, "-", 0, 0}, {srv, "SRV 30", ms(30000), 0},
			{srv, "-", 0, 0}, {srv, "-", 0, 0}, {a, "-", 0, 0}, {a, "A 4", 0, 0}, {aaaa, "-", 0, 0}, {aaaa, "-", ms(4000), 0}}},
		{"truncation", "linkerd-unpatched", "", []step{
			{srv, "tc", 0, 0}, {tcp + srv, "SRV 30", ms(30000), 0}, {srv, "tc SRV 1", 0, 0}, {tcp + srv, "tc SRV 2", ms(2000), 0}}},
		{"a type of one's own", "linkerd-unpatched", "A", []step{{a, "A 4", ms(4000), 0}, {a, "SERVFAIL", ms(90), ms(100)}, {a, "A 1", ms(1000), 0}}},
		{"SRV named", "linkerd-unpatched", "SRV", []step{{srv, "SERVFAIL", 0, 0}, {a, "A 4", 0, 0}, {aaaa, "SERVFAIL", ms(4000), 0}}},

		{"minimum of 5 s", "linkerd", "", []step{{srv, "SRV 0", ms(5000), 0}, {srv, "SRV 6", ms(6000), 0}}},
		{"minimum of 5 s for negative answers", "linkerd", "", []step{
			{srv, "SOA 0 0", 0, 0}, {a, "SOA 0 0", 0, 0}, {aaaa, "SOA 0 0", ms(5000), 0},
			{srv, "SOA 8 9", 0, 0}, {a, "SOA 8 9", 0, 0}, {aaaa, "SOA 8 9", ms(8000), 0}}},
		{"back-off is not raised", "linkerd", "", []step{{srv, "SERVFAIL", 0, 0}, {a, "SERVFAIL", 0, 0}, {aaaa, "SERVFAIL", ms(90), ms(100)}}},

		{"TTL", "envoy", "", []step{{a, "A 30", ms(30000), 0}, {a, "A 1", ms(1000), 0}}},
		{"TTL 0 is 5 s", "envoy", "", []step{{a, "A 0", ms(5000), 0}}},
		{"failures are 5 s", "envoy", "", []step{
			{a, "NXDOMAIN SOA 1 1", ms(5000), 0}, {a, "SERVFAIL", ms(5000), 0}, {a, "-", 0, 0}, {a, "-", ms(5000), 0},
			{a, "SOA 1 1", ms(5000), 0}, {a, "SERVFAIL", ms(5000), 0}, {a, "A 3", ms(3000), 0}}},
		{"jitter after a failure", "envoy-jitter", "", []step{{a, "NXDOMAIN", ms(5000), ms(5100)}}},
		{"truncation", "envoy", "", []step{{a, "tc", 0, 0}, {tcp + a, "A 30", ms(30000), 0}}},
		{"jitter after a success", "envoy-jitter", "", []step{{a, "A 30", ms(30000), ms(30100)}, {a, "A 0", ms(5000), ms(5100)}}},

		{"TTL and up to 4 s", "servicetalk", "", []step{
			{a, "A 30", 0, 0}, {aaaa, "SOA 1 1", ms(30000), ms(34000)}, {a, "A 30", 0, 0}, {aaaa, "AAAA 20", ms(20000), ms(24000)}}},
		{"within 10 s and 300 s", "servicetalk", "", []step{
			{a, "A 0", 0, 0}, {aaaa, "AAAA 0", ms(10000), ms(14000)}, {a, "A 4000", 0, 0}, {aaaa, "NXDOMAIN", ms(300000), ms(304000)}}},
		{"failures back off", "servicetalk", "", []step{
			{a, "SERVFAIL", 0, 0}, {aaaa, "NXDOMAIN", 0, ms(1000)}, {a, "tc", 0, 0}, {tcp + a, "SERVFAIL", 0, 0}, {aaaa, "-", 0, 0}, {aaaa, "-", 0, ms(2000)}}},

		{"whatever the TTL", "stub", "", []step{
			{a, "A 0", 0, 0}, {aaaa, "AAAA 0", ms(30000), 0}, {a, "A 4000", 0, 0}, {aaaa, "NXDOMAIN", ms(30000), 0}}},
		{"whatever happens", "stub", "", []step{
			{a, "SERVFAIL", 0, 0}, {aaaa, "NXDOMAIN SOA 1 1", ms(30000), 0}, {a, "tc", 0, 0}, {tcp + a, "A 1", 0, 0},
			{aaaa, "-", 0, 0}, {aaaa, "-", ms(30000), 0}}},
	} {
		t.Run(tt.model+"/"+tt.name, func(t *testing.T) {
			m, err := ByName(tt.model)
			if err != nil {
				t.Fatal(err)
			}
			for seed := range uint64(20) {
				c := m.New(dns.StringToType[tt.qtype], rand.New(rand.NewPCG(seed, 1)))
				for i, s := range tt.steps {
					q := c.Query()
					got := dns.TypeToString[q.Type]
					if q.TCP {
						got = tcp + got
					}
					if got != s.query {
						t.Fatalf("query %d is %s, want %s", i, got, s.query)
					}
					wait := c.Done(response(t, s.response))
					if wait < s.lo || wait > max(s.lo, s.hi) {
						t.Fatalf("after query %d it waits %v, want %v to %v", i, wait, s.lo, max(s.lo, s.hi))
					}
				}
			}
		})
	}
}

// TestSpread checks that what is drawn reaches both halves of its range.
func TestSpread(t *testing.T) {
	for model, lo := range map[string]time.Duration{"envoy-jitter": 30 * time.Second, "servicetalk": 30 * time.Second} {
		m, _ := ByName(model)
		c := m.New(dns.TypeA, rand.New(rand.NewPCG(1, 1)))
		width := map[string]time.Duration{"envoy-jitter": 100 * time.Millisecond, "servicetalk": 4 * time.Second}[model]
		low := 0
		for range 1000 {
			if c.Done(response(t, "A 30")) < lo+width/2 {
				low++
			}
		}
		if low < 400 || low > 600 {
			t.Errorf("%s: %d of 1000 waits are in the lower half", model, low)
		}
	}
}

func TestByName(t *testing.T) {
	if _, err := ByName("linked"); err == nil || !strings.Contains(err.Error(), `"linked"; there are linkerd-unpatched, linkerd, envoy`) {
		t.Errorf("error %v, want one that names the model and those that there are", err)
	}
}
