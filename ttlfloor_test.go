package ttlfloor

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"

	"github.com/miekg/dns"
)

// Records for the tables. In a synctest bubble it is midnight, 1 January 2000.
const (
	zoneSOA    = "ns.example. hostmaster.example. 1 7200 1800 86400"
	inTwoYears = "20020101000000"
)

func rrsig(owner, ttl, covered, original, expiration string) string {
	return owner + " " + ttl + " RRSIG " + covered + " 13 2 " + original + " " + expiration + " 19991201000000 1 example. c2ln"
}

// TestRewrite has a row for each sentence of the contract about what happens to
// a response, with a window of one TTL or none, so that the TTL is known.
func TestRewrite(t *testing.T) {
	const (
		floor30 = "ttlfloor 30s example {\n jitter off\n }"
		spread  = "ttlfloor 30s example {\n jitter 100% 100% random\n }" // from the base m: 2m, at least one second wide
	)
	for _, tt := range []struct {
		name       string
		directives string
		qtype      uint16 // A if it is not given
		in, want   []string
		outcome    outcome
	}{
		{
			name: "a TTL of 0 becomes zero", directives: "ttlfloor 30s example {\n zero 40s\n jitter off\n }",
			in:   []string{"answer a.example. 0 A 192.0.2.1"},
			want: []string{"answer a.example. 40 A 192.0.2.1"}, outcome: raised,
		},
		{
			name: "zero is FLOOR by default", directives: floor30,
			in:   []string{"answer a.example. 0 A 192.0.2.1"},
			want: []string{"answer a.example. 30 A 192.0.2.1"}, outcome: raised,
		},
		{
			name: "a TTL below FLOOR becomes FLOOR", directives: floor30,
			in:   []string{"answer a.example. 29 A 192.0.2.1"},
			want: []string{"answer a.example. 30 A 192.0.2.1"}, outcome: raised,
		},
		{
			name: "a TTL from FLOOR on stays", directives: floor30,
			in:   []string{"answer a.example. 30 A 192.0.2.1"},
			want: []string{"answer a.example. 30 A 192.0.2.1"}, outcome: unchanged,
		},
		{
			name: "a TTL with the high bit is large, capped at 7 days", directives: floor30,
			in:   []string{"answer a.example. 4294967295 A 192.0.2.1"},
			want: []string{"answer a.example. 604800 A 192.0.2.1"}, outcome: jittered,
		},
		{
			name: "the greatest TTL without it is a TTL like others", directives: floor30,
			in:   []string{"answer a.example. 2147483647 A 192.0.2.1"},
			want: []string{"answer a.example. 2147483647 A 192.0.2.1"}, outcome: unchanged,
		},
		{
			name: "records whose base is the lowest take the TTL drawn, others keep theirs", directives: spread, qtype: dns.TypeSRV,
			in: []string{
				"answer s.example. 0 SRV 0 0 80 a.example.", "answer s.example. 0 SRV 0 0 80 b.example.",
				"authority example. 3600 NS ns.example.", "additional a.example. 20 A 192.0.2.1", "additional b.example. 31 A 192.0.2.2",
			},
			want: []string{
				"answer s.example. 60|61 SRV 0 0 80 a.example.", "answer s.example. 60|61 SRV 0 0 80 b.example.",
				"authority example. 3600 NS ns.example.", "additional a.example. 60|61 A 192.0.2.1", "additional b.example. 60|61 A 192.0.2.2",
			}, outcome: raised,
		},
		{
			name: "a chain of CNAMEs expires together", directives: floor30,
			in:   []string{"answer a.example. 5 CNAME b.example.", "answer b.example. 10 CNAME c.example.", "answer c.example. 0 A 192.0.2.1"},
			want: []string{"answer a.example. 30 CNAME b.example.", "answer b.example. 30 CNAME c.example.", "answer c.example. 30 A 192.0.2.1"}, outcome: raised,
		},
		{
			name: "what is spread but was not low is jittered", directives: spread,
			in:   []string{"answer a.example. 300 A 192.0.2.1"},
			want: []string{"answer a.example. 600|601 A 192.0.2.1"}, outcome: jittered,
		},
		{
			name: "max is the greatest TTL that goes out", directives: "ttlfloor 30s example {\n max 60s\n jitter off\n }",
			in:   []string{"answer a.example. 5 A 192.0.2.1", "authority example. 3600 NS ns.example."},
			want: []string{"answer a.example. 30 A 192.0.2.1", "authority example. 60 NS ns.example."}, outcome: capped,
		},
		{
			name: "a window above max slides down under it", directives: "ttlfloor 30s example {\n max 40s\n jitter 50% 52%\n }",
			in:   []string{"answer a.example. 5 A 192.0.2.1"},
			want: []string{"answer a.example. 39|40 A 192.0.2.1"}, outcome: capped,
		},
		{
			name: "a negative LOW lowers a TTL, but not below FLOOR", directives: "ttlfloor 30s example {\n jitter -90% -90%\n }",
			in:   []string{"answer a.example. 40 A 192.0.2.1"},
			want: []string{"answer a.example. 30|31 A 192.0.2.1"}, outcome: jittered,
		},
		{
			name: "OPT, TSIG, SIG and TKEY are never touched", directives: floor30,
			in:   []string{"answer a.example. 5 A 192.0.2.1", "additional . 0 OPT", "additional key. 0 TSIG", "additional . 0 SIG", "additional key. 0 TKEY"},
			want: []string{"answer a.example. 30 A 192.0.2.1", "additional . 0 OPT", "additional key. 0 TSIG", "additional . 0 SIG", "additional key. 0 TKEY"}, outcome: raised,
		},
		{
			name: "NXDOMAIN: the SOA gets the negative floor, and MINIMUM is raised with it", directives: floor30,
			in:   []string{"NXDOMAIN", "authority example. 0 SOA " + zoneSOA + " 0"},
			want: []string{"NXDOMAIN", "authority example. 5 SOA " + zoneSOA + " 5"}, outcome: raised,
		},
		{
			name: "NODATA is NOERROR with a SOA and no record of the type", directives: floor30, qtype: dns.TypeAAAA,
			in:   []string{"answer a.example. 60 CNAME b.example.", "authority example. 2 SOA " + zoneSOA + " 1"},
			want: []string{"answer a.example. 60 CNAME b.example.", "authority example. 5 SOA " + zoneSOA + " 5"}, outcome: raised,
		},
		{
			name: "an answer of the type with a SOA in the authority section is positive", directives: floor30,
			in:   []string{"answer a.example. 60 A 192.0.2.1", "authority example. 2 SOA " + zoneSOA + " 1"},
			want: []string{"answer a.example. 60 A 192.0.2.1", "authority example. 30 SOA " + zoneSOA + " 1"}, outcome: raised,
		},
		{
			name: "any record answers ANY", directives: floor30, qtype: dns.TypeANY,
			in:   []string{"answer a.example. 60 A 192.0.2.1", "authority example. 60 SOA " + zoneSOA + " 1"},
			want: []string{"answer a.example. 60 A 192.0.2.1", "authority example. 60 SOA " + zoneSOA + " 1"}, outcome: unchanged,
		},
		{
			name: "other rcodes are not negative", directives: floor30,
			in:   []string{"YXDOMAIN", "authority example. 2 SOA " + zoneSOA + " 1"},
			want: []string{"YXDOMAIN", "authority example. 30 SOA " + zoneSOA + " 1"}, outcome: raised,
		},
		{
			name: "the negative TTL is the lesser of TTL and MINIMUM", directives: floor30,
			in:   []string{"NXDOMAIN", "authority example. 3600 SOA " + zoneSOA + " 60"},
			want: []string{"NXDOMAIN", "authority example. 60 SOA " + zoneSOA + " 60"}, outcome: jittered,
		},
		{
			name: "the SOA of a negative answer is spread, with MINIMUM", directives: spread,
			in:   []string{"NXDOMAIN", "authority example. 20 SOA " + zoneSOA + " 300"},
			want: []string{"NXDOMAIN", "authority example. 40|41 SOA " + zoneSOA + " 300"}, outcome: jittered,
		},
		{
			name: "NSEC and NSEC3 follow the SOA, and so do their signatures", directives: floor30,
			in: []string{
				"NXDOMAIN", "authority example. 600 SOA " + zoneSOA + " 300", "authority a.example. 1 NSEC c.example. A",
				"authority 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. 1 NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
				"authority " + rrsig("a.example.", "1", "NSEC", "7200", inTwoYears), "authority " + rrsig("example.", "1", "NS", "7200", inTwoYears),
			},
			want: []string{
				"NXDOMAIN", "authority example. 300 SOA " + zoneSOA + " 300", "authority a.example. 300 NSEC c.example. A",
				"authority 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. 300 NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
				"authority " + rrsig("a.example.", "300", "NSEC", "7200", inTwoYears), "authority " + rrsig("example.", "30", "NS", "7200", inTwoYears),
			}, outcome: raised,
		},
		{
			name: "MINIMUM of a signed SOA stays and caps the TTL", directives: "ttlfloor 30s example {\n negative 60s\n jitter off\n }",
			in:   []string{"NXDOMAIN", "authority example. 3600 SOA " + zoneSOA + " 20", "authority " + rrsig("example.", "3600", "SOA", "3600", inTwoYears)},
			want: []string{"NXDOMAIN", "authority example. 20 SOA " + zoneSOA + " 20", "authority " + rrsig("example.", "20", "SOA", "3600", inTwoYears)}, outcome: capped,
		},
		{
			name: "two SOAs share the lower negative TTL", directives: floor30,
			in:   []string{"NXDOMAIN", "authority example. 600 SOA " + zoneSOA + " 300", "authority example. 60 SOA " + zoneSOA + " 300"},
			want: []string{"NXDOMAIN", "authority example. 60 SOA " + zoneSOA + " 300", "authority example. 60 SOA " + zoneSOA + " 300"}, outcome: jittered,
		},
		{
			name: "a SOA outside the authority section is a record like others", directives: floor30,
			in:   []string{"NXDOMAIN", "answer example. 2 SOA " + zoneSOA + " 1", "additional example. 60 SOA " + zoneSOA + " 1"},
			want: []string{"NXDOMAIN", "answer example. 30 SOA " + zoneSOA + " 1", "additional example. 60 SOA " + zoneSOA + " 1"}, outcome: raised,
		},
		{
			name: "NXDOMAIN without a SOA has records like others", directives: floor30,
			in:   []string{"NXDOMAIN", "authority a.example. 1 NSEC c.example. A"},
			want: []string{"NXDOMAIN", "authority a.example. 30 NSEC c.example. A"}, outcome: raised,
		},
		{
			name: "negative off leaves negative answers alone", directives: "ttlfloor 30s example {\n negative off\n }",
			in:   []string{"NXDOMAIN", "answer a.example. 1 CNAME b.example.", "authority example. 0 SOA " + zoneSOA + " 0"},
			want: []string{"NXDOMAIN", "answer a.example. 1 CNAME b.example.", "authority example. 0 SOA " + zoneSOA + " 0"}, outcome: unchanged,
		},
		{
			name: "the floor of the lower of CNAME and SOA applies", directives: "ttlfloor 30s example {\n negative 10s\n jitter -50% -50%\n }", qtype: dns.TypeAAAA,
			in:   []string{"answer a.example. 30 CNAME b.example.", "authority example. 16 SOA " + zoneSOA + " 16"},
			want: []string{"answer a.example. 30 CNAME b.example.", "authority example. 10|11 SOA " + zoneSOA + " 16"}, outcome: jittered,
		},
		{
			name: "and the higher one if they are equal", directives: "ttlfloor 30s example {\n negative 10s\n jitter -50% -50%\n }", qtype: dns.TypeAAAA,
			in:   []string{"answer a.example. 40 CNAME b.example.", "authority example. 40 SOA " + zoneSOA + " 40"},
			want: []string{"answer a.example. 30|31 CNAME b.example.", "authority example. 30|31 SOA " + zoneSOA + " 40"}, outcome: jittered,
		},
		{
			name: "Original TTL is a ceiling that wins over the floor", directives: "ttlfloor 60s example",
			in:   []string{"answer a.example. 5 A 192.0.2.1", "answer " + rrsig("a.example.", "5", "A", "20", inTwoYears)},
			want: []string{"answer a.example. 20 A 192.0.2.1", "answer " + rrsig("a.example.", "20", "A", "20", inTwoYears)}, outcome: capped,
		},
		{
			name: "and so without jitter", directives: "ttlfloor 60s example {\n jitter off\n }",
			in:   []string{"answer a.example. 5 A 192.0.2.1", "answer " + rrsig("a.example.", "5", "A", "20", inTwoYears)},
			want: []string{"answer a.example. 20 A 192.0.2.1", "answer " + rrsig("a.example.", "20", "A", "20", inTwoYears)}, outcome: capped,
		},
		{
			name: "time to expiration is a ceiling", directives: "ttlfloor 60s example",
			in:   []string{"answer a.example. 5 A 192.0.2.1", "answer " + rrsig("a.example.", "5", "A", "3600", "20000101000007")},
			want: []string{"answer a.example. 7 A 192.0.2.1", "answer " + rrsig("a.example.", "7", "A", "3600", "20000101000007")}, outcome: capped,
		},
		{
			name: "the window slides down under the ceiling of DNSSEC", directives: "ttlfloor 30s example {\n jitter 50% 52%\n }",
			in:   []string{"answer a.example. 30 A 192.0.2.1", "answer " + rrsig("a.example.", "30", "A", "35", inTwoYears)},
			want: []string{"answer a.example. 34|35 A 192.0.2.1", "answer " + rrsig("a.example.", "34|35", "A", "35", inTwoYears)}, outcome: capped,
		},
		{
			name: "the least ceiling over all signatures counts", directives: floor30,
			in: []string{
				"answer a.example. 5 A 192.0.2.1", "answer " + rrsig("a.example.", "5", "A", "25", inTwoYears),
				"authority example. 5 NS ns.example.", "authority " + rrsig("example.", "5", "NS", "3600", "20000101000010"),
			},
			want: []string{
				"answer a.example. 10 A 192.0.2.1", "answer " + rrsig("a.example.", "10", "A", "25", inTwoYears),
				"authority example. 10 NS ns.example.", "authority " + rrsig("example.", "10", "NS", "3600", "20000101000010"),
			}, outcome: capped,
		},
		{
			name: "a ceiling lowers no TTL but those of the lowest base", directives: floor30,
			in:   []string{"answer a.example. 300 A 192.0.2.1", "answer " + rrsig("a.example.", "300", "A", "300", inTwoYears), "authority example. 3600 NS ns.example."},
			want: []string{"answer a.example. 300 A 192.0.2.1", "answer " + rrsig("a.example.", "300", "A", "300", inTwoYears), "authority example. 3600 NS ns.example."}, outcome: unchanged,
		},
		{
			name: "an expired signature leaves no time", directives: floor30,
			in:   []string{"answer a.example. 5 A 192.0.2.1", "answer " + rrsig("a.example.", "5", "A", "3600", "19991231000000")},
			want: []string{"answer a.example. 0 A 192.0.2.1", "answer " + rrsig("a.example.", "0", "A", "3600", "19991231000000")}, outcome: capped,
		},
		{
			name: "an Original TTL of 0 neither, whatever zero is", directives: "ttlfloor 30s example",
			in:   []string{"answer a.example. 0 A 192.0.2.1", "answer " + rrsig("a.example.", "0", "A", "0", inTwoYears)},
			want: []string{"answer a.example. 0 A 192.0.2.1", "answer " + rrsig("a.example.", "0", "A", "0", inTwoYears)}, outcome: unchanged,
		},
		{
			name: "a signature that is not valid yet has its ceilings too", directives: floor30,
			in:   []string{"answer a.example. 5 A 192.0.2.1", "answer a.example. 5 RRSIG A 13 2 20 20020101000000 20010101000000 1 example. c2ln"},
			want: []string{"answer a.example. 20 A 192.0.2.1", "answer a.example. 20 RRSIG A 13 2 20 20020101000000 20010101000000 1 example. c2ln"}, outcome: capped,
		},
		{
			name: "an answer to another question: the client's own decides", directives: floor30,
			in:   []string{"answer b.test. 5 A 192.0.2.1"},
			want: []string{"answer b.test. 30 A 192.0.2.1"}, outcome: raised,
		},
		{
			name: "a message without records", directives: floor30,
			in: nil, want: nil, outcome: unchanged,
		},
		{
			name: "a referral", directives: floor30,
			in:   []string{"authority sub.example. 5 NS ns.sub.example.", "additional ns.sub.example. 5 A 192.0.2.1"},
			want: []string{"authority sub.example. 30 NS ns.sub.example.", "additional ns.sub.example. 30 A 192.0.2.1"}, outcome: raised,
		},
		{
			name: "records of every kind of copy", directives: floor30, qtype: dns.TypeANY,
			in: []string{
				"answer a.example. 1 A 192.0.2.1", "answer a.example. 1 AAAA 2001:db8::1", "answer a.example. 1 CNAME b.example.", "answer a.example. 1 NS b.example.",
				"answer a.example. 1 PTR b.example.", "answer a.example. 1 SRV 0 0 0 b.example.", "answer a.example. 1 MX 1 b.example.", "answer a.example. 1 MX 2 b.example.",
				"answer a.example. 1 TXT \"x\"", "answer a.example. 1 TYPE65300 \\# 1 00", "answer a.example. 1 A 192.0.2.2", "answer a.example. 1 TXT \"y\"",
			},
			want: []string{
				"answer a.example. 30 A 192.0.2.1", "answer a.example. 30 AAAA 2001:db8::1", "answer a.example. 30 CNAME b.example.", "answer a.example. 30 NS b.example.",
				"answer a.example. 30 PTR b.example.", "answer a.example. 30 SRV 0 0 0 b.example.", "answer a.example. 30 MX 1 b.example.", "answer a.example. 30 MX 2 b.example.",
				"answer a.example. 30 TXT \"x\"", "answer a.example. 30 TYPE65300 \\# 1 00", "answer a.example. 30 A 192.0.2.2", "answer a.example. 30 TXT \"y\"",
			}, outcome: raised,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.qtype == 0 {
					tt.qtype = dns.TypeA
				}
				in, before := message(t, tt.in...), message(t, tt.in...)
				h := newTTLFloor(t, tt.directives, respond(in))
				h.place.Store(&place{view: tt.name})
				t.Cleanup(func() { meters.retain(inUse) })

				out := exchange(t, h, "a.example.", tt.qtype)
				checkText(t, text(out), tt.want)
				if text(in) != text(before) {
					t.Errorf("the message from below was written to:\n%s", text(in))
				}
				if (out == in) != (tt.outcome == unchanged) {
					t.Errorf("same message: %v, want %v", out == in, tt.outcome == unchanged)
				}
				m := meters.get(labels{zone: "example.", view: tt.name})
				for o := range outcomes {
					want := uint64(0)
					if o == tt.outcome {
						want = 1
					}
					if got := m.responses[o].Load(); got != want {
						t.Errorf("outcome %s counted %d times, want %d", outcomeNames[o], got, want)
					}
				}
			})
		})
	}
}

