package find

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coredns/caddy"
	_ "github.com/coredns/coredns/core/dnsserver" // its directives

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/capture"
)

// TestRules has the line for the names of findings. Each is taken by the plugin's own parser.
func TestRules(t *testing.T) {
	finding := func(name string) Finding { return Finding{Cure: true, Question: Question{Name: name}} }
	denied := finding("gone.shop.svc.cluster.local.")
	denied.Denied = true
	for _, tt := range []struct {
		name     string
		findings []Finding
		want     []string
	}{
		{"none", nil, nil},
		{"none that a rule cures", []Finding{{Question: Question{Name: "a.example."}}}, nil},
		{"one name", []Finding{finding("a.linkerd.svc.cluster.local.")}, []string{"ttlfloor 20s a.linkerd.svc.cluster.local"}},
		{"two findings of one name", []Finding{finding("a.linkerd.svc.cluster.local."), finding("a.linkerd.svc.cluster.local.")}, []string{"ttlfloor 20s a.linkerd.svc.cluster.local"}},
		{"two names under one parent", []Finding{finding("a.linkerd.svc.cluster.local."), finding("b.linkerd.svc.cluster.local.")}, []string{"ttlfloor 20s linkerd.svc.cluster.local"}},
		{"names of several parents", []Finding{finding("a.one.svc.cluster.local."), finding("b.two.svc.cluster.local.")}, []string{"ttlfloor 20s a.one.svc.cluster.local", "ttlfloor 20s b.two.svc.cluster.local"}},
		{"names that only a domain joins", []Finding{finding("a.example.com."), finding("b.example.com.")}, []string{"ttlfloor 20s a.example.com", "ttlfloor 20s b.example.com"}},
		{"denials", []Finding{denied}, []string{"ttlfloor 20s gone.shop.svc.cluster.local {\n    negative 20s\n}"}},
		{"one label", []Finding{finding("max.")}, []string{"ttlfloor 20s max."}},
		{"a number", []Finding{finding("42.")}, []string{"ttlfloor 20s 42."}},
		{"the root", []Finding{finding(".")}, []string{"ttlfloor 20s ."}},
		{"underscores", []Finding{finding("_grpc._tcp.a.svc.cluster.local.")}, []string{"ttlfloor 20s _grpc._tcp.a.svc.cluster.local"}},
		{"a label that no Corefile can have", []Finding{finding(`a\032b.c.example.`)}, []string{"ttlfloor 20s c.example"}},
		{"nothing but such", []Finding{finding(`a\"{.`)}, nil},
		{"a wildcard", []Finding{finding("*.c.example.")}, []string{"ttlfloor 20s c.example"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Report{Findings: tt.findings}
			r.advise(20)
			var got []string
			for _, rule := range r.Rules {
				if want := strings.Contains(tt.name, "no Corefile") || tt.name == "a wildcard"; rule.Wider != want {
					t.Errorf("%q is wider: %t", rule.Line, rule.Wider)
				}
				got = append(got, rule.Line)
				c := caddy.NewTestController("dns", rule.Line)
				c.ServerBlockKeys = []string{"dns://.:53"}
				setup, err := caddy.DirectiveAction("dns", "ttlfloor")
				if err == nil {
					err = setup(c)
				}
				if err != nil {
					t.Errorf("%q is refused: %v", rule.Line, err)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// TestRulesIf has a rule for several findings that helps only under a condition where all of
// them have one.
func TestRulesIf(t *testing.T) {
	finding := func(name, condition string) Finding {
		return Finding{Cure: true, If: condition, Question: Question{Name: name + ".linkerd.svc.cluster.local."}}
	}
	for _, tt := range []struct {
		findings []Finding
		want     string
	}{
		{[]Finding{finding("a", "so")}, "so"},
		{[]Finding{finding("a", "so"), finding("b", "")}, ""},
		{[]Finding{finding("a", ""), finding("b", "so")}, ""},
		{[]Finding{finding("a", "so"), finding("b", "or so")}, "so"},
	} {
		r := Report{Findings: tt.findings}
		if r.advise(30); len(r.Rules) != 1 || r.Rules[0].If != tt.want {
			t.Errorf("%+v: %+v", tt.findings, r.Rules)
		}
	}
}

// TestMostOfAll has a report without a finding name what takes most of the queries.
func TestMostOfAll(t *testing.T) {
	for other, want := range map[int]bool{200: true, 2000: false} {
		c := newCrowd(1, 10*time.Minute)
		c.independent("a.shop.svc.cluster.local.", 20, 10*time.Second)
		for range 10 {
			c.oneShot(c.name(), float64(other)/6000)
		}
		r := reportOf(c, false)
		var text bytes.Buffer
		if err := r.Text(&text); err != nil || strings.Contains(text.String(), "Yet a.shop.svc.cluster.local. has") != want {
			t.Errorf("%v\n%s", err, &text)
		}
	}
}

// fleets is a crowd with a herd of 200 every 30 s and a storm of three.
func fleets() *crowd {
	c := newCrowd(3, 5*time.Minute)
	c.fleet("herd.linkerd.svc.cluster.local.", 200, time.Second, 30*time.Second, 0, 30)
	c.fleet("herd.linkerd.svc.cluster.local.", 40, 20*time.Second, 20*time.Second, 0, -1)
	c.spinners("storm.linkerd.svc.cluster.local.", 3, 20*time.Millisecond, 0)
	c.oneShot("herd.linkerd.svc.cluster.local.", 3)
	return c
}

func reportOf(c *crowd, ttls bool) Report {
	f := New()
	c.run(f, ttls)
	return f.Report(30)
}

// TestPredicts has what a rule makes of a herd and of a storm: as few queries as their
// TTLs then ask for, in seconds that are even.
func TestPredicts(t *testing.T) {
	r := reportOf(fleets(), true)
	if err := r.Predict(30, 10); err != nil {
		t.Fatal(err)
	}
	if len(r.Findings) != 2 {
		t.Fatalf("%d findings", len(r.Findings))
	}
	for _, n := range r.Findings {
		p := n.Predict
		if p == nil {
			t.Fatalf("nothing is predicted for the %s", n.Kind)
		}
		least, most := float64(n.Followers)/45, float64(n.Followers)/33
		if p.Rate < least || p.Rate > most {
			t.Errorf("the %s of %d will have %.2f queries a second, want %.2f to %.2f", n.Kind, n.Followers, p.Rate, least, most)
		}
		if float64(p.Second) > math.Ceil(1.2*most) {
			t.Errorf("the %s will have %d in the busiest second", n.Kind, p.Second)
		}
		if p.Stale != 45 || len(p.Seconds) != len(n.Seconds) {
			t.Errorf("the %s: %+v", n.Kind, p)
		}
	}
}

// TestPredictsFrom has a replay begin with what the clients had: a TTL of 0 in a storm, though
// others were told more, and a cache that counts down in a herd. At FLOOR 20 nothing is even
// over a TTL of 60 that counts down, and all is over one that stays.
func TestPredictsFrom(t *testing.T) {
	c := newCrowd(7, 6*time.Minute)
	c.spinners("storm.shop.svc.cluster.local.", 3, 20*time.Millisecond, 0)
	c.independent("storm.shop.svc.cluster.local.", 5, 20*time.Second)
	c.fleet("herd.shop.svc.cluster.local.", 2000, time.Second, time.Minute, 0, 60)
	r := reportOf(c, true)
	if err := r.Predict(20, 2); err != nil {
		t.Fatal(err)
	}
	if n := r.of(Storm, "storm.shop.svc.cluster.local."); n == nil || n.TTLs[1] != 30 || n.Predict == nil || n.Predict.Before != 0 {
		t.Errorf("%+v", r.Findings)
	}
	if n := r.of(Herd, "herd.shop.svc.cluster.local."); n == nil || n.Predict == nil || n.Predict.Before != 60 || n.Predict.Ratio < 1.2 {
		t.Errorf("%+v", r.Findings)
	}
}

// TestPredictsFew has no more replays than were asked for, and none where a rule does not help.
func TestPredictsFew(t *testing.T) {
	r := reportOf(fleets(), true)
	r.Findings[1].Cure = false
	if err := r.Predict(30, 1); err != nil {
		t.Fatal(err)
	}
	if r.Findings[0].Predict == nil || r.Findings[1].Predict != nil {
		t.Errorf("%+v and %+v", r.Findings[0].Predict, r.Findings[1].Predict)
	}
	r = reportOf(fleets(), true)
	r.Findings[0].Cure = false
	if err := r.Predict(30, 2); err != nil {
		t.Fatal(err)
	}
	if r.Findings[0].Predict != nil || r.Findings[1].Predict == nil {
		t.Errorf("%+v and %+v", r.Findings[0].Predict, r.Findings[1].Predict)
	}
}

// TestSaysWhy has what a rule helps against, and what it does not, by what the input tells.
func TestSaysWhy(t *testing.T) {
	const name = "a.shop.svc.cluster.local."
	for _, tt := range []struct {
		name string
		add  func(c *crowd)
		ttls bool
		kind Kind
		cure bool
		why  string
	}{
		{"a storm, TTL 0", func(c *crowd) { c.spinners(name, 3, 10*time.Millisecond, 0) }, true, Storm, true, "a TTL of 0"},
		{"a storm, TTL 30", func(c *crowd) { c.spinners(name, 3, 10*time.Millisecond, 30) }, true, Storm, false, "ignore them"},
		{"a storm, no TTLs", func(c *crowd) { c.spinners(name, 3, 10*time.Millisecond, 0) }, false, Storm, true, "follow a TTL of 0"},
		{"one abuser beside others, no TTLs", func(c *crowd) {
			c.spinners(name, 1, 10*time.Millisecond, 0)
			c.independent(name, 10, 20*time.Second)
		}, false, Storm, false, "its own doing"},
		{"a herd that keeps TTLs", func(c *crowd) { c.fleet(name, 100, time.Second, 20*time.Second, 0, 20) }, true, Herd, true, "keep the TTLs"},
		{"a herd that does not", func(c *crowd) { c.fleet(name, 100, time.Second, 20*time.Second, 0, 50) }, true, Herd, false, "moves none of them"},
		{"a herd, no TTLs", func(c *crowd) { c.fleet(name, 100, time.Second, 20*time.Second, 0, 20) }, false, Herd, true, "as those do whose TTLs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCrowd(4, 3*time.Minute)
			tt.add(c)
			r := reportOf(c, tt.ttls)
			n := r.of(tt.kind, name)
			if n == nil || len(r.Findings) != 1 {
				t.Fatalf("%+v", r.Findings)
			}
			if n.Cure != tt.cure || !strings.Contains(n.Why, tt.why) {
				t.Errorf("cure %t: %s", n.Cure, n.Why)
			}
			if (len(r.Rules) > 0) != tt.cure {
				t.Errorf("rules %v", r.Rules)
			}
		})
	}
}

// TestUntold has what an input cannot tell.
func TestUntold(t *testing.T) {
	begin := time.Unix(1_700_000_000, 1e6)
	query := func(f *Finder, at time.Time) {
		f.Add(&capture.Message{At: at, Client: netip.MustParseAddr("192.0.2.1"), Name: "a.example.", Type: 1, Rcode: -1, TTL: -1})
	}
	for _, tt := range []struct {
		name string
		do   func(f *Finder)
		want []string
	}{
		{"no times", func(f *Finder) { query(f, time.Time{}) }, []string{"1 of 1 queries have no time"}},
		{"no TTLs, and short", func(f *Finder) { query(f, begin); query(f, begin.Add(time.Minute)) }, []string{"no TTLs", "wait for more than 20s"}},
		{"no TTLs, and long", func(f *Finder) { query(f, begin); query(f, begin.Add(time.Hour)) }, []string{"no TTLs"}},
		{"the clock goes back", func(f *Finder) {
			query(f, begin)
			query(f, begin.Add(time.Hour))
			query(f, begin.Add(time.Minute))
			query(f, begin.Add(time.Hour))
		}, []string{"no TTLs", "went back once"}},
		{"whole seconds", func(f *Finder) {
			query(f, time.Unix(1_700_000_000, 0))
			query(f, time.Unix(1_700_003_600, 0))
		}, []string{"no TTLs", "the times are whole seconds"}},
		{"TTLs", func(f *Finder) {
			query(f, begin)
			f.Add(&capture.Message{At: begin.Add(time.Hour), Client: netip.MustParseAddr("192.0.2.1"), Name: "a.example.", Type: 1, Answer: true, TTL: 5})
			query(f, begin.Add(time.Hour))
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := New()
			tt.do(f)
			got := f.Report(30).Untold
			if len(got) != len(tt.want) {
				t.Fatalf("%q, want %q", got, tt.want)
			}
			for i := range got {
				if !strings.Contains(got[i], tt.want[i]) {
					t.Errorf("%q, want %q in it", got[i], tt.want[i])
				}
			}
		})
	}
}

// TestClockGoesBack has the queries of two servers, one behind the other: a herd is found
// in them all the same, and no wait is negative.
func TestClockGoesBack(t *testing.T) {
	f := New()
	for seed := range uint64(3) {
		c := newCrowd(seed, 4*time.Minute)
		c.fleet("herd.linkerd.svc.cluster.local.", 100, time.Second, 30*time.Second, 0, 30)
		c.run(f, false)
	}
	r := f.Report(30)
	if r.Backwards != 2 {
		t.Errorf("it went back %d times", r.Backwards)
	}
	if n := r.of(Herd, "herd.linkerd.svc.cluster.local."); n == nil || n.Clients != 100 || n.Period.Round(time.Second) != 30*time.Second {
		t.Errorf("%+v", r.Findings)
	}
	if r.Length < 10*time.Minute || r.Length > 12*time.Minute {
		t.Errorf("the queries take %v", r.Length)
	}
}

// TestBounded has a flood of names and of clients take no more memory than a part of it.
func TestBounded(t *testing.T) {
	f := New()
	at := time.Unix(1_700_000_000, 0)
	client := uint32(0)
	for i := range 2_000_000 {
		at = at.Add(100 * time.Microsecond)
		client++
		addr := netip.AddrFrom4([4]byte{byte(client >> 24), byte(client >> 16), byte(client >> 8), byte(client)})
		name := "one.example."
		if i%2 == 0 {
			name = fmt.Sprintf("n%d.example.", i)
		}
		f.Query(at, 0, addr, name, 1)
		if i == 1_010_499 { // in the middle between two times that rare names are forgotten
			for _, q := range f.questions {
				if q.queries == 1 && len(q.callers) > 0 {
					t.Fatalf("%s was asked once, and its client takes room", q.name)
				}
			}
		}
		if i%1000 == 999 && (f.callers > maxCallers || len(f.questions) > 3*bucket) {
			t.Fatalf("%d clients and %d names are kept", f.callers, len(f.questions))
		}
	}
	n := 0
	for _, q := range f.questions {
		n += len(q.callers)
	}
	if n != f.callers {
		t.Errorf("%d clients are counted, and %d are there", f.callers, n)
	}
	if q := f.questions[key{"one.example.", 1}]; q.queries != 1_000_000 || q.one < 2 {
		t.Errorf("%d queries, one of %d clients", q.queries, q.one)
	}
}

// TestForgetsOld has a name that is asked by ever new clients for hours: those of long ago go,
// and all of the others stay known.
func TestForgetsOld(t *testing.T) {
	f := New()
	at := time.Unix(1_700_000_000, 0)
	for i := range uint32(700_000) {
		at = at.Add(50 * time.Millisecond)
		f.Query(at, 0, netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}), "one.example.", 1)
	}
	if q := f.questions[key{"one.example.", 1}]; q.one != 1 || len(q.callers) < 5*60*20 {
		t.Errorf("one of %d clients is known, %d in all", q.one, len(q.callers))
	}
}

// TestSampled has every other client known for each doubling, and estimates that hold.
func TestSampled(t *testing.T) {
	const name = "herd.linkerd.svc.cluster.local."
	c := newCrowd(5, 5*time.Minute)
	c.fleet(name, 4000, time.Second, 30*time.Second, 0, 30)
	f := New()
	f.questions[key{name, 1}] = &question{key: key{name, 1}, one: 4, callers: map[netip.Addr]*caller{}}
	c.run(f, false)
	r := f.Report(30)
	n := r.of(Herd, name)
	if n == nil || !n.Estimate || math.Abs(float64(n.Clients)/4000-1) > 0.1 || n.Offset < 3000 {
		t.Errorf("%+v", r.Findings)
	}
	var text bytes.Buffer
	if err := r.Text(&text); err != nil || !strings.Contains(text.String(), "; about ") {
		t.Errorf("%v; it is said to be exact:\n%s", err, &text)
	}
	if got := len(f.questions[key{name, 1}].callers); got < 900 || got > 1100 {
		t.Errorf("%d clients are known", got)
	}
}

// TestShown has a report as text, as a page and as JSON. Nothing in a page is what a name says.
func TestShown(t *testing.T) {
	c := fleets()
	c.fleet("<script>alert(1)</script>.linkerd.svc.cluster.local.", 50, time.Second, 20*time.Second, 0, 20)
	r := reportOf(c, true)
	if err := r.Predict(30, 1); err != nil {
		t.Fatal(err)
	}
	var text, page, machine bytes.Buffer
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"3 findings, the most harmful first:", "1. herd at A herd.linkerd.svc.cluster.local.", "200 clients follow TTLs, and come every 30s",
		"40 every 20s", "asked once", "with 30s:", "ttlfloor 30s linkerd.svc.cluster.local   # 1, ",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, text.String())
		}
	}
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(page.String(), "<script") || strings.Count(page.String(), "<svg") != 4 {
		t.Errorf("the page is\n%s", page.String())
	}
	if err := json.NewEncoder(&machine).Encode(r); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(machine.Bytes(), &back); err != nil || len(back.Findings) != 3 || back.Findings[0].Predict == nil {
		t.Errorf("read back: %v, %+v", err, back.Findings)
	}
}

