package zonename

import (
	"slices"
	"strings"
	"testing"
)

// TestParseRefuses has what is no zone, or no zone that anybody asks for.
func TestParseRefuses(t *testing.T) {
	const (
		blank     = ` holds a blank, as a variable with several zones does; accepted is one zone: write the zones out, each by itself`
		comma     = ` holds a comma; accepted are blanks between zones`
		invisible = ` holds an invisible character; accepted is the name without it`
		brace     = `; accepted are zones on the line of the directive, without quotes, and a blank before a brace`
		notZone   = ` is not a zone; accepted is a domain name or a network in CIDR notation`
		inner     = ` has a wildcard within, and zones have none; accepted is the name of a zone, which holds all names below it`
		pattern   = ` has a backslash before a dot, as a pattern does; accepted is a name with plain dots, and \046 for a dot within a label`
	)
	wildcard := func(zone string) string {
		return ` has a wildcard, but a zone holds all names below it; accepted is "` + zone + `"`
	}
	ascii := func(name string) string {
		return ` is outside ASCII; accepted is the name with A-labels, as it is asked for, "` + name + `"`
	}
	word := func(zone string) string {
		return ` is a word of the options; accepted are options in braces, each on a line of its own, and a zone of that name with its last dot ("` + zone + `")`
	}
	number := func(zone string) string {
		return ` looks like a number where a zone belongs; accepted is one FLOOR, directly behind the directive, then zones, with their last dot where they look like a number ("` + zone + `")`
	}
	escaped := func(char, escape string) string {
		return ` holds ` + char + `; accepted is a domain name, with ` + escape + ` for the character where it is meant`
	}
	for _, tt := range []struct{ token, text string }{
		{"", ` is empty, as a variable is that is not set; accepted is a zone`},
		{"a.local b.local", blank},
		{"a.local ", blank},
		{" ", blank},
		{"a.local\tb.local", blank},
		{"a.local\nb.local", blank},
		{"a.local\u00a0b.local", blank},
		{"a.local\u3000b.local", blank},
		{"a.local, b.local", blank},
		{`a\ b.local`, blank},
		{"a.local,", comma},
		{"a.local,b.local", comma},
		{",", comma},
		{"*.a.local,*.b.local", comma},
		{"*.svc.cluster.local", wildcard("svc.cluster.local")},
		{"*.example.", wildcard("example.")},
		{"*", wildcard(".")},
		{"*.", wildcard(".")},
		{"*.*.example", wildcard("example")},
		{"a.*.example", inner},
		{"*.a.*.example", inner},
		{"linkerd*.example.org", inner},
		{"10%", ` is a percentage; accepted is jitter in braces, on a line of its own`},
		{"SRV", ` is a query type; accepted are types in braces, on a line of their own, and a zone of that name with its last dot ("SRV.")`},
		{".svc.cluster.local", ` begins with a dot, but a zone holds all names below it; accepted is "svc.cluster.local"`},
		{`svc\.cluster\.local`, pattern},
		{"bücher.example", ascii("xn--bcher-kva.example")},
		{"BÜCHER.example", ascii("xn--bcher-kva.example")},
		{"_dns.bücher.example", ascii("_dns.xn--bcher-kva.example")},
		{"日本.example", ascii("xn--wgv71a.example")},
		{"а.example", ascii("xn--80a.example")}, // Cyrillic
		{"a。example", ascii("a.example")},
		{"a.example\ufe0f", ascii("a.example")},
		{"\ufe0f", ascii("xn--...")},
		{"\ufffd.example", ascii("xn--...")},
		{"a\u200b.local", invisible},
		{"a\u200d.local", invisible},
		{"a\u00ad.local", invisible},
		{"a\u202e.local", invisible},
		{"a\u2066.local", invisible},
		{"a\x00.local", invisible},
		{"a\x7f.local", invisible},
		{"a.local\ufeff", invisible},
		{"bü\u200bcher.example", invisible},
		{"@", ` holds "@"; accepted is the name of a zone, or no zone at all for those of the server block`},
		{"hostmaster@example", ` holds "@"; accepted is the name of a zone, or no zone at all for those of the server block`},
		{"a.local;", ` holds ";"; accepted are zones with blanks between them, and "#" before a comment`},
		{"(a.local", ` holds '('` + brace},
		{"a.local)", ` holds ')'` + brace},
		{"consul{", ` holds '{'` + brace},
		{"consul{}", ` holds '{'` + brace},
		{"'a.local'", ` holds '\''` + brace},
		{`a.local"`, ` holds '"'` + brace},
		{"a=b", escaped("'='", `\061`)},
		{"a.example+b.example", escaped("'+'", `\043`)},
		{"[::1]", escaped("'['", `\091`)},
		{"a.local&", escaped("'&'", `\038`)},
		{"jitter", word("jitter.")},
		{"Observe", word("Observe.")},
		{"SMEAR", word("SMEAR.")},
		{"off", word("off.")},
		{"negative=5s", word("negative.")},
		{"max:5m", word("max.")},
		{"max:5", word("max.")},
		{"60s", number("60s.")},
		{"10.0.0", number("10.0.0.")},
		{".5", number(".5.")},
		{"a..b", notZone},
		{".a", ` begins with a dot, but a zone holds all names below it; accepted is "a"`},
		{`a\`, notZone},
		{strings.Repeat("a", 64), notZone},
		{strings.Repeat("a.", 127) + "aa", notZone},
		{"10.0.0.0/33", notZone},
		{"10.0.0.1", notZone},
		{"10.0.0.1.", notZone},
		{"10.0.0.1:53", notZone},
		{"2001:db8::1", notZone},
		{"fe80::", notZone},
		{"1:2:3:4:5:6:7:8", notZone},
		{"::1", notZone},
		{":53", notZone},
		{"a:b", notZone},
		{"dns://", notZone},
		{"http://a.example", notZone},
		{"https://a.example/dns-query", notZone},
		{"/etc/coredns/zones", notZone},
		{"0/25.example", notZone},
	} {
		t.Run(tt.token, func(t *testing.T) {
			if names, why := Parse(tt.token); names != nil || " "+why != tt.text && why != tt.text {
				t.Errorf("%q: got %q, %q\nwant %s", tt.token, names, why, tt.text)
			}
		})
	}
}

// TestParse has what is a zone, and the names that it stands for as they are asked
// for.
func TestParse(t *testing.T) {
	for token, want := range map[string][]string{
		".":                            {"."},
		"a.example":                    {"a.example."},
		"A.Example.":                   {"a.example."},
		"_sip._tcp.a.example":          {"_sip._tcp.a.example."},
		"-a.example":                   {"-a.example."},
		"max.":                         {"max."},
		"42.":                          {"42."},
		"maximum":                      {"maximum."},
		`\097.example`:                 {"a.example."},
		`a\046b.example`:               {`a\.b.example.`},
		"srv":                          {"srv."},
		"mx.":                          {"mx."},
		"dns://a.example:53":           {"a.example."},
		"10.0.0.0/8":                   {"10.in-addr.arpa."},
		"10.0.0.0/7":                   {"10.in-addr.arpa.", "11.in-addr.arpa."},
		"0.0.0.0/0":                    {"in-addr.arpa."},
		"::/0":                         {"ip6.arpa."},
		"2001:db8::/32":                {"8.b.d.0.1.0.0.2.ip6.arpa."},
		"::ffff:10.0.0.0/104":          {"10.in-addr.arpa."},
		"0/25.2.0.192.in-addr.arpa":    {"0/25.2.0.192.in-addr.arpa."},
		"0/25.2.0.192.IN-ADDR.ARPA.":   {"0/25.2.0.192.in-addr.arpa."},
		"0-127.2.0.192.in-addr.arpa":   {"0-127.2.0.192.in-addr.arpa."},
		strings.Repeat("a", 63) + ".b": {strings.Repeat("a", 63) + ".b."},
	} {
		t.Run(token, func(t *testing.T) {
			got, why := Parse(token)
			slices.Sort(got)
			if why != "" || !slices.Equal(got, want) {
				t.Errorf("%q: got %q, %q, want %q", token, got, why, want)
			}
		})
	}
}

// TestIsNumber tells FLOOR from a zone.
func TestIsNumber(t *testing.T) {
	for token, want := range map[string]bool{
		"": false, "30": true, "30s": true, "30x": true, "-5": true, "+5": true, ".5": true, "1.5": true, "1m30s": true, "10.0.0": true, "0x1f": true,
		"a": false, "30.": false, "30 s": false, "30,": false, "3.example": false, "10.0.0.1": false, "10.0.0.0/8": false, "::/0": false, "1d.example": false,
	} {
		if got := IsNumber(token); got != want {
			t.Errorf("%q: %v", token, got)
		}
	}
}
