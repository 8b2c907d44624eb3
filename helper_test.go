package ttlfloor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	_ "github.com/coredns/coredns/plugin/bind" // the neighbours
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/dns64"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/file"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/metadata"
	_ "github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	_ "github.com/coredns/coredns/plugin/reload"
	_ "github.com/coredns/coredns/plugin/rewrite"
	_ "github.com/coredns/coredns/plugin/siit"
	_ "github.com/coredns/coredns/plugin/template"
	"github.com/coredns/coredns/plugin/test"
	_ "github.com/coredns/coredns/plugin/transfer"
	_ "github.com/coredns/coredns/plugin/tsig"
	_ "github.com/coredns/coredns/plugin/view"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/ttlfloor/ttlfloor/internal/chain"
)

func TestMain(m *testing.M) {
	caddy.Quiet, dnsserver.Quiet = true, true
	if err := chain.Set(); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// newTTLFloor makes a handler from directives.
func newTTLFloor(tb testing.TB, directives string, next plugin.Handler) *TTLFloor {
	tb.Helper()
	rules, err := parse(caddy.NewTestController("dns", directives))
	if err != nil {
		tb.Fatal(err)
	}
	t := newHandler(rules, rand.Uint32N)
	t.Next = next
	return t
}

// respond is a plugin that answers every query with the same message.
func respond(m *dns.Msg) plugin.Handler {
	return plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, _ *dns.Msg) (int, error) {
		return m.Rcode, w.WriteMsg(m)
	})
}

// exchange sends a query through a handler and returns the response as written.
func exchange(tb testing.TB, h plugin.Handler, name string, qtype uint16) *dns.Msg {
	tb.Helper()
	return exchangeFrom(tb, h, "192.0.2.100", name, qtype)
}

// exchangeFrom is exchange for a client of an address.
func exchangeFrom(tb testing.TB, h plugin.Handler, ip, name string, qtype uint16) *dns.Msg {
	tb.Helper()
	w := dnstest.NewRecorder(&test.ResponseWriter{RemoteIP: ip})
	if _, err := h.ServeDNS(context.Background(), w, new(dns.Msg).SetQuestion(name, qtype)); err != nil {
		tb.Fatal(err)
	}
	return w.Msg
}

// message parses a response: an rcode if it is not NOERROR, then a section and
// a record in zone-file form a line, such as "answer a.example. 0 A 192.0.2.1".
func message(tb testing.TB, lines ...string) *dns.Msg {
	tb.Helper()
	m := new(dns.Msg)
	m.Response = true
	for _, line := range lines {
		word, record, _ := strings.Cut(line, " ")
		if rcode, ok := dns.StringToRcode[word]; ok {
			m.Rcode = rcode
			continue
		}
		rr, err := dns.NewRR(record)
		if err != nil || rr == nil {
			tb.Fatalf("%q: %v", line, err)
		}
		switch word {
		case "answer":
			m.Answer = append(m.Answer, rr)
		case "authority":
			m.Ns = append(m.Ns, rr)
		case "additional":
			m.Extra = append(m.Extra, rr)
		default:
			tb.Fatalf("%q: no such section", line)
		}
	}
	return m
}

// text is the reverse of message.
func text(m *dns.Msg) string {
	var b strings.Builder
	if m.Rcode != dns.RcodeSuccess {
		fmt.Fprintln(&b, dns.RcodeToString[m.Rcode])
	}
	for i, name := range []string{"answer", "authority", "additional"} {
		for _, rr := range sections(m)[i] {
			fmt.Fprintln(&b, name, strings.ReplaceAll(rr.String(), "\t", " "))
		}
	}
	return b.String()
}

// host returns the nth of many addresses.
func host(n int) net.IP { return net.IPv4(10, byte(n>>16), byte(n>>8), byte(n)).To4() }

// counted returns the value of a counter.
func counted(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}
