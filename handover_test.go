package ttlfloor

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// only returns the one rule of a server.
func (s *server) only(t *testing.T) *rule {
	t.Helper()
	rules := s.handler(t).rules
	if len(rules) != 1 {
		t.Fatalf("%d rules", len(rules))
	}
	return rules[0]
}

// TestHandover has an instance take over the schedule of a rule in the one before, or
// not. Both run at once for a while, as in a reload.
func TestHandover(t *testing.T) {
	const numbers = "zero 40\nnegative 6\nmax 1h\njitter 5% 25%\ntypes A SRV\n"
	rule := func(options string) string { return "ttlfloor 31s a.hand.example b.hand.example {\n" + options + "}" }
	in := func(keys string, lines ...string) string { return block(keys, append(lines, source(0))...) }
	before := in("hand.example", rule(numbers))
	for _, tt := range []struct {
		name  string
		after string
		keeps bool
	}{
		{"nothing changes", before, true},
		{"another plugin beside it", in("hand.example", rule(numbers), "cache 30"), true},
		{"another server block", before + in("other.example"), true},
		{"its line", in("hand.example", "cache 30", rule(numbers)), true},
		{"options in another order", in("hand.example", rule("types A SRV\njitter 5% 25%\nmax 1h\nnegative 6\nzero 40\n")), true},
		{"a trial", in("hand.example", rule(numbers+"observe\n")), true},
		{"exceptions", in("hand.example", rule(numbers+"except c.a.hand.example\n")), true},
		{"another floor", in("hand.example", strings.Replace(rule(numbers), "31s", "32s", 1)), false},
		{"zero", in("hand.example", rule(strings.Replace(numbers, "40", "41", 1))), false},
		{"negative", in("hand.example", rule(strings.Replace(numbers, "6", "7", 1))), false},
		{"negative off", in("hand.example", rule(strings.Replace(numbers, "6", "off", 1))), false},
		{"max", in("hand.example", rule(strings.Replace(numbers, "1h", "2h", 1))), false},
		{"the start of the window", in("hand.example", rule(strings.Replace(numbers, "5% 25%", "6% 25%", 1))), false},
		{"the end of the window", in("hand.example", rule(strings.Replace(numbers, "5% 25%", "5% 26%", 1))), false},
		{"chance", in("hand.example", rule(strings.Replace(numbers, "25%", "25% random", 1))), false},
		{"other types", in("hand.example", rule(strings.Replace(numbers, "SRV", "AAAA", 1))), false},
		{"a type more", in("hand.example", rule(strings.Replace(numbers, "SRV", "SRV AAAA", 1))), false},
		{"all types", in("hand.example", rule(strings.Replace(numbers, "types A SRV\n", "", 1))), false},
		{"another zone", in("hand.example", strings.Replace(rule(numbers), " b.hand", " c.hand", 1)), false},
		{"a zone less", in("hand.example", strings.Replace(rule(numbers), " b.hand.example", "", 1)), false},
		{"a zone more", in("hand.example", strings.Replace(rule(numbers), " {", " c.hand.example {", 1)), false},
		{"another zone of the server block", in("example", rule(numbers)), false},
		{"another server block of the same name, with a view", in("hand.example", "view one {\nexpr true\n}", rule(numbers)), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first := start(t, before)
			second := start(t, tt.after)
			if kept := second.only(t).schedule == first.only(t).schedule; kept != tt.keeps {
				t.Errorf("the schedule was kept: %v, want %v", kept, tt.keeps)
			}
			first.stop(t)
			if kept := start(t, before).only(t).schedule == second.only(t).schedule; kept != tt.keeps {
				t.Errorf("the schedule was kept on the way back: %v, want %v", kept, tt.keeps)
			}
		})
	}
	t.Run("reloads", func(t *testing.T) {
		s := start(t, before)
		was := s.only(t).schedule
		for _, tt := range []struct {
			after string
			keeps bool
		}{{before, true}, {in("hand.example", rule(numbers+"observe\n")), true}, {in("hand.example", "ttlfloor 30s"), false}} {
			s.ask(t, "a.hand.example.", dns.TypeA) // it serves
			if err := s.reload(t, tt.after); err != nil {
				t.Fatal(err)
			}
			if kept := s.only(t).schedule == was; kept != tt.keeps {
				t.Errorf("the schedule was kept: %v, want %v", kept, tt.keeps)
			}
		}
	})
	t.Run("a reload that fails", func(t *testing.T) {
		s := start(t, before)
		was := s.only(t).schedule
		for _, broken := range []string{in("hand.example", rule(numbers), "cache {\nx\n}"), in("hand.example", rule(numbers), "bind 192.0.2.1")} {
			s.ask(t, "a.hand.example.", dns.TypeA)
			if err := s.reload(t, broken); err == nil {
				t.Fatal("reloaded")
			}
			if s.only(t).schedule != was {
				t.Error("the schedule was not kept")
			}
		}
	})
	t.Run("after it has ended", func(t *testing.T) {
		s := start(t, before)
		was := s.only(t).schedule
		s.stop(t)
		if start(t, before).only(t).schedule == was {
			t.Error("the schedule of an instance that has ended was kept")
		}
	})
	t.Run("a client that is known", func(t *testing.T) {
		s := start(t, in("hand.example", "ttlfloor 30s"))
		first := s.ttl(t, "a.hand.example.", dns.TypeA)
		if err := s.reload(t, in("hand.example", "ttlfloor 30s")); err != nil {
			t.Fatal(err)
		}
		clients := 0
		for _, segment := range s.only(t).schedule.clients {
			for _, e := range segment {
				if e.used {
					clients++
					if uint32(e.ttl) != first {
						t.Errorf("told %d, want %d", e.ttl, first)
					}
				}
			}
		}
		if clients != 1 {
			t.Errorf("%d clients are known, want 1", clients)
		}
	})
}