// checkText compares a message with lines in which a TTL may be one of two,
// "33|34", but the same one in all of them.
func checkText(t *testing.T, got string, want []string) {
	t.Helper()
	var low, high strings.Builder
	m := func(pick int) string {
		lines := make([]string, len(want))
		for i, line := range want {
			words := strings.Split(line, " ")
			for j, word := range words {
				if ttls := strings.Split(word, "|"); len(ttls) == 2 {
					words[j] = ttls[pick]
				}
			}
			lines[i] = strings.Join(words, " ")
		}
		return text(message(t, lines...))
	}
	low.WriteString(m(0))
	high.WriteString(m(1))
	if got != low.String() && got != high.String() {
		t.Errorf("got\n%swant\n%sor\n%s", got, low.String(), high.String())
	}
}

// TestUntouched has what passes without even being wrapped.
func TestUntouched(t *testing.T) {
	m := message(t, "answer a.example. 0 A 192.0.2.1")
	query := func(edit func(*dns.Msg)) *dns.Msg {
		r := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
		edit(r)
		return r
	}
	for name, r := range map[string]*dns.Msg{
		"opcode":      query(func(r *dns.Msg) { r.Opcode = dns.OpcodeNotify }),
		"class":       query(func(r *dns.Msg) { r.Question[0].Qclass = dns.ClassCHAOS }),
		"AXFR":        query(func(r *dns.Msg) { r.Question[0].Qtype = dns.TypeAXFR }),
		"IXFR":        query(func(r *dns.Msg) { r.Question[0].Qtype = dns.TypeIXFR }),
		"no rule":     query(func(r *dns.Msg) { r.Question[0].Name = "a.example.org." }),
		"no question": query(func(r *dns.Msg) { r.Question = nil }),
		"nil":         nil,
	} {
		t.Run(name, func(t *testing.T) {
			wrapped := false
			next := plugin.HandlerFunc(func(ctx context.Context, w dns.ResponseWriter, _ *dns.Msg) (int, error) {
				wrapped = ctx.Value(innerKey{}) != nil
				return 0, w.WriteMsg(m)
			})
			w := dnstest.NewRecorder(&test.ResponseWriter{})
			if _, err := newTTLFloor(t, "ttlfloor 30s example", next).ServeDNS(context.Background(), w, r); err != nil {
				t.Fatal(err)
			}
			if wrapped || w.Msg != m {
				t.Errorf("wrapped %v, same message %v", wrapped, w.Msg == m)
			}
		})
	}
}

