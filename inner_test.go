package ttlfloor

import (
	"context"
	"strings"
	"testing"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/test"

	"github.com/miekg/dns"
)

// TestInnerElsewhere has a CNAME whose target another server block serves, with a
// rule that would make 658 of its TTL of 200, and caches that would keep that.
func TestInnerElsewhere(t *testing.T) {
	other := block("other", "ttlfloor 60s {\njitter 1000% 1000%\n}", source(200))
	for _, tt := range []struct {
		name    string
		keys    string
		lines   []string
		floored bool
	}{
		{"a cache and no rule", "org", []string{"cache 3600"}, false},
		{"a cache and a rule for other names", "org", []string{"ttlfloor 30s sub.org", "cache 3600"}, false},
		{"a cache and a rule for other types", "org", []string{"ttlfloor 30s org {\ntypes SRV\n}", "cache 3600"}, false},
		{"a cache and several keys", "net org", []string{"cache 3600"}, false},
		{"a cache of the zone", "org", []string{"cache 3600 org"}, false},
		{"a cache of another zone", "org", []string{"cache 3600 sub.org"}, true},
		{"no cache", "org", nil, true},
		{"no cache and a rule for other names", "org", []string{"ttlfloor 30s sub.org"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			corefile := block(tt.keys, append(tt.lines, zoneFile(t, "org", "@ 3600 SOA ns hostmaster 1 7200 1800 86400 1\n@ 3600 NS ns\nout 300 CNAME a.other.\n"))...) + other
			s := start(t, corefile)
			for _, round := range []string{"asked", "cached", "after a reload", "cached after it"} {
				if round == "after a reload" {
					if err := s.reload(t, corefile+"# again\n"); err != nil {
						t.Fatal(err)
					}
				}
				m := s.ask(t, "out.org.", dns.TypeA)
				if len(m.Answer) != 2 {
					t.Fatalf("%s: got %v", round, m)
				}
				low, high := uint32(190), uint32(200)
				if tt.floored {
					low, high = 658, 660
				}
				checkTTL(t, round, m.Answer[1].Header().Ttl, low, high)
			}
			checkTTL(t, "asked for by itself", s.ttl(t, "a.other.", dns.TypeA), 658, 660)
			if got := sample(t, "coredns_ttlfloor_served_ttl_seconds", "zone", "other.").GetHistogram().GetSampleCount(); got != 1 && !tt.floored {
				t.Errorf("%d responses for the inner zone, want 1", got)
			}
		})
	}
}

// TestInnerOutside has plugins outside of ttlfloor and *cache* that ask for
// another type, each of which is floored like any query.
func TestInnerOutside(t *testing.T) {
	const soa = "authority \"{{ .Zone }} 0 IN SOA ns.{{ .Zone }} h.{{ .Zone }} 1 2 3 4 0\"\n}"
	for _, tt := range []struct {
		name  string
		qtype uint16
		lines []string
	}{
		{"dns64", dns.TypeAAAA, []string{"dns64 {\nallow_ipv4\n}", source(0), "template IN AAAA {\n" + soa}},
		{"siit", dns.TypeA, []string{"siit", "template IN AAAA {\nanswer \"{{ .Name }} 0 IN AAAA 64:ff9b::192.0.2.1\"\n}", "template IN A {\n" + soa}},
	} {
		for _, cache := range []string{"", "cache 3600"} {
			t.Run(tt.name+" "+cache, func(t *testing.T) {
				s := start(t, block("example", append(tt.lines, cache, "ttlfloor 30s {\nnegative 30s\n}")...))
				for range 2 {
					checkTTL(t, "synthesized", s.ttl(t, "a.example.", tt.qtype), 33, 45)
				}
			})
		}
	}
}

// TestMark has what the mark costs, and what it is not put below.
func TestMark(t *testing.T) {
	var marked bool
	next := plugin.HandlerFunc(func(ctx context.Context, _ dns.ResponseWriter, _ *dns.Msg) (int, error) {
		marked = ctx.Value(innerKey{}) != nil
		return dns.RcodeSuccess, nil
	})
	cache := &struct {
		plugin.Handler
		Next  plugin.Handler
		Zones []string
	}{Next: next, Zones: []string{"example."}}
	markBelow(cache)
	markBelow(cache)
	if m, ok := cache.Next.(mark); !ok || m.Name() != next.Name() {
		t.Fatalf("got %#v", cache.Next)
	} else if _, twice := m.Handler.(mark); twice {
		t.Error("marked twice")
	}
	r, other := new(dns.Msg).SetQuestion("A.Example.", dns.TypeA), new(dns.Msg).SetQuestion("a.other.", dns.TypeA)
	serve := func(r *dns.Msg) {
		if _, err := cache.Next.ServeDNS(context.Background(), &test.ResponseWriter{}, r); err != nil {
			t.Error(err)
		}
	}
	if serve(r); !marked {
		t.Error("a query of the cache is not marked")
	}
	for _, r := range []*dns.Msg{other, new(dns.Msg)} {
		if serve(r); marked {
			t.Errorf("marked: %v", r)
		}
	}
	r.Question[0].Name = strings.ToLower(r.Question[0].Name)
	if with, without := testing.AllocsPerRun(100, func() { serve(r) }), testing.AllocsPerRun(100, func() { serve(other) }); with > without+1 {
		t.Errorf("%v allocations with the mark, %v without", with, without)
	}

	type inner struct{ plugin.Handler }
	noNext, last := &struct{ plugin.Handler }{}, &struct {
		plugin.Handler
		Next  plugin.Handler
		Zones []string
	}{}
	for _, h := range []plugin.Handler{
		nil, next, noNext, last, inner{}, *cache,
		&struct {
			plugin.Handler
			Next  *inner
			Zones []string
		}{Next: &inner{}},
		&struct {
			plugin.Handler
			Next plugin.Handler
		}{Next: next},
	} {
		markBelow(h) // no panic
	}
	if last.Next != nil {
		t.Error("marked what is not there")
	}
}
