package ttlfloor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Records for the tables. In a synctest bubble it is midnight, 1 January 2000.
const (
	zoneSOA    = "ns.example. hostmaster.example. 1 7200 1800 86400"
	inTwoYears = "20020101000000"
)

func rrsig(owner, ttl, covered, original, expiration string) string {
	return owner + " " + ttl + " RRSIG " + covered + " 13 2 " + original + " " + expiration + " 19991201000000 1 example. c2ln"
}

// TestRewrite has a row for each sentence of the contract about what happens to a
// response. "33..45" in a TTL's place is the window that it is chosen from.
func TestRewrite(t *testing.T) {
	const (
		floor30 = "ttlfloor 30s example {\n jitter off\n }"
		window  = "ttlfloor 30s example" // 10% 50%
		low     = "ttlfloor 30s example {\n negative 10s\n jitter -50% -50%\n }"
		expired = "19991231000000"
		soon    = "20000101000040" // in 40 seconds
	)
	rows := func(rows ...string) []string { return rows }
	for _, tt := range []struct {
		name       string
		directives string
		qtype      uint16 // A if it is not given
		in, want   []string
		outcome    outcome
	}{
		// Rule 2: what is never touched.
		{
			name: "OPT, TSIG, SIG and TKEY are never touched", directives: floor30,
			in:   rows("answer a.example. 5 A 192.0.2.1", "additional . 0 OPT", "additional key. 0 TSIG", "additional . 0 SIG", "additional key. 0 TKEY"),
			want: rows("answer a.example. 30 A 192.0.2.1", "additional . 0 OPT", "additional key. 0 TSIG", "additional . 0 SIG", "additional key. 0 TKEY"), outcome: raised,
		},
		// Rule 3: the base.
		{
			name: "a TTL of 0 becomes zero", directives: "ttlfloor 30s example {\n zero 40s\n jitter off\n }",
			in:   rows("answer a.example. 0 A 192.0.2.1"),
			want: rows("answer a.example. 40 A 192.0.2.1"), outcome: raised,
		},
		{
			name: "zero is FLOOR by default", directives: floor30,
			in:   rows("answer a.example. 0 A 192.0.2.1"),
			want: rows("answer a.example. 30 A 192.0.2.1"), outcome: raised,
		},
		{
			name: "a TTL below FLOOR becomes FLOOR", directives: floor30,
			in:   rows("answer a.example. 29 A 192.0.2.1"),
			want: rows("answer a.example. 30 A 192.0.2.1"), outcome: raised,
		},
		{
			name: "a TTL from FLOOR on stays", directives: floor30,
			in:   rows("answer a.example. 30 A 192.0.2.1"),
			want: rows("answer a.example. 30 A 192.0.2.1"), outcome: unchanged,
		},
		{
			name: "a TTL with the high bit is read as 7 days", directives: window,
			in:   rows("answer a.example. 4294967295 A 192.0.2.1"),
			want: rows("answer a.example. 604800 A 192.0.2.1"), outcome: jittered,
		},
		{
			name: "other large ones stay", directives: window, // case 12
			in:   rows("answer a.example. 2147483647 A 192.0.2.1"),
			want: rows("answer a.example. 2147483647 A 192.0.2.1"), outcome: unchanged,
		},
		{
			name: "max is the greatest TTL that goes out", directives: "ttlfloor 30s example {\n max 60s\n jitter off\n }",
			in:   rows("answer a.example. 5 A 192.0.2.1", "authority example. 3600 NS ns.example."),
			want: rows("answer a.example. 30 A 192.0.2.1", "authority example. 60 NS ns.example."), outcome: capped,
		},
		{
			name: "NXDOMAIN: the SOA has the floor of denials, and 0 is below it", directives: floor30,
			in:   rows("NXDOMAIN", "authority example. 0 SOA "+zoneSOA+" 0"),
			want: rows("NXDOMAIN", "authority example. 5 SOA "+zoneSOA+" 5"), outcome: raised,
		},
		{
			name: "NODATA is NOERROR with a SOA and no record of the type", directives: floor30, qtype: dns.TypeAAAA,
			in:   rows("answer a.example. 60 CNAME b.example.", "authority example. 2 SOA "+zoneSOA+" 1"),
			want: rows("answer a.example. 60 CNAME b.example.", "authority example. 5 SOA "+zoneSOA+" 5"), outcome: raised,
		},
		{
			name: "a CNAME on the way to a denial has its floor, 0 included", directives: floor30, qtype: dns.TypeAAAA,
			in:   rows("answer a.example. 0 CNAME b.example.", "authority example. 300 SOA "+zoneSOA+" 300"),
			want: rows("answer a.example. 5 CNAME b.example.", "authority example. 300 SOA "+zoneSOA+" 300"), outcome: raised,
		},
		{
			name: "a CNAME alone is a positive answer", directives: floor30,
			in:   rows("answer a.example. 5 CNAME b.example."),
			want: rows("answer a.example. 30 CNAME b.example."), outcome: raised,
		},
		{
			name: "an answer of the type with a SOA in the authority section is positive", directives: floor30,
			in:   rows("answer a.example. 60 A 192.0.2.1", "authority example. 2 SOA "+zoneSOA+" 1"),
			want: rows("answer a.example. 60 A 192.0.2.1", "authority example. 30 SOA "+zoneSOA+" 1"), outcome: raised,
		},
		{
			name: "any record answers ANY", directives: floor30, qtype: dns.TypeANY,
			in:   rows("answer a.example. 60 A 192.0.2.1", "authority example. 60 SOA "+zoneSOA+" 1"),
			want: rows("answer a.example. 60 A 192.0.2.1", "authority example. 60 SOA "+zoneSOA+" 1"), outcome: unchanged,
		},
		{
			name: "a signature answers RRSIG", directives: floor30, qtype: dns.TypeRRSIG,
			in:   rows("answer "+rrsig("a.example.", "5", "A", "3600", inTwoYears), "answer "+rrsig("a.example.", "5", "MX", "20", inTwoYears), "authority example. 60 SOA "+zoneSOA+" 1"),
			want: rows("answer "+rrsig("a.example.", "30", "A", "3600", inTwoYears), "answer "+rrsig("a.example.", "20", "MX", "20", inTwoYears), "authority example. 60 SOA "+zoneSOA+" 1"), outcome: capped,
		},
		{
			name: "a signature does not answer for what it covers", directives: floor30,
			in:   rows("answer "+rrsig("a.example.", "60", "A", "3600", inTwoYears), "authority example. 0 SOA "+zoneSOA+" 0"),
			want: rows("answer "+rrsig("a.example.", "60", "A", "3600", inTwoYears), "authority example. 5 SOA "+zoneSOA+" 5"), outcome: raised,
		},
		{
			name: "other rcodes are no denials", directives: floor30,
			in:   rows("YXDOMAIN", "authority example. 2 SOA "+zoneSOA+" 1"),
			want: rows("YXDOMAIN", "authority example. 30 SOA "+zoneSOA+" 1"), outcome: raised,
		},
		{
			name: "NXDOMAIN without a SOA is a denial", directives: window, // case 9
			in:   rows("NXDOMAIN", "answer a.example. 5 CNAME b.example."),
			want: rows("NXDOMAIN", "answer a.example. 5..8 CNAME b.example."), outcome: jittered,
		},
		{
			name: "a SOA outside the authority section makes none", directives: floor30,
			in:   rows("NXDOMAIN", "answer example. 2 SOA "+zoneSOA+" 1", "additional example. 60 SOA "+zoneSOA+" 1"),
			want: rows("NXDOMAIN", "answer example. 5 SOA "+zoneSOA+" 1", "additional example. 5 SOA "+zoneSOA+" 1"), outcome: raised,
		},
		{
			name: "negative off leaves denials alone", directives: "ttlfloor 30s example {\n negative off\n }",
			in:   rows("NXDOMAIN", "answer a.example. 1 CNAME b.example.", "authority example. 0 SOA "+zoneSOA+" 0"),
			want: rows("NXDOMAIN", "answer a.example. 1 CNAME b.example.", "authority example. 0 SOA "+zoneSOA+" 0"), outcome: unchanged,
		},
		{
			name: "negative off leaves those without a SOA alone, too", directives: "ttlfloor 30s example {\n negative off\n }",
			in:   rows("NXDOMAIN", "answer a.example. 1 CNAME b.example."),
			want: rows("NXDOMAIN", "answer a.example. 1 CNAME b.example."), outcome: unchanged,
		},
		// Rule 4: the window.
		{
			name: "10 to 50 per cent above the floor", directives: window,
			in:   rows("answer a.example. 0 A 192.0.2.1"),
			want: rows("answer a.example. 33..45 A 192.0.2.1"), outcome: raised,
		},
		{
			name: "at the floor", directives: window,
			in:   rows("answer a.example. 30 A 192.0.2.1"),
			want: rows("answer a.example. 33..45 A 192.0.2.1"), outcome: jittered,
		},
		{
			name: "slid down under what the operator consented to", directives: window,
			in:   rows("answer a.example. 40 A 192.0.2.1"),
			want: rows("answer a.example. 30..45 A 192.0.2.1"), outcome: jittered,
		},
		{
			name: "what is not low is not raised", directives: window, // case 8
			in:   rows("answer a.example. 60 A 192.0.2.1"),
			want: rows("answer a.example. 36..60 A 192.0.2.1"), outcome: jittered,
		},
		{
			name: "five minutes", directives: window,
			in:   rows("answer a.example. 300 A 192.0.2.1"),
			want: rows("answer a.example. 180..300 A 192.0.2.1"), outcome: jittered,
		},
		{
			name: "an hour", directives: window, // case 6
			in:   rows("answer a.example. 3600 A 192.0.2.1"),
			want: rows("answer a.example. 2160..3600 A 192.0.2.1"), outcome: jittered,
		},
		{
			name: "beyond the horizon a TTL stays", directives: window, // case 7
			in:   rows("answer a.example. 86400 A 192.0.2.1"),
			want: rows("answer a.example. 86400 A 192.0.2.1"), outcome: unchanged,
		},
		{
			name: "the last TTL within it", directives: window,
			in:   rows("answer a.example. 4096 A 192.0.2.1"),
			want: rows("answer a.example. 2457..4096 A 192.0.2.1"), outcome: jittered,
		},
		{
			name: "the horizon is asked after max", directives: "ttlfloor 30s example {\n max 300s\n }",
			in:   rows("answer a.example. 86400 A 192.0.2.1"),
			want: rows("answer a.example. 180..300 A 192.0.2.1"), outcome: capped,
		},
		{
			name: "a FLOOR beyond the horizon raises", directives: "ttlfloor 2h example",
			in:   rows("answer a.example. 300 A 192.0.2.1"),
			want: rows("answer a.example. 7920..10800 A 192.0.2.1"), outcome: raised,
		},
		{
			name: "and leaves what is not low", directives: "ttlfloor 2h example",
			in:   rows("answer a.example. 7200 A 192.0.2.1"),
			want: rows("answer a.example. 7200 A 192.0.2.1"), outcome: unchanged,
		},
		{
			name: "at least a second wide", directives: "ttlfloor 30s example {\n jitter 0%\n }",
			in:   rows("answer a.example. 5 A 192.0.2.1"),
			want: rows("answer a.example. 30..31 A 192.0.2.1"), outcome: raised,
		},
		{
			name: "never below the floor", directives: "ttlfloor 30s example {\n jitter -90% -90%\n }",
			in:   rows("answer a.example. 40 A 192.0.2.1"),
			want: rows("answer a.example. 30..31 A 192.0.2.1"), outcome: jittered,
		},
		{
			name: "never wider than half of a base that is above consent", directives: "ttlfloor 30s example {\n jitter -90% 1000%\n }",
			in:   rows("answer a.example. 1000 A 192.0.2.1"),
			want: rows("answer a.example. 500..1000 A 192.0.2.1"), outcome: jittered,
		},
		{
			name: "but up to consent itself it may be", directives: "ttlfloor 30s example {\n jitter 0% 200%\n }",
			in:   rows("answer a.example. 90 A 192.0.2.1"),
			want: rows("answer a.example. 30..90 A 192.0.2.1"), outcome: jittered,
		},
		{
			name: "the window of zero", directives: "ttlfloor 30s example {\n zero 60s\n }",
			in:   rows("answer a.example. 0 A 192.0.2.1"),
			want: rows("answer a.example. 66..90 A 192.0.2.1"), outcome: raised,
		},
		{
			name: "the window of zero with a HIGH below 0", directives: "ttlfloor 30s example {\n zero 60s\n jitter -25% -10%\n }",
			in:   rows("answer a.example. 0 A 192.0.2.1"),
			want: rows("answer a.example. 45..54 A 192.0.2.1"), outcome: raised,
		},
		{
			name: "max slides the window down", directives: "ttlfloor 30s example {\n max 40s\n }",
			in:   rows("answer a.example. 5 A 192.0.2.1"),
			want: rows("answer a.example. 30..40 A 192.0.2.1"), outcome: capped,
		},
		{
			name: "max at the floor leaves one TTL", directives: "ttlfloor 30s example {\n max 30s\n }",
			in:   rows("answer a.example. 5 A 192.0.2.1"),
			want: rows("answer a.example. 30 A 192.0.2.1"), outcome: capped,
		},
		{
			name: "of two RRsets with the lowest base, the one that is not low has its say", directives: "ttlfloor 30s example {\n zero 100s\n jitter 0% 90%\n }",
			in:   rows("answer a.example. 0 CNAME b.example.", "answer b.example. 100 A 192.0.2.1"),
			want: rows("answer a.example. 50..100 CNAME b.example.", "answer b.example. 50..100 A 192.0.2.1"), outcome: raised,
		},
		{
			name: "whichever stands first", directives: "ttlfloor 30s example {\n zero 100s\n jitter 0% 90%\n }",
			in:   rows("answer b.example. 100 A 192.0.2.1", "answer a.example. 0 CNAME b.example."),
			want: rows("answer b.example. 50..100 A 192.0.2.1", "answer a.example. 50..100 CNAME b.example."), outcome: raised,
		},
		// Rule 5: the primary RRsets and the others.
		{
			name: "the additional section has a TTL of its own below the answer's", directives: window, qtype: dns.TypeSRV, // case 5
			in:   rows("answer s.example. 300 SRV 0 0 80 a.example.", "additional a.example. 30 A 192.0.2.1"),
			want: rows("answer s.example. 180..300 SRV 0 0 80 a.example.", "additional a.example. 33..45 A 192.0.2.1"), outcome: jittered,
		},
		{
			name: "and so has the authority section", directives: window, // case 4
			in:   rows("answer a.example. 120 A 192.0.2.1", "authority example. 60 NS ns.example."),
			want: rows("answer a.example. 72..120 A 192.0.2.1", "authority example. 36..60 NS ns.example."), outcome: jittered,
		},
		{
			name: "the lowest of the others is drawn for, the rest keeps its base unless that is lower", directives: window,
			in:   rows("answer a.example. 300 A 192.0.2.1", "authority example. 31 NS ns.example.", "additional ns.example. 5 A 192.0.2.53", "additional ns.example. 100 AAAA 2001:db8::53"),
			want: rows("answer a.example. 180..300 A 192.0.2.1", "authority example. 33..45 NS ns.example.", "additional ns.example. 33..45 A 192.0.2.53", "additional ns.example. 100 AAAA 2001:db8::53"), outcome: raised,
		},
		{
			name: "a base of at least the primary's takes the primary's TTL or keeps its own", directives: window, qtype: dns.TypeSRV,
			in:   rows("answer s.example. 0 SRV 0 0 80 a.example.", "authority example. 3600 NS ns.example.", "additional a.example. 20 A 192.0.2.1", "additional a.example. 34 AAAA 2001:db8::1"),
			want: rows("answer s.example. 33..45 SRV 0 0 80 a.example.", "authority example. 3600 NS ns.example.", "additional a.example. 33..45 A 192.0.2.1", "additional a.example. 34..45 AAAA 2001:db8::1"), outcome: raised,
		},
		{
			name: "a primary RRset with a higher base keeps it", directives: window,
			in:   rows("answer a.example. 60 CNAME b.example.", "answer b.example. 5 A 192.0.2.1"),
			want: rows("answer a.example. 60 CNAME b.example.", "answer b.example. 33..45 A 192.0.2.1"), outcome: raised,
		},
		{
			name: "no primary RRset runs out before the appointment", directives: window,
			in:   rows("answer a.example. 5 CNAME b.example.", "answer b.example. 31 A 192.0.2.1", "answer "+rrsig("b.example.", "31", "A", "32", inTwoYears)),
			want: rows("answer a.example. 30..32 CNAME b.example.", "answer b.example. 31..32 A 192.0.2.1", "answer "+rrsig("b.example.", "31..32", "A", "32", inTwoYears)), outcome: capped,
		},
		{
			name: "a chain of CNAMEs expires together", directives: window,
			in:   rows("answer a.example. 5 CNAME b.example.", "answer b.example. 10 CNAME c.example.", "answer c.example. 0 A 192.0.2.1"),
			want: rows("answer a.example. 33..45 CNAME b.example.", "answer b.example. 33..45 CNAME c.example.", "answer c.example. 33..45 A 192.0.2.1"), outcome: raised,
		},
		{
			name: "the records of one RRset get one TTL", directives: floor30,
			in:   rows("answer a.example. 300 A 192.0.2.1", "answer b.example. 300 A 192.0.2.2", "answer A.example. 60 A 192.0.2.3", "additional A.EXAMPLE. 90 A 192.0.2.4"),
			want: rows("answer a.example. 60 A 192.0.2.1", "answer b.example. 300 A 192.0.2.2", "answer A.example. 60 A 192.0.2.3", "additional A.EXAMPLE. 60 A 192.0.2.4"), outcome: jittered,
		},
		{
			name: "a referral: the NS set", directives: window,
			in:   rows("authority sub.example. 100 NS ns.sub.example.", "authority sub.example. 50 DS 1 13 2 00", "additional ns.sub.example. 300 A 192.0.2.1"),
			want: rows("authority sub.example. 60..100 NS ns.sub.example.", "authority sub.example. 30..50 DS 1 13 2 00", "additional ns.sub.example. 300 A 192.0.2.1"), outcome: jittered,
		},
		{
			name: "a denial: the SOA", directives: window, qtype: dns.TypeAAAA,
			in:   rows("answer a.example. 3 CNAME b.example.", "authority example. 60 SOA "+zoneSOA+" 100"),
			want: rows("answer a.example. 5..8 CNAME b.example.", "authority example. 36..60 SOA "+zoneSOA+" 100"), outcome: raised,
		},
		{
			name: "nothing primary: the lowest of what there is", directives: window,
			in:   rows("additional a.example. 60 A 192.0.2.1", "additional b.example. 0 AAAA 2001:db8::1"),
			want: rows("additional a.example. 60 A 192.0.2.1", "additional b.example. 33..45 AAAA 2001:db8::1"), outcome: raised,
		},
		{
			name: "an answer to another question: the client's own decides", directives: floor30,
			in:   rows("answer b.test. 5 A 192.0.2.1"),
			want: rows("answer b.test. 30 A 192.0.2.1"), outcome: raised,
		},
		{name: "a message without records", directives: floor30, outcome: unchanged},
		// Rule 6: denials.
		{
			name: "the SOA goes out with the lesser of TTL and MINIMUM", directives: window, // case 10
			in:   rows("NXDOMAIN", "authority example. 3600 SOA "+zoneSOA+" 60"),
			want: rows("NXDOMAIN", "authority example. 36..60 SOA "+zoneSOA+" 60"), outcome: jittered,
		},
		{
			name: "which is never raised where it is not low", directives: window, // case 10
			in:   rows("NXDOMAIN", "authority example. 3600 SOA "+zoneSOA+" 3600"),
			want: rows("NXDOMAIN", "authority example. 2160..3600 SOA "+zoneSOA+" 3600"), outcome: jittered,
		},
		{
			name: "MINIMUM is raised to the TTL where it is lower", directives: window,
			in:   rows("NXDOMAIN", "authority example. 20 SOA "+zoneSOA+" 2"),
			want: rows("NXDOMAIN", "authority example. 5..8 SOA "+zoneSOA+" 5..8"), outcome: raised,
		},
		{
			name: "two SOAs share one TTL", directives: "ttlfloor 30s example {\n jitter 0%\n }",
			in:   rows("NXDOMAIN", "authority example. 600 SOA "+zoneSOA+" 300", "authority example. 60 SOA "+zoneSOA+" 300"),
			want: rows("NXDOMAIN", "authority example. 59..60 SOA "+zoneSOA+" 300", "authority example. 59..60 SOA "+zoneSOA+" 300"), outcome: jittered,
		},
		{
			name: "MINIMUM of a signed SOA stays and is a ceiling", directives: "ttlfloor 30s example {\n negative 60s\n }",
			in:   rows("NXDOMAIN", "authority example. 3600 SOA "+zoneSOA+" 20", "authority "+rrsig("example.", "3600", "SOA", "3600", inTwoYears)),
			want: rows("NXDOMAIN", "authority example. 20 SOA "+zoneSOA+" 20", "authority "+rrsig("example.", "20", "SOA", "3600", inTwoYears)), outcome: capped,
		},
		{
			name: "a signed SOA with a MINIMUM of 0 is left alone", directives: window,
			in:   rows("NXDOMAIN", "authority example. 3600 SOA "+zoneSOA+" 0", "authority "+rrsig("example.", "3600", "SOA", "3600", inTwoYears), "authority a.example. 1 NSEC c.example. A"),
			want: rows("NXDOMAIN", "authority example. 3600 SOA "+zoneSOA+" 0", "authority "+rrsig("example.", "3600", "SOA", "3600", inTwoYears), "authority a.example. 5..8 NSEC c.example. A"), outcome: capped,
		},
		{
			name: "NSEC and NSEC3 follow the SOA, but not above their own top", directives: window,
			in: rows(
				"NXDOMAIN", "authority example. 600 SOA "+zoneSOA+" 300", "authority a.example. 1 NSEC c.example. A",
				"authority 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. 3600 NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
				"authority "+rrsig("a.example.", "1", "NSEC", "7200", inTwoYears), "authority "+rrsig("example.", "1", "NS", "7200", inTwoYears),
			),
			want: rows(
				"NXDOMAIN", "authority example. 180..300 SOA "+zoneSOA+" 300", "authority a.example. 8 NSEC c.example. A",
				"authority 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. 180..300 NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
				"authority "+rrsig("a.example.", "8", "NSEC", "7200", inTwoYears), "authority "+rrsig("example.", "5..8", "NS", "7200", inTwoYears),
			), outcome: raised,
		},
		{
			name: "with jitter off a denial that is not low stays as it came", directives: floor30, // case 13
			in:   rows("NXDOMAIN", "authority example. 3600 SOA "+zoneSOA+" 60"),
			want: rows("NXDOMAIN", "authority example. 3600 SOA "+zoneSOA+" 60"), outcome: unchanged,
		},
		{
			name: "the floor of denials holds with a negative LOW", directives: low,
			in:   rows("NXDOMAIN", "authority example. 16 SOA "+zoneSOA+" 16"),
			want: rows("NXDOMAIN", "authority example. 10..11 SOA "+zoneSOA+" 16"), outcome: jittered,
		},
		// Rule 7: ceilings.
		{
			name: "Original TTL is a ceiling that wins over the floor", directives: window,
			in:   rows("answer a.example. 5 A 192.0.2.1", "answer "+rrsig("a.example.", "5", "A", "20", inTwoYears)),
			want: rows("answer a.example. 20 A 192.0.2.1", "answer "+rrsig("a.example.", "20", "A", "20", inTwoYears)), outcome: capped,
		},
		{
			name: "the window slides down under it", directives: window,
			in:   rows("answer a.example. 5 A 192.0.2.1", "answer "+rrsig("a.example.", "5", "A", "35", inTwoYears)),
			want: rows("answer a.example. 30..35 A 192.0.2.1", "answer "+rrsig("a.example.", "30..35", "A", "35", inTwoYears)), outcome: capped,
		},
		{
			name: "time to expiration is a ceiling", directives: window,
			in:   rows("answer a.example. 5 A 192.0.2.1", "answer "+rrsig("a.example.", "5", "A", "3600", "20000101000007")),
			want: rows("answer a.example. 7 A 192.0.2.1", "answer "+rrsig("a.example.", "7", "A", "3600", "20000101000007")), outcome: capped,
		},
		{
			name: "the least of several signatures counts", directives: floor30,
			in:   rows("answer "+rrsig("a.example.", "5", "A", "25", inTwoYears), "answer a.example. 5 A 192.0.2.1", "answer "+rrsig("A.example.", "5", "A", "15", inTwoYears)),
			want: rows("answer "+rrsig("a.example.", "15", "A", "25", inTwoYears), "answer a.example. 15 A 192.0.2.1", "answer "+rrsig("A.example.", "15", "A", "15", inTwoYears)), outcome: capped,
		},
		{
			name: "a signature limits its own RRset", directives: window, // case 3
			in: rows(
				"answer a.wild.example. 0 A 192.0.2.1", "answer "+rrsig("a.wild.example.", "0", "A", "3600", inTwoYears),
				"authority wild.example. 0 NSEC z.example. A", "authority "+rrsig("wild.example.", "0", "NSEC", "5", inTwoYears),
			),
			want: rows(
				"answer a.wild.example. 33..45 A 192.0.2.1", "answer "+rrsig("a.wild.example.", "33..45", "A", "3600", inTwoYears),
				"authority wild.example. 5 NSEC z.example. A", "authority "+rrsig("wild.example.", "5", "NSEC", "5", inTwoYears),
			), outcome: capped,
		},
		{
			name: "wherever the signature stands", directives: floor30,
			in:   rows("answer a.example. 5 A 192.0.2.1", "authority "+rrsig("a.example.", "5", "A", "20", inTwoYears), "authority b.example. 5 NS ns.example."),
			want: rows("answer a.example. 20 A 192.0.2.1", "authority "+rrsig("a.example.", "20", "A", "20", inTwoYears), "authority b.example. 30 NS ns.example."), outcome: capped,
		},
		{
			name: "a ceiling bounds only what is above received", directives: window,
			in:   rows("answer a.example. 300 A 192.0.2.1", "answer "+rrsig("a.example.", "300", "A", "300", soon)),
			want: rows("answer a.example. 180..300 A 192.0.2.1", "answer "+rrsig("a.example.", "180..300", "A", "300", soon)), outcome: jittered,
		},
		{
			name: "an expired signature lowers nothing", directives: window, // case 1
			in:   rows("answer a.example. 300 A 192.0.2.1", "answer "+rrsig("a.example.", "300", "A", "300", expired)),
			want: rows("answer a.example. 180..300 A 192.0.2.1", "answer "+rrsig("a.example.", "180..300", "A", "300", expired)), outcome: jittered,
		},
		{
			name: "but it forbids raising", directives: window, // case 2
			in:   rows("answer a.example. 1 A 192.0.2.1", "answer "+rrsig("a.example.", "1", "A", "300", expired)),
			want: rows("answer a.example. 1 A 192.0.2.1", "answer "+rrsig("a.example.", "1", "A", "300", expired)), outcome: capped,
		},
		{
			name: "an expired signature beyond the horizon", directives: window, // case 2
			in:   rows("answer a.example. 86400 A 192.0.2.1", "answer "+rrsig("a.example.", "86400", "A", "86400", expired)),
			want: rows("answer a.example. 86400 A 192.0.2.1", "answer "+rrsig("a.example.", "86400", "A", "86400", expired)), outcome: unchanged,
		},
		{
			name: "a signature that is not valid yet forbids raising, too", directives: window,
			in:   rows("answer a.example. 5 A 192.0.2.1", "answer a.example. 5 RRSIG A 13 2 20 20020101000000 20010101000000 1 example. c2ln"),
			want: rows("answer a.example. 5 A 192.0.2.1", "answer a.example. 5 RRSIG A 13 2 20 20020101000000 20010101000000 1 example. c2ln"), outcome: capped,
		},
		{
			name: "an Original TTL of 0 leaves 0, whatever zero is", directives: window,
			in:   rows("answer a.example. 0 A 192.0.2.1", "answer "+rrsig("a.example.", "0", "A", "0", inTwoYears)),
			want: rows("answer a.example. 0 A 192.0.2.1", "answer "+rrsig("a.example.", "0", "A", "0", inTwoYears)), outcome: capped,
		},
		// Rule 8: copies of every kind.
		{
			name: "records of every kind of copy", directives: floor30, qtype: dns.TypeANY,
			in: rows(
				"answer a.example. 1 A 192.0.2.1", "answer a.example. 1 AAAA 2001:db8::1", "answer a.example. 1 CNAME b.example.", "answer a.example. 1 NS b.example.",
				"answer a.example. 1 PTR b.example.", "answer a.example. 1 SRV 0 0 0 b.example.", "answer a.example. 1 MX 1 b.example.", "answer a.example. 1 MX 2 b.example.",
				"answer a.example. 1 TXT \"x\"", "answer a.example. 1 TYPE65300 \\# 1 00", "answer a.example. 1 A 192.0.2.2", "answer a.example. 1 TXT \"y\"",
			),
			want: rows(
				"answer a.example. 30 A 192.0.2.1", "answer a.example. 30 AAAA 2001:db8::1", "answer a.example. 30 CNAME b.example.", "answer a.example. 30 NS b.example.",
				"answer a.example. 30 PTR b.example.", "answer a.example. 30 SRV 0 0 0 b.example.", "answer a.example. 30 MX 1 b.example.", "answer a.example. 30 MX 2 b.example.",
				"answer a.example. 30 TXT \"x\"", "answer a.example. 30 TYPE65300 \\# 1 00", "answer a.example. 30 A 192.0.2.2", "answer a.example. 30 TXT \"y\"",
			), outcome: raised,
		},
	} {
		if tt.qtype == 0 {
			tt.qtype = dns.TypeA
		}
		for end := range 2 {
			t.Run(tt.name+[]string{", start of the window", ", end of it"}[end], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					in, before, want := message(t, tt.in...), text(message(t, tt.in...)), text(message(t, atEnd(tt.want, end)...))
					h := newTTLFloor(t, tt.directives, respond(in))
					h.view = t.Name()
					for _, z := range h.zones.byName {
						if z.other.jitter == scheduled {
							z.other.jitter = random // with the same windows
						}
						z.other.schedule.draw = func(n uint32) uint32 { return (n - 1) * uint32(end) }
					}
					t.Cleanup(meters.settle)

					out := exchange(t, h, "a.example.", tt.qtype)
					if got := text(out); got != want {
						t.Errorf("got\n%swant\n%s", got, want)
					}
					if text(in) != before {
						t.Errorf("the message from below was written to:\n%s", text(in))
					}
					if (out == in) != (want == before) {
						t.Errorf("same message: %v, want %v", out == in, want == before)
					}
					expect := tt.outcome
					if expect == jittered && want == before { // the end of the window is what came
						expect = unchanged
					}
					for o, c := range meters.get(labels{"", "example.", h.view}).responses {
						if got := counted(t, c); (got == 1) != (outcome(o) == expect) {
							t.Errorf("outcome %s counted %v times, want %s once", outcomeNames[o], got, outcomeNames[expect])
						}
					}
				})
			})
		}
	}
}

