package capture

import (
	"testing"
	"time"

	"github.com/miekg/dns"
)

// berlin is where the times are from that have no zone.
var berlin = time.FixedZone("Berlin", 3600)

// TestTimesInFront has lines as tools write them, each with the time in front of it.
func TestTimesInFront(t *testing.T) {
	const (
		whole    = "2026-11-26T09:00:00Z"
		precise  = "2026-11-26T09:00:00.123456Z"
		precise9 = "2026-11-26T09:00:00.123456789Z"
		tenth    = "2026-11-26T09:00:00.1Z"
	)
	for what, tc := range map[string]struct{ front, want string }{
		"journal, short-iso":           {"2026-11-26T09:00:00+0000 host coredns[123]: ", whole},
		"journal, short-iso, a colon":  {"2026-11-26T10:00:00+01:00 host coredns[123]: ", whole},
		"journal, short-iso-precise":   {"2026-11-26T10:00:00.123456+0100 host coredns[123]: ", precise},
		"journal, short-precise":       {"Nov 26 10:00:00.123456 host coredns[123]: ", precise},
		"journal, short-unix":          {"1795683600.123456 host coredns[1]: ", precise},
		"journal, short-full":          {"Thu 2026-11-26 09:00:00 UTC host coredns[1]: ", whole},
		"journal, short-full, a zone":  {"Thu 2026-11-26 10:00:00 CET host coredns[1]: ", whole},
		"syslog, RFC 3164":             {"Nov 26 10:00:00 host coredns[123]: ", whole},
		"syslog, RFC 3164, a priority": {"<30>Nov 26 10:00:00 host coredns[123]: ", whole},
		"syslog, RFC 5424":             {"<34>1 2026-11-26T09:00:00.123456Z host coredns 1 - - ", precise},
		"rsyslog":                      {"2026-11-26T10:00:00.123456+01:00 host coredns[1]: ", precise},
		"rsyslog around kubectl":       {"2026-11-26T10:00:01+01:00 host coredns[1]: " + precise + " ", precise},
		"syslog around kubectl":        {"Nov 26 10:00:01 host coredns[1]: " + precise + " ", precise},
		"kubectl around old CoreDNS":   {precise9 + " 2026-11-26T10:00:00.999+01:00 ", precise9},
		"stern":                        {"pod container " + precise9 + " ", precise9},
		"stern, an offset":             {"coredns-abc coredns 2026-11-26T10:00:00.1+01:00 ", tenth},
		"stern, coloured":              {"\x1b[38;5;10mcoredns-abc\x1b[0m \x1b[38;5;11mcoredns\x1b[0m " + precise + " ", precise},
		"docker compose":               {"coredns-1  | " + precise9 + " ", precise9},
		"docker compose, coloured":     {"\x1b[36mcoredns-1  | \x1b[0m" + precise9 + " ", precise9},
		"logcli":                       {`2026-11-26T10:00:00+01:00 {app="coredns", pod="coredns-7d"} `, whole},
		"logcli, coloured":             {"\x1b[34m" + whole + "\x1b[0m \x1b[32m{app=\"coredns\"}\x1b[0m ", whole},
		"in a pair":                    {"ts=" + precise + " pod=coredns-7d ", precise},
		"a blank":                      {"2026-11-26 10:00:00.123456 ", precise},
		"a blank and a comma":          {"2026-11-26 10:00:00,123456 ", precise},
		"a blank and a zone":           {"2026-11-26 09:00:00.1Z ", tenth},
		"Go":                           {"2026/11/26 10:00:00 ", whole},
		"no zone":                      {"2026-11-26T10:00:00.123456 ", precise},
		"in brackets":                  {"[2026-11-26T09:00:00Z] ", whole},
		"an offset of hours":           {"2026-11-26T10:00:00+01 ", whole},
		"a negative offset":            {"2026-11-26T03:30:00-0530 ", whole},
		"more digits than nanoseconds": {"2026-11-26T09:00:00.123456789012Z ", precise9},
		"colours alone":                {"\x1b[2m", ""},
		"no such month":                {"2026-13-26T10:00:00Z ", ""},
		"no such day":                  {"2026-02-30T10:00:00Z ", ""},
		"no such hour":                 {"2026-11-26T24:00:00Z ", ""},
		"no such minute":               {"2026-11-26T10:60:00Z ", ""},
		"no such second":               {"2026-11-26T10:00:61Z ", ""},
		"no such offset":               {"2026-11-26T10:00:00+9900 ", ""},
		"half an offset":               {"2026-11-26T10:00:00+0 ", ""},
		"a point without digits":       {"2026-11-26T10:00:00. ", ""},
		"letters for digits":           {"2026-11-26Txx:00:00Z ", ""},
		"no such month, syslog":        {"Nox 26 10:00:00 host coredns[1]: ", ""},
		"a month across two":           {"anF 26 10:00:00 host coredns[1]: ", ""},
		"no such day, syslog":          {"Nov 31 10:00:00 host coredns[1]: ", ""},
		"a number with a point":        {"17956836001.123456 host coredns[1]: ", ""},
		"something behind the time":    {"2026-11-26T10:00:00Zulu ", ""},
		"something before the time":    {"x2026-11-26T10:00:00Z ", ""},
	} {
		t.Run(what, func(t *testing.T) {
			want := Message{Client: addr("10.1.2.3"), Name: "example.org.", Type: dns.TypeA, TTL: -1}
			if tc.want != "" {
				want.At = at(t, tc.want).Add(-37990251)
			}
			now := func() time.Time { return at(t, "2026-12-24T12:00:00Z").In(berlin) }
			for _, s := range []string{"[INFO] " + line, "\x1b[1m[INFO]\x1b[0m " + line + "\x1b[0m\x1b[K", `{"plugin":"log","client_ip":"10.1.2.3",` +
				`"qname":"example.org.","qtype":"A","qclass":"IN","rcode":"NOERROR","duration_seconds":0.037990251}`} {
				got, _ := read(t, []byte(tc.front+s+"\n"), Options{now: now})
				same(t, got, []Message{want})
			}
		})
	}
}