// TestNothingFound has what is said where nothing is found, and where nothing could be.
func TestNothingFound(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   time.Time
		want string
	}{
		{"times", time.Unix(1_700_000_000, 0), "No storm, and no herd of 16 clients or more."},
		{"no times", time.Time{}, "When they came is not known, so nothing can be found."},
	} {
		f := New()
		f.Query(tt.at, 0, netip.MustParseAddr("192.0.2.1"), "a.example.", 1)
		r := f.Report(30)
		for what, show := range map[string]func(*bytes.Buffer) error{
			"text": func(b *bytes.Buffer) error { return r.Text(b) }, "page": func(b *bytes.Buffer) error { return r.HTML(b) },
		} {
			var b bytes.Buffer
			if err := show(&b); err != nil || !strings.Contains(b.String(), tt.want) {
				t.Errorf("%s: the %s is %v\n%s", tt.name, what, err, &b)
			}
		}
	}
}

// TestManyFindings has a text that stays short: the most harmful findings, the others as a
// number, and a reason why the last were not run through the rule.
func TestManyFindings(t *testing.T) {
	c := newCrowd(8, 3*time.Minute)
	for range 30 {
		c.fleet(c.name(), 20, time.Second, 20*time.Second, 0, -1)
	}
	r := reportOf(c, false)
	if err := r.Predict(30, 2); err != nil || len(r.Findings) != 30 {
		t.Fatal(len(r.Findings), err)
	}
	var text bytes.Buffer
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	for want, times := range map[string]int{
		"herd at A ": 20, "10 findings more; -html and -json have all of them.": 1, "   # 1, 2, 3, 4, 5, 6, 7, 8 and 22 more\n": 1,
		"with 30s: ": 2, "not run through the rule, as -replays says": 18,
	} {
		if got := strings.Count(text.String(), want); got != times {
			t.Errorf("%q is there %d times, want %d:\n%s", want, got, times, &text)
		}
	}
}

