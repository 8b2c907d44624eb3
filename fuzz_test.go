package ttlfloor

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/plugin"

	"github.com/miekg/dns"
)

// FuzzParse gives the parser any Corefile: it refuses it with a line and a
// reason, or returns rules that are within the contract's bounds.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"ttlfloor", "ttlfloor 30s", "ttlfloor 1m30s example.org 10.0.0.0/8", "ttlfloor . {\n zero 60\n negative off\n}",
		"ttlfloor 5 a b {\n max 1h\n jitter -25% 25% random\n types SRV TYPE65\n except x.a\n}\nttlfloor 6 a",
		"ttlfloor {\n jitter 0%\n}", "ttlfloor 30x", "ttlfloor 99999999999", "ttlfloor \"\"", "ttlfloor {\n jitter off\n jitter off\n}", "ttlfloor 42. {", "ttlfloor {\n types\n}",
		"ttlfloor 30s \"a.local b.local\"", "ttlfloor 30s a.local, b.local", "ttlfloor *.a.local", "ttlfloor 30s consul jitter off", "ttlfloor 30 s", "ttlfloor bücher.example",
		"ttlfloor 0/25.2.0.192.in-addr.arpa ::/0 ::ffff:10.0.0.0/105 dns://a:53", "ttlfloor 30s a ttlfloor 30s a", "ttlfloor 30s a\u200b.local (b @ c; 'd' e{",
		"ttlfloor 30s a\\@b.local \\042.local max. {\n observe\n except b.max.\n}", "ttlfloor [::1]:53 10.0.0.1 http://a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, corefile string) {
		c := caddy.NewTestController("dns", corefile)
		c.ServerBlockKeys = []string{"dns://example.org.:53", "dns://example.net.:1053"}
		rules, err := parse(c)
		if err != nil {
			if text := err.Error(); !strings.HasPrefix(text, "Testfile:") || !strings.Contains(text, "; accepted ") {
				t.Errorf("%q: the error has no line, or not what is accepted: %s", corefile, text)
			}
			return
		}
		checkTokens(t, corefile)
		for _, r := range rules {
			switch {
			case r.floor < 1 || r.floor > week, r.zero < r.floor || r.zero > r.max, r.max > maxTTL, r.max < r.floor,
				r.negative > week || r.negative > r.max, r.low < -99 || r.low > r.high || r.high > 1000,
				len(r.zones) == 0, slices.Contains(r.zones, ""):
				t.Errorf("%q: %+v %q", corefile, r.policy, r.zones)
			}
		}
		z := newZones(rules)
		for _, name := range []string{"a.example.org.", ".", corefile, dns.Fqdn(corefile)} {
			if in, r := z.match(name, dns.TypeSRV); (in == nil) != (r == nil) {
				t.Errorf("%q: zone %v and rule %v for %q", corefile, in, r, name)
			}
		}
	})
}

// checkTokens checks the words of a Corefile that was accepted: none holds what a
// rule that cannot work is written with, unless it is escaped, and the options'
// names begin a line or a block, or are zones with their last dot.
func checkTokens(t *testing.T, corefile string) {
	t.Helper()
	odd := regexp.MustCompile(`[^!-~]|[,*@();'"=]|.[{}]|[{}].`)
	escape := regexp.MustCompile(`\\[!-~]`)
	option := regexp.MustCompile(`^(zero|negative|max|jitter|smear|observe|types|except)$`)
	line, before := 0, ""
	for d := caddyfile.NewDispenser("", strings.NewReader(corefile)); d.Next(); line, before = d.Line(), d.Val() {
		token := d.Val()
		if token == "" || odd.MatchString(escape.ReplaceAllString(token, "")) {
			t.Errorf("%q: %q was accepted", corefile, token)
		}
		if d.Line() == line && before != "{" && option.MatchString(strings.ToLower(token)) {
			t.Errorf("%q: the option %q was accepted within a line", corefile, token)
		}
	}
}

// FuzzRewrite sends any message that unpacks through any rule.
func FuzzRewrite(f *testing.F) {
	key, signed := signedAnswer(f)
	for _, m := range append([]*dns.Msg{
		signed,
		srvAnswer(f, 3, 0),
		message(f, "NXDOMAIN", "authority example. 0 SOA "+zoneSOA+" 0", "additional . 0 OPT"),
		message(f, "answer a.example. 5 CNAME b.example.", "authority example. 300 SOA "+zoneSOA+" 4294967295", "authority example. 1 SOA "+zoneSOA+" 7"),
		message(f, "NXDOMAIN", "authority example. 600 SOA "+zoneSOA+" 300", "authority a.example. 1 NSEC c.example. A", "authority "+rrsig("example.", "600", "SOA", "0", "20300101000000")),
		message(f, "answer a.example. 2147483648 TXT x", "answer a.example. 2147483647 TXT y", "answer a.example. 0 TYPE65300 \\# 1 00", "additional . 0 SIG", "additional k. 0 TSIG", "additional . 7 OPT", "additional . 8 OPT"),
		new(dns.Msg),
	}, new(dns.Msg).SetQuestion("a.example.", dns.TypeANY)) {
		wire, err := m.Pack()
		if err != nil {
			f.Fatalf("%v: %v", m, err)
		}
		f.Add(wire, uint32(30), uint32(0), uint32(5), uint32(0), int16(10), int16(40), uint8(0))
		f.Add(wire, uint32(600), uint32(60), uint32(0), uint32(1), int16(-50), int16(0), uint8(1))
		f.Add(wire, uint32(week), uint32(0), uint32(week), uint32(0), int16(0), int16(0), uint8(2))
	}
	f.Fuzz(func(t *testing.T, wire []byte, floor, zero, negative, ceiling uint32, low, width int16, mode uint8) {
		in := new(dns.Msg)
		if in.Unpack(wire) != nil {
			return
		}
		k := terms{floor: 1 + floor%week, negative: negative % (week + 1), max: maxTTL, jitter: mode%3 != 2}
		k.zero = min(k.floor+zero%week, maxTTL)
		if ceiling > 0 {
			k.max = min(max(k.zero, k.negative)+ceiling%week, maxTTL)
		}
		if k.jitter {
			k.low = -99 + int64(uint16(low))%1100
			k.high = min(k.low+int64(uint16(width))%1100, 1000)
		}
		qtype := dns.TypeA
		if len(in.Question) > 0 {
			qtype = in.Question[0].Qtype
		}
		checkRewrite(t, k, jitter(mode%3), in, qtype, key)
	})
}