// TestTimesWithoutLevel has times in front of lines that have no level after them.
func TestTimesWithoutLevel(t *testing.T) {
	want := at(t, "2026-11-26T09:00:00.123Z").Add(-37990251)
	for _, front := range []string{"2026-11-26T10:00:00.123+0100 ", "2026-11-26 09:00:00.123Z ", "1795683600.123 ", "\x1b[33m2026-11-26T09:00:00.123Z\x1b[0m "} {
		got, _ := read(t, []byte(front+line), Options{})
		if len(got) != 1 || !got[0].At.Equal(want) {
			t.Errorf("%q: %+v", front, got)
		}
	}
}

// TestTimeBesideFormat has formats that begin or end with anything, which is not the time.
func TestTimeBesideFormat(t *testing.T) {
	for what, tc := range map[string]struct{ format, line string }{
		"in front": {"{/k/pod} {remote} {name} {type}", "2026-11-26T10:00:00+0000 host coredns[1]: [INFO] pod 10.1.2.3 a. A"},
		"Docker":   {"{remote} {name} {type} {/k/pod}", `{"log":"[INFO] 10.1.2.3 a. A pod\n","time":"2026-11-26T10:00:00Z"}`},
	} {
		got, _ := read(t, []byte(tc.line), Options{LogFormat: tc.format})
		if len(got) != 1 || !got[0].At.Equal(at(t, "2026-11-26T10:00:00Z")) {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

// TestYears has times without a year, in the order of a file, and what they are when it is
// read.
func TestYears(t *testing.T) {
	for what, tc := range map[string]struct {
		now         string
		lines, want []string
	}{
		"this year":             {"2026-11-26T12:00:00Z", []string{"Nov 26 10:00:00", "Nov  6 09:00:00"}, []string{"2026-11-26T10:00:00Z", "2026-11-06T09:00:00Z"}},
		"last year":             {"2026-03-01T00:00:00Z", []string{"Nov 26 10:00:00"}, []string{"2025-11-26T10:00:00Z"}},
		"over new year":         {"2027-01-05T00:00:00Z", []string{"Dec 31 23:59:59", "Jan  1 00:00:00"}, []string{"2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"}},
		"long after new year":   {"2027-11-26T00:00:00Z", []string{"Dec 31 23:59:59", "Jan 01 00:00:00"}, []string{"2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"}},
		"a clock that is ahead": {"2026-12-31T23:00:00Z", []string{"Jan  1 01:00:00"}, []string{"2027-01-01T01:00:00Z"}},
		"followed since":        {"2026-12-30T12:00:00Z", []string{"Dec 31 12:00:00", "Jan  2 12:00:00"}, []string{"2026-12-31T12:00:00Z", "2027-01-02T12:00:00Z"}},
		"a leap day":            {"2026-11-26T12:00:00Z", []string{"Feb 29 10:00:00"}, []string{"2024-02-29T10:00:00Z"}},
	} {
		t.Run(what, func(t *testing.T) {
			now := at(t, tc.now)
			c := clock{now: func() time.Time { return now }}
			for i, s := range tc.lines {
				got, n := c.stamp([]byte(s + " host"))
				if !got.Equal(at(t, tc.want[i])) || n != len(s) {
					t.Errorf("%q is %v, %d octets, want %s", s, got, n, tc.want[i])
				}
			}
		})
	}
}