// atEnd returns lines with one end of each window in its place.
func atEnd(lines []string, end int) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		words := strings.Split(line, " ")
		for j, word := range words {
			if ends := strings.Split(word, ".."); len(ends) == 2 {
				words[j] = ends[end]
			}
		}
		out[i] = strings.Join(words, " ")
	}
	return out
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
			h := newTTLFloor(t, "ttlfloor 30s example", respond(m))
			h.view = t.Name()
			t.Cleanup(meters.settle)
			w := dnstest.NewRecorder(&test.ResponseWriter{})
			if _, err := h.ServeDNS(context.Background(), w, r); err != nil {
				t.Fatal(err)
			}
			if wrapped := len(*h.zones.byName["example."].meters.Load()) > 0; wrapped || w.Msg != m {
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
		m := meters.get(labels{"", "example.", ""})
		before := counted(t, m.responses[raw])
		w := serve(t, func(w dns.ResponseWriter) error { _, err := w.Write([]byte("packed")); return err })
		if got := counted(t, m.responses[raw]); w.Len != len("packed") || got != before+1 {
			t.Errorf("wrote %d octets, counted %v", w.Len, got-before)
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
	t.Run("no records, no TTL", func(t *testing.T) {
		served := func() uint64 {
			var m dto.Metric
			if err := meters.get(labels{"", "example.", ""}).served.(prometheus.Metric).Write(&m); err != nil {
				t.Fatal(err)
			}
			return m.GetHistogram().GetSampleCount()
		}
		before := served()
		if w := serve(t, func(w dns.ResponseWriter) error { return w.WriteMsg(new(dns.Msg)) }); w.Msg == nil || served() != before {
			t.Errorf("got %v, and counted %d TTLs", w.Msg, served()-before)
		}
	})
	t.Run("more RRsets than there is room for", func(t *testing.T) {
		in := new(dns.Msg)
		for i := range 40 {
			in.Answer = append(in.Answer, message(t, fmt.Sprintf("answer a%d.example. %d A 192.0.2.1", i%20, 100*(i%20))).Answer...)
		}
		out := serve(t, func(w dns.ResponseWriter) error { return w.WriteMsg(in) }).Msg
		for i, rr := range out.Answer {
			lo, hi := uint32(100*(i%20)), uint32(100*(i%20))
			if i%20 == 0 {
				lo, hi = 33, 45
			}
			if ttl := rr.Header().Ttl; ttl < lo || ttl > hi {
				t.Errorf("record %d has TTL %d, want %d to %d", i, ttl, lo, hi)
			}
		}
	})
	t.Run("no response", func(t *testing.T) {
		if w := serve(t, func(dns.ResponseWriter) error { return nil }); w.Msg != nil {
			t.Errorf("got %v", w.Msg)
		}
	})
	t.Run("a nil message is an error", func(t *testing.T) {
		w := serve(t, func(w dns.ResponseWriter) error {
			if err := w.WriteMsg(nil); err == nil || err.Error() != "ttlfloor: response message is nil" {
				t.Errorf("error %v", err)
			}
			return nil
		})
		if w.Msg != nil {
			t.Errorf("wrote %v", w.Msg)
		}
	})
	t.Run("a second message does not change the first", func(t *testing.T) { // case 14
		var first, second *dns.Msg
		var was string
		next := plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, _ *dns.Msg) (int, error) {
			_ = w.WriteMsg(message(t, "answer a.example. 1 A 192.0.2.1"))
			_ = w.WriteMsg(message(t, "answer a.example. 2 A 192.0.2.2"))
			return 0, nil
		})
		w := writerFunc{ResponseWriter: new(test.ResponseWriter), write: func(m *dns.Msg) error {
			if first == nil {
				first, was = m, text(m)
			} else {
				second = m
			}
			return nil
		}}
		if _, err := newTTLFloor(t, "ttlfloor 30s example", next).ServeDNS(context.Background(), w, new(dns.Msg).SetQuestion("a.example.", dns.TypeA)); err != nil {
			t.Fatal(err)
		}
		if text(first) != was || second == nil || text(second) == was {
			t.Errorf("the first message is\n%swas\n%s", text(first), was)
		}
	})
	t.Run("no next plugin", func(t *testing.T) {
		rcode, err := newTTLFloor(t, "ttlfloor 30s example", nil).ServeDNS(context.Background(), &test.ResponseWriter{}, new(dns.Msg).SetQuestion("a.example.", dns.TypeA))
		if rcode != dns.RcodeServerFailure || err == nil {
			t.Errorf("got %s, %v", dns.RcodeToString[rcode], err)
		}
	})
}