// TestPassedOn has what a plugin below may do that there is nothing to rewrite
// in.
func TestPassedOn(t *testing.T) {
	serve := func(t *testing.T, write func(dns.ResponseWriter) error) *dnstest.Recorder {
		t.Helper()
		w := dnstest.NewRecorder(&test.ResponseWriter{})
		next := plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, _ *dns.Msg) (int, error) { return 0, write(w) })
		if _, err := newTTLFloor(t, "ttlfloor 30s example", next).ServeDNS(context.Background(), w, new(dns.Msg).SetQuestion("a.example.", dns.TypeA)); err != nil {
			t.Fatal(err)
		}
		return w
	}
	t.Run("a packed message is counted", func(t *testing.T) {
		m := meters.get(labels{zone: "example."})
		before := m.responses[raw].Load()
		w := serve(t, func(w dns.ResponseWriter) error { _, err := w.Write([]byte("packed")); return err })
		if w.Len != len("packed") || m.responses[raw].Load() != before+1 {
			t.Errorf("wrote %d octets, counted %d", w.Len, m.responses[raw].Load()-before)
		}
	})
	t.Run("nil records", func(t *testing.T) {
		a := message(t, "answer a.example. 1 A 192.0.2.1").Answer[0]
		in := &dns.Msg{Answer: []dns.RR{nil, a, nil}, Ns: []dns.RR{nil}, Extra: []dns.RR{nil, nil}}
		out := serve(t, func(w dns.ResponseWriter) error { return w.WriteMsg(in) }).Msg
		if len(out.Answer) != 3 || out.Answer[0] != nil || out.Answer[1].Header().Ttl < 30 || len(out.Ns) != 1 || len(out.Extra) != 2 {
			t.Errorf("got %v", out)
		}
	})
	t.Run("no response", func(t *testing.T) {
		if w := serve(t, func(dns.ResponseWriter) error { return nil }); w.Msg != nil {
			t.Errorf("got %v", w.Msg)
		}
	})
	t.Run("nil message", func(t *testing.T) {
		written := false
		w := &responseWriter{ResponseWriter: writerFunc{write: func(m *dns.Msg) error { written = m == nil; return nil }}}
		if err := w.WriteMsg(nil); err != nil || !written {
			t.Errorf("written %v, error %v", written, err)
		}
	})
	t.Run("no next plugin", func(t *testing.T) {
		rcode, err := newTTLFloor(t, "ttlfloor 30s example", nil).ServeDNS(context.Background(), &test.ResponseWriter{}, new(dns.Msg).SetQuestion("a.example.", dns.TypeA))
		if rcode != dns.RcodeServerFailure || err == nil {
			t.Errorf("got %s, %v", dns.RcodeToString[rcode], err)
		}
	})
}