// TestPageSaysOfWhat has a page that names its inputs and the time, and pictures of as many
// seconds as there are, however long the period.
func TestPageSaysOfWhat(t *testing.T) {
	c := newCrowd(8, 30*time.Minute)
	c.fleet("slow.shop.svc.cluster.local.", 50, time.Second, 4*time.Minute, 0, -1)
	r := reportOf(c, false)
	r.Inputs = []string{"coredns-1.log", "-", "a\x1bb"}
	var page bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"coredns-1.log, standard input, &#34;a\\x1bb&#34;, from 14 November 2023, 22:1", "the last 16m, queries in the busiest of 4 seconds",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("no %q in\n%s", want, &page)
		}
	}
	if n := strings.Count(page.String(), "h2.0v-"); n < 4 {
		t.Errorf("%d bars, want those of four rounds\n%s", n, &page)
	}
}

// TestWiderIsSaid has the text say so of a rule that is for more than the name.
func TestWiderIsSaid(t *testing.T) {
	for name, want := range map[string]bool{`a\;b.c.example.`: true, "ab.c.example.": false} {
		r := Report{Findings: []Finding{{Kind: Storm, Cure: true, Question: Question{Name: name}}}}
		r.advise(30)
		var text bytes.Buffer
		if err := r.Text(&text); err != nil || strings.Contains(text.String(), "wider than the name") != want {
			t.Errorf("%s: %v\n%s", name, err, &text)
		}
	}
}