// writerFunc is a ResponseWriter that has its own WriteMsg.
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
	if got, want := text(out), text(message(t, "answer a.example. 30 A 192.0.2.1", "answer a.example. 30 A 192.0.2.2")); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
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
	for _, rdata := range []string{"A 192.0.2.1", "NS ns.example.", "MX 1 a.example.", "HTTPS 1 ."} {
		if got := allocs("ttlfloor 30s .", message(t, "answer "+name+" 1 "+rdata), name); got > 6 {
			t.Errorf("changed: %v allocations for %s, want at most 6", got, rdata)
		}
	}
	if few, many := allocs("ttlfloor 30s .", mixed(2), name), allocs("ttlfloor 30s .", mixed(100), name); few != many {
		t.Errorf("changed, mixed types: %v allocations for 6 records, %v for 300", few, many)
	}
	const unwritten = 2 // the writer, and that of plugin.NextOrFailure
	if got := allocs("ttlfloor 5s .", srvAnswer(t, 20, 3600), name); got > unwritten+3 {
		t.Errorf("jittered: %v allocations", got)
	}
	if got := allocs("ttlfloor 5s . {\n jitter off\n }", srvAnswer(t, 20, 5), name); got != unwritten {
		t.Errorf("unchanged: %v allocations, want %d", got, unwritten)
	}
}