// writerFunc is a ResponseWriter that only WriteMsg may be called of.
type writerFunc struct {
	dns.ResponseWriter
	write func(*dns.Msg) error
}

func (f writerFunc) WriteMsg(m *dns.Msg) error { return f.write(m) }

// byValue and behind are records of another package, which keep their header
// elsewhere.
type (
	byValue struct{ *dns.A }
	behind  struct{ *dns.A }
)

func TestForeignRecords(t *testing.T) {
	a := message(t, "answer a.example. 1 A 192.0.2.1", "answer a.example. 1 A 192.0.2.2").Answer
	in := &dns.Msg{Answer: []dns.RR{byValue{a[0].(*dns.A)}, &behind{a[1].(*dns.A)}}}
	before := text(in)
	out := exchange(t, newTTLFloor(t, "ttlfloor 30s example {\n jitter off\n }", respond(in)), "a.example.", dns.TypeA)
	checkText(t, text(out), []string{"answer a.example. 30 A 192.0.2.1", "answer a.example. 30 A 192.0.2.2"})
	if text(in) != before {
		t.Errorf("the message was written to:\n%s", text(in))
	}
}

// TestShared hands the same message to many clients at once, as *cache* and
// *file* do with their records; -race sees any write to it.
func TestShared(t *testing.T) {
	in := srvAnswer(t, 20, 5)
	before := text(in)
	h := newTTLFloor(t, "ttlfloor 30s cluster.local", respond(in))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				out := exchange(t, h, "dst.linkerd.svc.cluster.local.", dns.TypeSRV)
				for _, rr := range slices.Concat(out.Answer, out.Extra) {
					if ttl := rr.Header().Ttl; ttl != out.Answer[0].Header().Ttl || ttl < 33 || ttl > 45 {
						t.Errorf("TTL %d", ttl)
					}
				}
				out.Extra = append(out.Extra, new(dns.OPT)) // as the server does
				out.Answer[0].Header().Ttl = 0
			}
		})
	}
	wg.Wait()
	if text(in) != before {
		t.Errorf("the message was written to:\n%s", text(in))
	}
}