// under makes a handler with one rule for all names.
func under(k terms, j jitter, next plugin.Handler) *TTLFloor {
	r := &rule{zones: []string{"."}, policy: policy{
		floor: k.floor, zero: k.zero, negative: k.negative, max: k.max, low: k.low, high: k.high, jitter: j,
	}}
	h := newHandler([]*rule{r}, rand.Uint32N)
	h.Next = next
	return h
}

// checkRewrite sends a message through a rule and checks what the contract promises.
func checkRewrite(t *testing.T, k terms, j jitter, in *dns.Msg, qtype uint16, key *dns.DNSKEY) {
	t.Helper()
	packed, packErr := in.Pack()
	before := in.Copy()
	var w sink
	h := under(k, j, respond(in))
	now := time.Now().Unix()
	for {
		if _, err := h.ServeDNS(context.Background(), &w, new(dns.Msg).SetQuestion("a.example.", qtype)); err != nil {
			t.Fatal(err)
		}
		if then := time.Now().Unix(); then == now {
			break
		} else {
			now = then
		}
	}
	out := w.got
	if wrong := judge(k, qtype, now, in, out); wrong != nil {
		t.Fatalf("%+v, %s\n%v\nbecame\n%v\n%s", k, dns.Type(qtype), in, out, strings.Join(wrong, "\n"))
	}
	if again, err := in.Pack(); (err == nil) != (packErr == nil) || !bytes.Equal(again, packed) || in.String() != before.String() {
		t.Fatalf("the message was written to:\n%v\nbefore:\n%v", in, before)
	}
	if (out == in) != (out.String() == in.String()) {
		t.Fatalf("changed %v:\n%v\nto\n%v", out != in, in, out)
	}
	if packErr == nil && new(dns.Msg).Unpack(packed) == nil { // not all that unpacks once does twice
		outPacked, err := out.Pack()
		if err != nil {
			t.Fatalf("does not pack: %v\n%v", err, out)
		}
		if err := new(dns.Msg).Unpack(outPacked); err != nil {
			t.Fatalf("does not unpack: %v\n%v", err, out)
		}
	}
	if key != nil {
		checkSignatures(t, in, out, key)
	}
}

// TestResponseProperties holds random responses under random rules to the contract.
func TestResponseProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		in := anyResponse(r, time.Now().Unix())
		qtype := dns.TypeA
		if len(in.Question) > 0 {
			qtype = in.Question[0].Qtype
		}
		k := anyTerms(r)
		j := off
		if k.jitter {
			j = jitter(r.IntN(2))
		}
		checkRewrite(t, k, j, in, qtype, nil)
	}
}

// checkSignatures checks that a signature that verified still does.
func checkSignatures(t *testing.T, in, out *dns.Msg, key *dns.DNSKEY) {
	t.Helper()
	for i, section := range sections(in) {
		for j, rr := range section {
			sig, ok := rr.(*dns.RRSIG)
			if !ok || sig.KeyTag != key.KeyTag() {
				continue
			}
			var was, is []dns.RR
			for k, rr := range section {
				if h := rr.Header(); h.Rrtype == sig.TypeCovered && strings.EqualFold(h.Name, sig.Hdr.Name) {
					was, is = append(was, rr), append(is, sections(out)[i][k])
				}
			}
			if sig.Verify(key, was) == nil {
				if err := sections(out)[i][j].(*dns.RRSIG).Verify(key, is); err != nil {
					t.Fatalf("a signature does not verify any more: %v\n%v\nbecame\n%v", err, in, out)
				}
			}
		}
	}
}

// signedAnswer returns a key and an answer that it signed.
func signedAnswer(tb testing.TB) (*dns.DNSKEY, *dns.Msg) {
	tb.Helper()
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // the same in all processes of a fuzzer
	key := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: "example.", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 300},
		Flags: 257, Protocol: 3, Algorithm: dns.ED25519, PublicKey: base64.StdEncoding.EncodeToString(private.Public().(ed25519.PublicKey)),
	}
	m := message(tb, "answer a.example. 20 A 192.0.2.1", "answer a.example. 20 A 192.0.2.2")
	sig := &dns.RRSIG{
		Hdr:    dns.RR_Header{Name: "a.example.", Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: 20},
		KeyTag: key.KeyTag(), SignerName: "example.", Algorithm: key.Algorithm,
		Inception: 1_000_000_000, Expiration: 2_000_000_000,
	}
	if err := sig.Sign(private, m.Answer); err != nil {
		tb.Fatal(err)
	}
	sig.Hdr.Ttl = 20
	m.Answer = append(m.Answer, sig)
	return key, m
}
