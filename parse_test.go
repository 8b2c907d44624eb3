package ttlfloor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"

	"github.com/miekg/dns"
)

// TestParse has configurations that are accepted.
func TestParse(t *testing.T) {
	defaults := policy{floor: 30, zero: 30, negative: 5, max: maxTTL, low: 10, high: 50}
	with := func(edit func(*policy)) policy {
		p := defaults
		edit(&p)
		return p
	}
	long := strings.Repeat(strings.Repeat(`\195`, 63)+".", 3) + strings.Repeat(`\195`, 61) + "."
	for _, tt := range []struct {
		name    string
		in      string
		policy  policy
		zones   string // of the server block if it is not given
		types   []uint16
		jitter  jitter
		except  string
		observe bool
		smear   time.Duration
	}{
		{name: "the defaults", in: "ttlfloor", policy: defaults},
		{name: "an empty block", in: "ttlfloor {\n }", policy: defaults},
		{name: "FLOOR in seconds", in: "ttlfloor 60", policy: with(func(p *policy) { p.floor, p.zero = 60, 60 })},
		{name: "FLOOR as a duration", in: "ttlfloor 1m30s", policy: with(func(p *policy) { p.floor, p.zero = 90, 90 })},
		{name: "the least FLOOR", in: "ttlfloor 1", policy: with(func(p *policy) { p.floor, p.zero = 1, 1 })},
		{name: "the greatest FLOOR", in: "ttlfloor 168h", policy: with(func(p *policy) { p.floor, p.zero = week, week })},
		{name: "FLOOR and zones", in: "ttlfloor 30s B.example a.example b.example", policy: defaults, zones: "a.example. b.example."},
		{name: "zones alone", in: "ttlfloor a.example", policy: defaults, zones: "a.example."},
		{name: "a network", in: "ttlfloor 10.0.0.0/8", policy: defaults, zones: "10.in-addr.arpa."},
		{name: "a reverse zone", in: "ttlfloor 10.in-addr.arpa", policy: defaults, zones: "10.in-addr.arpa."},
		{name: "the root", in: "ttlfloor 30s .", policy: defaults, zones: "."},
		{name: "a zone that looks like a number", in: "ttlfloor 30s 42. 1d.", policy: defaults, zones: "1d. 42."},
		{name: "escapes that are not needed", in: `ttlfloor 30s \097\046\065.\101xample`, policy: defaults, zones: `a\.a.example.`},
		{name: "a zone of 255 octets, all in escapes", in: "ttlfloor 30s " + long, policy: defaults, zones: long},
		{name: "octets that a zone has where it is meant", in: `ttlfloor 30s b\195\188cher.example a\@b\,\*\"\;\(\032.example`, policy: defaults, zones: `a\@b,*\"\;\(\ .example. b\195\188cher.example.`},
		{name: "A-labels", in: "ttlfloor 30s xn--bcher-kva.example", policy: defaults, zones: "xn--bcher-kva.example."},
		{name: "underscores, hyphens and upper case", in: "ttlfloor 30s _SRV._tcp.-a-.example", policy: defaults, zones: "_srv._tcp.-a-.example."},
		{name: "a part of a reverse zone, RFC 2317", in: "ttlfloor 20s 0/25.2.0.192.in-addr.arpa 128-255.2.0.192.IN-ADDR.ARPA.", policy: with(func(p *policy) { p.floor, p.zero = 20, 20 }), zones: "0/25.2.0.192.in-addr.arpa. 128-255.2.0.192.in-addr.arpa."},
		{name: "all addresses", in: "ttlfloor 30s 0.0.0.0/0 ::/0", policy: defaults, zones: "in-addr.arpa. ip6.arpa."},
		{name: "a network that is not on an octet", in: "ttlfloor 30s 10.0.0.0/7 10.1.2.3/8 2001:db8::/31", policy: defaults, zones: "10.in-addr.arpa. 11.in-addr.arpa. 8.b.d.0.1.0.0.2.ip6.arpa. 9.b.d.0.1.0.0.2.ip6.arpa."},
		{name: "a network of IPv4 within IPv6", in: "ttlfloor 30s ::ffff:10.0.0.0/103", policy: defaults, zones: "10.in-addr.arpa. 11.in-addr.arpa."},
		{name: "a zone with scheme and port", in: "ttlfloor 30s dns://a.example:1053 10.0.0.0/8:53", policy: defaults, zones: "10.in-addr.arpa. a.example."},
		{name: "words of the options with their last dot", in: "ttlfloor 30s max. Observe. off. a.jitter", policy: defaults, zones: "a.jitter. max. observe. off."},
		{name: "its own name with its last dot", in: "ttlfloor 30s ttlfloor.", policy: defaults, zones: "ttlfloor."},
		{name: "units with their last dot, and behind a whole TTL", in: "ttlfloor 30 s. m", policy: defaults, zones: "m. s."},
		{name: "a unit behind a TTL that has one", in: "ttlfloor 30s s", policy: defaults, zones: "s."},
		{name: "a duration of two parts", in: "ttlfloor 30s30s", policy: with(func(p *policy) { p.floor, p.zero = 60, 60 })},
		{name: "observe", in: "ttlfloor {\n observe\n jitter off\n }", policy: with(func(p *policy) { p.low, p.high, p.jitter = 0, 0, off }), observe: true},
		{name: "zero", in: "ttlfloor {\n zero 1m\n }", policy: with(func(p *policy) { p.zero = 60 })},
		{name: "zero at FLOOR and max", in: "ttlfloor {\n max 30s\n zero 30s\n }", policy: with(func(p *policy) { p.max = 30 })},
		{name: "negative", in: "ttlfloor {\n negative 1m\n }", policy: with(func(p *policy) { p.negative = 60 })},
		{name: "negative off", in: "ttlfloor {\n negative off\n }", policy: with(func(p *policy) { p.negative = 0 })},
		{name: "max", in: "ttlfloor {\n max 400h\n }", policy: with(func(p *policy) { p.max = 400 * 3600 })},
		{name: "max below the default of negative", in: "ttlfloor 2s {\n max 3s\n }", policy: with(func(p *policy) { p.floor, p.zero, p.negative, p.max = 2, 2, 3, 3 })},
		{name: "negative at max", in: "ttlfloor 2s {\n negative 9s\n max 9s\n }", policy: with(func(p *policy) { p.floor, p.zero, p.negative, p.max = 2, 2, 9, 9 })},
		{name: "max, then negative at it", in: "ttlfloor 2s {\n max 9s\n negative 9s\n }", policy: with(func(p *policy) { p.floor, p.zero, p.negative, p.max = 2, 2, 9, 9 })},
		{name: "jitter with one value", in: "ttlfloor {\n jitter 20%\n }", policy: with(func(p *policy) { p.low, p.high = 0, 20 })},
		{name: "jitter with two", in: "ttlfloor {\n jitter 20% 30%\n }", policy: with(func(p *policy) { p.low, p.high = 20, 30 })},
		{name: "jitter of nothing", in: "ttlfloor {\n jitter 0%\n }", policy: with(func(p *policy) { p.low, p.high = 0, 0 })},
		{name: "the greatest jitter", in: "ttlfloor {\n jitter -99% 1000%\n }", policy: with(func(p *policy) { p.low, p.high = -99, 1000 })},
		{name: "jitter scheduled", in: "ttlfloor {\n jitter -25% 25% scheduled\n }", policy: with(func(p *policy) { p.low, p.high = -25, 25 })},
		{name: "jitter random", in: "ttlfloor {\n jitter 20% random\n }", policy: with(func(p *policy) { p.low, p.high, p.jitter = 0, 20, random })},
		{name: "smear", in: "ttlfloor {\n smear 10ms\n }", policy: defaults, smear: 10 * time.Millisecond},
		{name: "smear, the most", in: "ttlfloor {\n smear 0.5s\n }", policy: defaults, smear: 500 * time.Millisecond},
		{name: "jitter off", in: "ttlfloor {\n jitter off\n }", policy: with(func(p *policy) { p.low, p.high, p.jitter = 0, 0, off })},
		{name: "types", in: "ttlfloor {\n types srv A TYPE65 A\n }", policy: defaults, types: []uint16{dns.TypeSRV, dns.TypeA, dns.TypeHTTPS}},
		{name: "except", in: "ttlfloor 30s example a.test {\n except B.example 10.example\n }", policy: defaults, zones: "a.test. example.", except: "10.example. b.example."},
		{name: "except, one of them twice", in: "ttlfloor 30s example {\n except a.example b.example A.example c.example\n }", policy: defaults, zones: "example.", except: "a.example. b.example. c.example."},
		{name: "except in a reverse zone", in: "ttlfloor 30s 10.0.0.0/8 {\n except 10.1.0.0/16 0/25.2.2.10.in-addr.arpa\n }", policy: defaults, zones: "10.in-addr.arpa.", except: "0/25.2.2.10.in-addr.arpa. 1.10.in-addr.arpa."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := caddy.NewTestController("dns", tt.in)
			c.ServerBlockKeys = []string{"dns://example.org.:53", "tls://example.org.:853", "dns://example.net.:53"}
			rules, err := parse(c)
			if err != nil {
				t.Fatal(err)
			}
			r := rules[0]
			var except []string
			for name := range r.except.byName {
				except = append(except, name)
			}
			slices.Sort(except)
			if tt.zones == "" {
				tt.zones = "example.net. example.org."
			}
			if len(rules) != 1 || r.policy != tt.policy || strings.Join(r.zones, " ") != tt.zones || !slices.Equal(r.types, tt.types) ||
				strings.Join(except, " ") != tt.except || r.observe != tt.observe || r.smear != tt.smear {
				t.Errorf("got %+v, zones %q, types %v, except %q, observe %v, smear %v", r.policy, r.zones, r.types, except, r.observe, r.smear)
			}
		})
	}
}