// TestAllocations holds the promise that allocations do not grow with the
// number of records, and that there is only the writer if nothing changes.
func TestAllocations(t *testing.T) {
	allocs := func(directives string, m *dns.Msg, name string) float64 {
		h := newTTLFloor(t, directives, respond(m))
		r := new(dns.Msg).SetQuestion(name, dns.TypeSRV)
		var w sink
		return testing.AllocsPerRun(100, func() {
			if _, err := h.ServeDNS(context.Background(), &w, r); err != nil {
				t.Fatal(err)
			}
		})
	}
	const name = "dst.linkerd.svc.cluster.local."
	mixed := func(n int) *dns.Msg { // types that take turns, with one that is copied by reflection
		m := new(dns.Msg)
		for range n {
			m.Answer = append(m.Answer, message(t,
				"answer "+name+" 1 SRV 0 0 0 a.example.", "answer "+name+" 1 MX 1 a.example.", "answer "+rrsig(name, "1", "SRV", "300", "20800101000000")).Answer...)
		}
		return m
	}
	if few, many := allocs("ttlfloor 30s .", srvAnswer(t, 3, 5), name), allocs("ttlfloor 30s .", srvAnswer(t, 200, 5), name); few > 6 || many > 6 {
		t.Errorf("changed: %v allocations for 6 records, %v for 400, want at most 6", few, many)
	}
	if few, many := allocs("ttlfloor 30s .", mixed(2), name), allocs("ttlfloor 30s .", mixed(100), name); few != many {
		t.Errorf("changed, mixed types: %v allocations for 6 records, %v for 300", few, many)
	}
	const both = 2 // ours, and that of plugin.NextOrFailure
	if got := allocs("ttlfloor 5s .", srvAnswer(t, 20, 3600), name); got > both+3 {
		t.Errorf("jittered: %v allocations", got)
	}
	if got := allocs("ttlfloor 5s . {\n jitter off\n }", srvAnswer(t, 20, 5), name); got != both {
		t.Errorf("unchanged: %v allocations, want %d", got, both)
	}
}
