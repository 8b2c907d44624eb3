package capture

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// collect reads data, and returns copies of its messages.
func collect(tb testing.TB, data []byte, o Options) ([]Message, Counts, error) {
	tb.Helper()
	var got []Message
	c, err := Read(tb.Context(), "input", bytes.NewReader(data), o, func(m *Message) { got = append(got, *m) })
	if c.Messages != int64(len(got)) {
		tb.Errorf("%d messages are counted, and %d came", c.Messages, len(got))
	}
	if c.Bytes != int64(len(data)) && err == nil && !c.Truncated {
		tb.Errorf("%d octets are counted of %d", c.Bytes, len(data))
	}
	for _, s := range []string{c.FirstIgnored, c.Why} {
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
			tb.Errorf("%q cannot be printed", s)
		}
	}
	return got, c, err
}

// read is collect for what has no errors.
func read(tb testing.TB, data []byte, o Options) ([]Message, Counts) {
	tb.Helper()
	got, c, err := collect(tb, data, o)
	if err != nil {
		tb.Fatal(err)
	}
	return got, c
}

// same compares messages, but for what the server took, which TestTook is about.
func same(tb testing.TB, got, want []Message) {
	tb.Helper()
	got, want = slices.Clone(got), slices.Clone(want)
	for i := range max(len(got), len(want)) {
		if i < len(got) {
			got[i].Took = 0
		}
		if i < len(want) {
			want[i].Took = 0
		}
		switch {
		case i >= len(got):
			tb.Errorf("message %d is missing: %+v", i, want[i])
		case i >= len(want):
			tb.Errorf("message %d is one too many: %+v", i, got[i])
		case got[i] != want[i]:
			tb.Errorf("message %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

func at(tb testing.TB, s string) time.Time {
	tb.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		tb.Fatal(err)
	}
	return at.UTC()
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// query is one as it is on the wire.
func query(tb testing.TB, name string, typ uint16) []byte {
	tb.Helper()
	m := new(dns.Msg).SetQuestion(name, typ)
	m.Id = 7
	return pack(tb, m)
}

// answer is one with an A record.
func answer(tb testing.TB, name string, ttl uint32) []byte {
	tb.Helper()
	m := new(dns.Msg).SetQuestion(name, dns.TypeA)
	m.Id, m.Response = 7, true
	m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: ttl}, A: []byte{192, 0, 2, 1}}}
	return pack(tb, m)
}

func pack(tb testing.TB, m *dns.Msg) []byte {
	tb.Helper()
	m.Compress = true
	b, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