// TestHandoverOfSeveral has rules find their own schedule among those of others, and
// none be shared.
func TestHandoverOfSeveral(t *testing.T) {
	schedules := func(s *server) map[string]*schedule {
		all := map[string]*schedule{}
		handlers, _ := s.Storage[instanceKey{}].([]*TTLFloor)
		for _, h := range handlers {
			for _, r := range h.rules {
				all[h.block+" "+h.view+" "+r.zones[0]] = r.schedule
			}
		}
		return all
	}
	one := "ttlfloor 30s a.several.example"
	two := "ttlfloor 30s b.several.example"
	view := func(name string) string { return "view " + name + " {\nexpr name() startsWith '" + name + ".'\n}" }
	blocks := []string{
		block("several.example", view("x"), one, two, source(0)), block("several.example", view("y"), two, one, source(0)),
		block("example", one, source(0)),
	}
	s := start(t, strings.Join(blocks, ""))
	before := schedules(s)
	distinct := map[*schedule]bool{}
	for _, schedule := range before {
		distinct[schedule] = true
	}
	if len(before) != 5 || len(distinct) != 5 {
		t.Fatalf("%d rules have %d schedules, want 5", len(before), len(distinct))
	}
	after := schedules(start(t, blocks[2]+blocks[1]+blocks[0]))
	for name, schedule := range before {
		if after[name] != schedule {
			t.Errorf("%s: the schedule was not kept", name)
		}
	}
}

// TestHandoverNotToSiblings has two server blocks with the same keys, at different
// addresses, start with a schedule each.
func TestHandoverNotToSiblings(t *testing.T) {
	one := block("siblings.example", "ttlfloor 30s", source(0))
	s := start(t, one+strings.Replace(one, "127.0.0.1", "::1", 1))
	handlers, _ := s.Storage[instanceKey{}].([]*TTLFloor)
	if len(handlers) != 2 || handlers[0].rules[0].schedule == handlers[1].rules[0].schedule {
		t.Errorf("%d handlers, and they share a schedule", len(handlers))
	}
}