// TestParseSeveral has rules side by side.
func TestParseSeveral(t *testing.T) {
	c := caddy.NewTestController("dns", "ttlfloor 60s z {\n types SRV\n }\nttlfloor 50s z {\n types A AAAA\n }\nttlfloor 30s z y\nttlfloor 20s a.z\nttlfloor 10s y {\n types SRV\n }")
	rules, err := parse(c)
	if err != nil {
		t.Fatal(err)
	}
	var floors []uint32
	for _, r := range rules {
		floors = append(floors, r.floor)
	}
	if !slices.Equal(floors, []uint32{60, 50, 30, 20, 10}) {
		t.Errorf("got floors %v", floors)
	}
}

// TestParseRefuses has configurations that are refused, with the line of the
// file and the rest of the text.
func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ in, line string }{
		{"ttlfloor 0", `1: FLOOR "0" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 168h0m0s`},
		{"ttlfloor 8d", `1: FLOOR "8d" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 168h0m0s`},
		{"ttlfloor 169h", `1: FLOOR "169h" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 168h0m0s`},
		{"ttlfloor 604801", `1: FLOOR "604801" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 168h0m0s`},
		{"ttlfloor 30x", `1: FLOOR "30x" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 168h0m0s`},
		{"ttlfloor -1", `1: FLOOR "-1" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 168h0m0s`},
		{"ttlfloor 1e3", `1: FLOOR "1e3" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 168h0m0s`},
		{"ttlfloor 99999999999", `1: FLOOR "99999999999" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 168h0m0s`},
		{"ttlfloor 1.5s", `1: FLOOR "1.5s" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 168h0m0s`},
		{"ttlfloor 1.5", `1: FLOOR "1.5" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 168h0m0s`},
		{"ttlfloor 500ms", `1: FLOOR "500ms" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 168h0m0s`},
		{"ttlfloor .5s", `1: FLOOR ".5s" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 168h0m0s`},
		{"ttlfloor 30s 60s", `1: "60s" looks like a number where a zone belongs; accepted is one FLOOR, directly behind the directive, then zones, with their last dot where they look like a number ("60s.")`},
		{"ttlfloor example.org 30s", `1: "30s" looks like a number where a zone belongs; accepted is one FLOOR, directly behind the directive, then zones, with their last dot where they look like a number ("30s.")`},
		{"ttlfloor 30s foo..bar", `1: "foo..bar" is not a zone; accepted is a domain name or a network in CIDR notation`},
		{"ttlfloor 30s \"\"", `1: "" is empty, as a variable is that is not set; accepted is a zone`},
		{"ttlfloor 30s 10.0.0.0/33", `1: "10.0.0.0/33" is not a zone; accepted is a domain name or a network in CIDR notation`},
		{"ttlfloor 30s " + strings.Repeat("a", 64), `1: "` + strings.Repeat("a", 64) + `" is not a zone; accepted is a domain name or a network in CIDR notation`},
		{"ttlfloor 30s 127.0.0.1", `1: "127.0.0.1" is not a zone; accepted is a domain name or a network in CIDR notation`},
		{"ttlfloor 30s z {\n negative off\n } extra", `3: "extra" is not part of a rule here; accepted are options in braces that open on the line of the directive, and after them a new line`},
		{"ttlfloor {\n zero\n }", `2: option "zero" has 0 arguments; accepted is one TTL`},
		{"ttlfloor {\n zero 40s 50s\n }", `2: option "zero 40s 50s" has 2 arguments; accepted is one TTL`},
		{"ttlfloor {\n zero 30x\n }", `2: zero "30x" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 596523h14m7s`},
		{"ttlfloor {\n zero 0\n }", `2: zero "0" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 596523h14m7s`},
		{"ttlfloor {\n\n # why\n zero 1e3\n }", `4: zero "1e3" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 596523h14m7s`},
		{"ttlfloor {\n zero 29s\n }", `2: zero "29s" is out of range; accepted is a TTL from FLOOR to max, 30 to 2147483647 seconds`},
		{"ttlfloor {\n max 40s\n zero 41s\n }", `3: zero "41s" is out of range; accepted is a TTL from FLOOR to max, 30 to 40 seconds`},
		{"ttlfloor {\n zero 41s\n max 40s\n }", `3: max "40s" is out of range; accepted is a TTL of at least the greatest of FLOOR, zero and negative, 41 seconds`},
		{"ttlfloor {\n max 29s\n }", `2: max "29s" is out of range; accepted is a TTL of at least the greatest of FLOOR, zero and negative, 30 seconds`},
		{"ttlfloor {\n max 1.5s\n }", `2: max "1.5s" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 596523h14m7s`},
		{"ttlfloor {\n max 2147483648\n }", `2: max "2147483648" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 596523h14m7s`},
		{"ttlfloor {\n max\n }", `2: option "max" has 0 arguments; accepted is one TTL`},
		{"ttlfloor {\n max 40s 50s\n }", `2: option "max 40s 50s" has 2 arguments; accepted is one TTL`},
		{"ttlfloor 5s {\n negative 60s\n max 50s\n }", `3: max "50s" is out of range; accepted is a TTL of at least the greatest of FLOOR, zero and negative, 60 seconds`},
		{"ttlfloor 5s {\n max 50s\n negative 60s\n }", `3: negative "60s" is out of range; accepted is off or a TTL up to max, 50 seconds`},
		{"ttlfloor {\n negative 0\n }", `2: negative "0" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 168h0m0s, or off`},
		{"ttlfloor {\n negative 169h\n }", `2: negative "169h" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 168h0m0s, or off`},
		{"ttlfloor {\n negative\n }", `2: option "negative" has 0 arguments; accepted is one TTL, or off`},
		{"ttlfloor {\n negative off 5s\n }", `2: option "negative off 5s" has 2 arguments; accepted is one TTL, or off`},
		{"ttlfloor {\n negative on\n }", `2: negative "on" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 168h0m0s, or off`},
		{"ttlfloor {\n jitter\n }", `2: option "jitter" has no percentage; accepted are one or two percentages and then scheduled or random, as in "10% 50% scheduled", and "off"`},
		{"ttlfloor {\n jitter 50% 10%\n }", `2: jitter "50% 10%" runs from 50% down to 10%; accepted is LOW up to HIGH, where one value is a HIGH for a LOW of 0%`},
		{"ttlfloor {\n jitter -20%\n }", `2: jitter "-20%" runs from 0% down to -20%; accepted is LOW up to HIGH, where one value is a HIGH for a LOW of 0%`},
		{"ttlfloor {\n jitter -100% 10%\n }", `2: jitter "-100%" is not a percentage from -99% to 1000%; accepted are one or two percentages and then scheduled or random, as in "10% 50% scheduled", and "off"`},
		{"ttlfloor {\n jitter 10% 1001%\n }", `2: jitter "1001%" is not a percentage from -99% to 1000%; accepted are one or two percentages and then scheduled or random, as in "10% 50% scheduled", and "off"`},
		{"ttlfloor {\n jitter 10 50%\n }", `2: jitter "10" is not a percentage from -99% to 1000%; accepted are one or two percentages and then scheduled or random, as in "10% 50% scheduled", and "off"`},
		{"ttlfloor {\n jitter 10% 50\n }", `2: jitter "50" is unknown; accepted are one or two percentages and then scheduled or random, as in "10% 50% scheduled", and "off"`},
		{"ttlfloor {\n jitter 1.5%\n }", `2: jitter "1.5%" is not a percentage from -99% to 1000%; accepted are one or two percentages and then scheduled or random, as in "10% 50% scheduled", and "off"`},
		{"ttlfloor {\n jitter 10% 20% 30%\n }", `2: jitter "10% 20% 30%" has too many words; accepted are one or two percentages and then scheduled or random, as in "10% 50% scheduled", and "off"`},
		{"ttlfloor {\n jitter 10% 20% often\n }", `2: jitter "often" is unknown; accepted are one or two percentages and then scheduled or random, as in "10% 50% scheduled", and "off"`},
		{"ttlfloor {\n jitter scheduled 10% 50%\n }", `2: jitter "scheduled 10% 50%" has too many words; accepted are one or two percentages and then scheduled or random, as in "10% 50% scheduled", and "off"`},
		{"ttlfloor {\n jitter \"10% 50%\"\n }", `2: "10% 50%" holds a blank, as a variable with several words does; accepted is one word: write the words out, each by itself`},
		{"ttlfloor {\n \"max 60\"\n }", `2: "max 60" holds a blank, as a variable with several words does; accepted is one word: write the words out, each by itself`},
		{"ttlfloor {\n types SRV, A\n }", `2: "SRV," holds a comma; accepted are blanks between words`},
		{"ttlfloor {\n types \"\"\n }", `2: "" is empty, as a variable is that is not set; accepted is a word`},
		{"ttlfloor 30s { max 60 }", `1: option "max" has a brace behind it; accepted is "}" on a line of its own`},
		{"ttlfloor 30s a.local\n{\n max 60\n}", `2: "{" is not part of a rule here; accepted are options in braces that open on the line of the directive, and after them a new line`},
		{"ttlfloor {\n jitter random\n }", `2: jitter "random" is not a percentage from -99% to 1000%; accepted are one or two percentages and then scheduled or random, as in "10% 50% scheduled", and "off"`},
		{"ttlfloor {\n jitter off 10%\n }", `2: jitter "off" is not a percentage from -99% to 1000%; accepted are one or two percentages and then scheduled or random, as in "10% 50% scheduled", and "off"`},
		{"ttlfloor {\n types\n }", `2: option "types" has no type; accepted are one or more query types (SRV A AAAA)`},
		{"ttlfloor {\n types SRV FOO\n }", `2: type "FOO" is unknown; accepted are the names of query types (SRV A AAAA), or TYPE and a number, except AXFR and IXFR`},
		{"ttlfloor {\n types AXFR\n }", `2: type "AXFR" is unknown; accepted are the names of query types (SRV A AAAA), or TYPE and a number, except AXFR and IXFR`},
		{"ttlfloor {\n types IXFR\n }", `2: type "IXFR" is unknown; accepted are the names of query types (SRV A AAAA), or TYPE and a number, except AXFR and IXFR`},
		{"ttlfloor {\n types TYPE0\n }", `2: type "TYPE0" is unknown; accepted are the names of query types (SRV A AAAA), or TYPE and a number, except AXFR and IXFR`},
		{"ttlfloor {\n types TYPE65536\n }", `2: type "TYPE65536" is unknown; accepted are the names of query types (SRV A AAAA), or TYPE and a number, except AXFR and IXFR`},
		{"ttlfloor 30s example.org {\n except\n }", `2: option "except" has no zone; accepted are one or more zones below example.org.`},
		{"ttlfloor 30s example.org {\n except example.net\n }", `2: except "example.net" is not below the zones of the rule; accepted are zones below example.org.`},
		{"ttlfloor 30s example.org {\n except example.org\n }", `2: except "example.org" is not below the zones of the rule; accepted are zones below example.org.`},
		{"ttlfloor 30s example.org {\n except 30s\n }", `2: "30s" looks like a number where a zone belongs; accepted is one FLOOR, directly behind the directive, then zones, with their last dot where they look like a number ("30s.")`},
		{"ttlfloor {\n floor 30s\n }", `2: unknown option "floor"; accepted are zero, negative, max, jitter, smear, observe, types and except`},
		{"ttlfloor {\n zero 40s\n zero 40s\n }", `3: option "zero" is given twice; accepted is once in a rule`},
		{"ttlfloor {\n {\n }", `2: unknown option "{"; accepted are zero, negative, max, jitter, smear, observe, types and except`},
		{"ttlfloor 30s example.org\nttlfloor 40s example.net example.org", `2: zone "example.org." has a rule for all types already, at Testfile:1; accepted is one rule for a zone and type, and one for the zone without types`},
		{"ttlfloor\nttlfloor", `2: zone "example.com." has a rule for all types already, at Testfile:1; accepted is one rule for a zone and type, and one for the zone without types`},
		{"ttlfloor 30s example.org {\n types A SRV\n }\nttlfloor 40s example.org {\n types SRV\n }", `4: zone "example.org." has a rule for SRV already, at Testfile:1; accepted is one rule for a zone and type, and one for the zone without types`},
		{"ttlfloor \"30s consul\"", `1: "30s consul" holds a blank, as a variable with several zones does; accepted is one zone: write the zones out, each by itself`},
		{"ttlfloor 30s, consul", `1: "30s," holds a comma; accepted are blanks between zones`},
		{"ttlfloor 30s,consul", `1: "30s,consul" holds a comma; accepted are blanks between zones`},
		{"ttlfloor \"\"", `1: "" is empty, as a variable is that is not set; accepted is a zone`},
		{"ttlfloor 10.0.0", `1: FLOOR "10.0.0" is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to 168h0m0s`},
		{"ttlfloor 127.0.0.1", `1: "127.0.0.1" is not a zone; accepted is a domain name or a network in CIDR notation`},
		{"ttlfloor 30 s", `1: "30 s" holds a blank; accepted is a TTL in one word (30s), or a zone with its last dot ("s.")`},
		{"ttlfloor 30 S consul", `1: "30 S" holds a blank; accepted is a TTL in one word (30s), or a zone with its last dot ("S.")`},
		{"ttlfloor 5 minutes {\n }", `1: "5 minutes" holds a blank; accepted is a TTL in one word (30s), or a zone with its last dot ("minutes.")`},
		{"ttlfloor 30s consul jitter off", `1: "jitter" is a word of the options; accepted are options in braces, each on a line of its own, and a zone of that name with its last dot ("jitter.")`},
		{"ttlfloor negative off", `1: "negative" is a word of the options; accepted are options in braces, each on a line of its own, and a zone of that name with its last dot ("negative.")`},
		{"ttlfloor {\n smear\n }", `2: smear "" is not a delay; accepted is one Go duration from 10ms to 500ms (100ms)`},
		{"ttlfloor {\n smear 9ms\n }", `2: smear "9ms" is not a delay; accepted is one Go duration from 10ms to 500ms (100ms)`},
		{"ttlfloor {\n smear 501ms\n }", `2: smear "501ms" is not a delay; accepted is one Go duration from 10ms to 500ms (100ms)`},
		{"ttlfloor {\n smear 100\n }", `2: smear "100" is not a delay; accepted is one Go duration from 10ms to 500ms (100ms)`},
		{"ttlfloor {\n smear 100ms 1s\n }", `2: smear "100ms 1s" is not a delay; accepted is one Go duration from 10ms to 500ms (100ms)`},
		{"ttlfloor {\n smear 100ms\n jitter off\n }", `3: "jitter off": smear needs a jitter that is scheduled, or none; accepted is to leave one of the two out`},
		{"ttlfloor {\n jitter 10% random\n smear 10ms\n }", `3: "smear 10ms": smear needs a jitter that is scheduled, or none; accepted is to leave one of the two out`},
		{"ttlfloor {\n observe on\n }", `2: option "observe on" has 1 arguments; accepted is none`},
		{"ttlfloor {\n observe\n observe\n }", `3: option "observe" is given twice; accepted is once in a rule`},
		{"ttlfloor {\n zero 30 s\n }", `2: option "zero 30 s" has 2 arguments; accepted is one TTL`},
		{"ttlfloor {\n zero 30s,\n }", `2: "30s," holds a comma; accepted are blanks between words`},
		{"ttlfloor 30s a.example\nttlfloor 30s b.example\n\nttlfloor 30s c.example b.example", `4: zone "b.example." has a rule for all types already, at Testfile:2; accepted is one rule for a zone and type, and one for the zone without types`},
		{"ttlfloor 30s a.example ttlfloor 30s a.example", `1: "ttlfloor" stands on the line of the rule at Testfile:1 again, as where a snippet or a file is imported twice; accepted is one import in a server block, and one rule on a line`},
		{"ttlfloor ttlfloor", `1: "ttlfloor" stands on the line of the rule at Testfile:1 again, as where a snippet or a file is imported twice; accepted is one import in a server block, and one rule on a line`},
	} {
		t.Run(tt.in, func(t *testing.T) {
			c := caddy.NewTestController("dns", tt.in)
			c.ServerBlockKeys = []string{"dns://example.com.:53"}
			number, text, _ := strings.Cut(tt.line, ": ")
			want := fmt.Sprintf("Testfile:%s - Error during parsing: %s", number, text)
			if _, err := parse(c); err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// TestParseRefusesTokens has a token that is no zone wherever a zone is read; the
// others are in internal/zonename.
func TestParseRefusesTokens(t *testing.T) {
	for corefile, want := range map[string]string{
		`ttlfloor 30s "a.local b.local"`:                             `1 - Error during parsing: "a.local b.local" holds a blank, as a variable with several zones does; accepted is one zone: write the zones out, each by itself`, // case 20
		"ttlfloor 30s *.svc.cluster.local":                           `1 - Error during parsing: "*.svc.cluster.local" has a wildcard, but a zone holds all names below it; accepted is "svc.cluster.local"`,
		"ttlfloor 30s a.local, b.local":                              `1 - Error during parsing: "a.local," holds a comma; accepted are blanks between zones`,
		"ttlfloor 30s consul jitter off":                             `1 - Error during parsing: "jitter" is a word of the options; accepted are options in braces, each on a line of its own, and a zone of that name with its last dot ("jitter.")`,
		"ttlfloor 30s a.example bücher.example z.example":            `1 - Error during parsing: "bücher.example" is outside ASCII; accepted is the name with A-labels, as it is asked for, "xn--bcher-kva.example"`,
		"ttlfloor 30s . {\nexcept b.example a.example; z.example\n}": `2 - Error during parsing: "a.example;" holds ";"; accepted are zones with blanks between them, and "#" before a comment`,
		"ttlfloor 30s a..b":                                          `1 - Error during parsing: "a..b" is not a zone; accepted is a domain name or a network in CIDR notation`,
	} {
		if _, err := parse(caddy.NewTestController("dns", corefile)); err == nil || err.Error() != "Testfile:"+want {
			t.Errorf("%s\ngot  %v\nwant %s", corefile, err, want)
		}
	}
}

// TestParseServerBlock has a key of the server block that is no zone that anybody
// asks for, and rules that take their zones from there.
func TestParseServerBlock(t *testing.T) {
	for key, want := range map[string]string{
		"dns://*.local.:53":        `Testfile:1 - Error during parsing: "*.local." has a wildcard, but a zone holds all names below it; accepted is "local."`,
		"dns://bücher.example.:53": `Testfile:1 - Error during parsing: "bücher.example." is outside ASCII; accepted is the name with A-labels, as it is asked for, "xn--bcher-kva.example."`,
	} {
		c := caddy.NewTestController("dns", "ttlfloor 30s")
		c.ServerBlockKeys = []string{key}
		if _, err := parse(c); err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", key, err, want)
		}
	}
}

// TestZones has the choice of the rule.
func TestZones(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	h := newTTLFloor(t, `ttlfloor 1 .
		ttlfloor 2 example {
			except no.example
		}
		ttlfloor 3 a.example {
			types SRV
			except b.a.example
		}
		ttlfloor 4 a.example {
			types A
		}
		ttlfloor 5 x.no.example
		ttlfloor 6 10.in-addr.arpa
		ttlfloor 7 cluster.local`, nil)
	for _, tt := range []struct {
		name  string
		qname string
		qtype uint16
		floor uint32
		zone  string
	}{
		{"the root is the last resort", "example.org.", dns.TypeA, 1, "."},
		{"the root itself", ".", dns.TypeNS, 1, "."},
		{"a zone itself", "example.", dns.TypeA, 2, "example."},
		{"a name in it", "c.b.example.", dns.TypeA, 2, "example."},
		{"a name in mixed case", "C.b.eXaMPLE.", dns.TypeA, 2, "example."},
		{"a name that only ends alike", "notexample.", dns.TypeA, 1, "."},
		{"a name that ends alike with a dot in its label", `not\.example.`, dns.TypeA, 1, "."},
		{"the same below a zone of two labels", `foo\.cluster.local.`, dns.TypeA, 1, "."},
		{"the longest zone", "b.a.example.", dns.TypeA, 4, "a.example."},
		{"the type within a zone", "c.a.example.", dns.TypeSRV, 3, "a.example."},
		{"a type that no rule of the zone is for", "a.example.", dns.TypeAAAA, 2, "example."},
		{"except is as if the rule were not there", "a.no.example.", dns.TypeA, 1, "."},
		{"except the zone itself", "NO.example.", dns.TypeA, 1, "."},
		{"except holds for the rule's type only", "b.a.example.", dns.TypeSRV, 2, "example."},
		{"a rule below except", "y.x.no.example.", dns.TypeA, 5, "x.no.example."},
		{"a reverse name", "4.3.2.10.in-addr.arpa.", dns.TypePTR, 6, "10.in-addr.arpa."},
		{"a name of 127 labels", strings.Repeat("a.", 123) + "b.c.no.example.", dns.TypeA, 1, "."},
		{"a name of 255 octets", label63 + "." + label63 + "." + label63 + "." + strings.Repeat("a", 53) + ".example.", dns.TypeA, 2, "example."},
		{"a name of more than 255 characters", strings.Repeat(`\200\200\200\200.`, 19) + "example.", dns.TypeA, 2, "example."},
		{"a name with octets above 127", `\200\201.example.`, dns.TypeA, 2, "example."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z, r := h.zones.match(tt.qname, tt.qtype)
			if z == nil || r == nil || r.floor != tt.floor || z.name != tt.zone {
				t.Errorf("got rule %+v of zone %+v, want floor %d of %s", r, z, tt.floor, tt.zone)
			}
		})
	}
	none := newTTLFloor(t, "ttlfloor example", nil)
	if z, r := none.zones.match("example.org.", dns.TypeA); z != nil || r != nil {
		t.Errorf("got %v, %v for a name in no rule", z, r)
	}
}
