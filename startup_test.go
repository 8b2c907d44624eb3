package ttlfloor

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	clog "github.com/coredns/coredns/plugin/pkg/log"

	"github.com/miekg/dns"
)

// unknown is a plugin that CoreDNS does not have.
type unknown struct{ plugin.Handler }

func (unknown) Name() string { return "stranger" }

func init() {
	plugin.Register("stranger", func(c *caddy.Controller) error {
		c.Next()
		dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler { return unknown{next} })
		return nil
	})
}

// order gives this CoreDNS another order of plugins until the test is over.
func order(t *testing.T, edit func(others []string) []string) {
	t.Helper()
	before := dnsserver.Directives
	others := slices.DeleteFunc(slices.Clone(before), func(d string) bool { return d == pluginName })
	if err := dnsserver.SetDirectives(edit(others)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dnsserver.SetDirectives(before); err != nil {
			t.Error(err)
		}
	})
}

// warnings starts a Corefile, stops it, and returns what ttlfloor logged.
func warnings(t *testing.T, corefile string) []string {
	t.Helper()
	var out bytes.Buffer
	clog.SetOutput(&out)
	defer clog.SetOutput(os.Stdout)
	start(t, corefile).stop(t)
	var lines []string
	for _, line := range regexp.MustCompile(`(?m)\[WARNING\] plugin/ttlfloor: (.*)$`).FindAllStringSubmatch(out.String(), -1) {
		lines = append(lines, line[1])
	}
	return lines
}

// TestWarnings has zones that no query for their server block is in.
func TestWarnings(t *testing.T) {
	outside := func(place, zone, keys string) string {
		return fmt.Sprintf("%s: zone %q is outside the zones of its server block (%s), so the rule does nothing for it", place, zone, keys)
	}
	elsewhere := func(place, zone, addr, other string) string {
		return fmt.Sprintf("%s: zone %q is served by another server block on dns://%s:0, that of %q, so the rule does nothing for it there; move it to that block", place, zone, addr, other)
	}
	consul := block("consul", source(0))
	on := func(bind, keys string, lines ...string) string {
		return strings.Replace(block(keys, append(lines, source(0))...), "127.0.0.1", bind, 1)
	}
	for _, tt := range []struct {
		name     string
		corefile string
		want     []string
	}{
		{"a zone of another block", block(".", "ttlfloor 20s consul", source(0)) + consul, []string{elsewhere("Corefile:3", "consul.", "127.0.0.1", "consul.")}},
		{"whichever comes first", consul + block(".", "ttlfloor 20s consul", source(0)), []string{elsewhere("Corefile:9", "consul.", "127.0.0.1", "consul.")}},
		{"a name within it, and another rule that works", block(".", "ttlfloor 20s a.example", "ttlfloor 30s DB.consul a.example {\ntypes A\n}", source(0)) + consul,
			[]string{elsewhere("Corefile:4", "db.consul.", "127.0.0.1", "consul.")}},
		{"the longest of several", block(".", "ttlfloor 20s a.db.consul", source(0)) + consul + block("db.consul", source(0)), []string{elsewhere("Corefile:3", "a.db.consul.", "127.0.0.1", "db.consul.")}},
		{"in two blocks with a rule", block("example", "ttlfloor 20s a.example", source(0)) + block("a.example", "ttlfloor 20s example.org a.example", source(0)),
			[]string{elsewhere("Corefile:3", "a.example.", "127.0.0.1", "a.example."), outside("Corefile:10", "example.org.", "a.example.")}},
		{"at each address that both have", on("127.0.0.1 ::1", ".", "ttlfloor 20s consul") + on("::1 127.0.0.1", "consul"),
			[]string{elsewhere("Corefile:3", "consul.", "127.0.0.1", "consul."), elsewhere("Corefile:3", "consul.", "[::1]", "consul.")}},
		{"at one of them", on("127.0.0.1 ::1", ".", "ttlfloor 20s consul") + on("::1", "consul"), []string{elsewhere("Corefile:3", "consul.", "[::1]", "consul.")}},
		{"however it is written", on("::1", ".", "ttlfloor 20s consul") + on("0:0:0:0:0:0:0:1", "consul"), []string{elsewhere("Corefile:3", "consul.", "[::1]", "consul.")}},
		{"at no address", on("127.0.0.1", ".", "ttlfloor 20s consul") + on("::1", "consul"), nil},
		{"by another transport", block(".", "ttlfloor 20s consul", source(0)) + strings.Replace(consul, "consul:0", "tls://consul:0", 1), nil},
		{"in an own block's view", block(".", "view one {\nexpr true\n}", "ttlfloor 20s consul", source(0)) + consul, []string{elsewhere("Corefile:6", "consul.", "127.0.0.1", "consul.")}},
		{"shared with a view", block(".", "ttlfloor 20s consul", source(0)) + block("consul", "view one {\nexpr true\n}", source(0)), nil},
		{"shared with an own view", block("consul", "view one {\nexpr true\n}", "ttlfloor 20s", source(0)) + consul, nil},
		{"one of the block's own zones", block(". consul", "ttlfloor 20s a.consul", source(0)) + block("b.consul", source(0)), nil},
		{"the block's zones", block("example a.example", "ttlfloor", source(0)) + block(".", source(0)), nil},
		{"above the block's zones", block("consul", "ttlfloor 30s .", source(0)) + block(".", source(0)), nil},
		{"with a part in another block", block(".", "ttlfloor 30s", source(0)) + consul, nil},
		{"a mistyped zone", block("cluster.local", "ttlfloor 30s linkerd.svc.cluster.lokal", source(0)), []string{outside("Corefile:3", "linkerd.svc.cluster.lokal.", "cluster.local.")}},
		{"a name that only ends alike", block("example org", "ttlfloor 30s anexample", source(0)), []string{outside("Corefile:3", "anexample.", "example. org.")}},
		{"a key with an escape", block(`\097.example`, "ttlfloor", source(0)), nil},
		{"a key with an escape, which is not what is asked for", block("example", "ttlfloor 30s a.example", source(0)) + block(`\097.example`, source(0)), nil},
		{"a network", block("10.0.0.0/7", "ttlfloor 30s 11.0.0.0/8 12.0.0.0/8", source(0)), []string{outside("Corefile:3", "12.in-addr.arpa.", "10.in-addr.arpa. 11.in-addr.arpa.")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := warnings(t, tt.corefile); !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// TestImports has variables, snippets and files in the place of what they hold.
func TestImports(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a, b := file("a", "# a rule\nttlfloor 30s a.example\n"), file("b", "ttlfloor 40s b.example a.example\n")
	t.Setenv("TTLFLOOR_ZONES", "a.local b.local")
	t.Setenv("TTLFLOOR_LINES", "a.local\nb.local")
	t.Setenv("TTLFLOOR_ZONE", "a.example")
	const (
		blank = ` holds a blank, as a variable with several zones does; accepted is one zone: write the zones out, each by itself`
		one   = `; accepted is one rule for a zone and type, and one for the zone without types`
		again = `"ttlfloor" stands on the line of the rule at Corefile:1 again, as where a snippet or a file is imported twice; accepted is one import in a server block, and one rule on a line`
	)
	for _, tt := range []struct{ name, corefile, err string }{
		{"a variable with a zone", block("example", "ttlfloor 30s {$TTLFLOOR_ZONE}", source(0)), ""},
		{"a variable with several", block(".", "ttlfloor 30s {$TTLFLOOR_ZONES}", source(0)), `Corefile:3 - Error during parsing: "a.local b.local"` + blank},
		{"a variable of several lines, on the last but one", block(".", "ttlfloor 30s {$TTLFLOOR_LINES}", "cache 30", source(0)), `Corefile:3 - Error during parsing: "a.local\nb.local"` + blank},
		{"a variable that is not set", block(".", "ttlfloor 30s {$TTLFLOOR_NONE}", source(0)), `Corefile:3 - Error during parsing: "" is empty, as a variable is that is not set; accepted is a zone`},
		{"a snippet of one line, twice", "(tf) { ttlfloor 30s a.example }\n" + block("example", "import tf", source(0), "import tf"), `Corefile:1 - Error during parsing: ` + again},
		{"a snippet of one word, twice", "(tf) { ttlfloor }\n" + block("example", "import tf", "import tf", source(0)), `Corefile:1 - Error during parsing: ` + again},
		{"a snippet of several lines, twice", "(tf) {\nttlfloor 30s a.example {\nnegative off\n}\n}\n" + block("example", "import tf", "import tf", source(0)),
			`Corefile:2 - Error during parsing: zone "a.example." has a rule for all types already, at Corefile:2, which is this one, imported twice` + one},
		{"a snippet of two rules, twice", "(tf) {\nttlfloor 30s a.example\nttlfloor 30s b.example\n}\n" + block("example", "import tf", "import tf", source(0)),
			`Corefile:2 - Error during parsing: zone "a.example." has a rule for all types already, at Corefile:2, which is this one, imported twice` + one},
		{"a snippet in two server blocks", "(tf) { ttlfloor 30s }\n" + block("example", "import tf", source(0)) + block("org", "import tf", source(0)), ""},
		{"a file twice", block("example", "import "+a, source(0), "import "+a), a + `:2 - Error during parsing: "ttlfloor" stands on the line of the rule at ` + a + `:2 again, as where a snippet or a file is imported twice; accepted is one import in a server block, and one rule on a line`},
		{"two files", block("example", "import "+a, "import "+b, source(0)), b + `:1 - Error during parsing: zone "a.example." has a rule for all types already, at ` + a + `:2` + one},
		{"a file and the Corefile", block("example", "ttlfloor 30s a.example", "import "+a, source(0)), a + `:2 - Error during parsing: zone "a.example." has a rule for all types already, at Corefile:3` + one},
		{"two files in two server blocks", block("example", "import "+a, source(0)) + block("b.example a.example", "import "+b, source(0)), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.err == "" {
				start(t, tt.corefile)
				return
			}
			inst, err := caddy.Start(input(tt.corefile))
			if err == nil {
				inst.ShutdownCallbacks()
				t.Fatal("started")
			}
			if want := "plugin/ttlfloor: " + tt.err; err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// TestOrder holds the order that the code knows to that of this CoreDNS.
func TestOrder(t *testing.T) {
	want := slices.DeleteFunc(slices.Clone(dnsserver.Directives), func(d string) bool { return d == pluginName })
	if got := strings.Fields(stock); !slices.Equal(got, want) {
		t.Errorf("stock is\n%q\nwant\n%q", got, want)
	}
}

// named is a plugin of which nothing but the name matters.
type named struct {
	plugin.Handler
	name string
}

func (n named) Name() string { return n.name }

// TestPlace has each plugin of CoreDNS outside of ttlfloor.
func TestPlace(t *testing.T) {
	var out bytes.Buffer
	clog.SetOutput(&out)
	defer clog.SetOutput(os.Stdout)
	inside := false
	for name := range strings.FieldsSeq(stock) {
		err := checkPlace([]plugin.Handler{named{name: "log"}, named{name: name}, newHandler(nil, rand.Uint32N), named{name: "nomad"}})
		if (err != nil) != inside || inside && !strings.Contains(err.Error(), `above "`+name+`:`+name+`"`) {
			t.Errorf("%s: %v", name, err)
		}
		if err := checkPlace([]plugin.Handler{newHandler(nil, rand.Uint32N), named{name: name}}); err != nil {
			t.Errorf("%s, inside: %v", name, err)
		}
		inside = inside || name == "tsig"
	}
	if out.Len() > 0 {
		t.Errorf("of plugins that are known there was logged\n%s", &out)
	}
}

// TestPlaceAtStart builds the chain with ttlfloor where it does not belong.
func TestPlaceAtStart(t *testing.T) {
	for _, line := range []string{"cache", source(0), "forward . 127.0.0.1:53", "rewrite name a.example b.example", "view one {\nexpr true\n}"} {
		t.Run(line, func(t *testing.T) {
			name := strings.Fields(line)[0]
			order(t, func(others []string) []string { return append(others, pluginName) })
			inst, err := caddy.Start(input(block("example", "errors", line, "ttlfloor 30s")))
			if err == nil {
				inst.ShutdownCallbacks()
				t.Fatal("started")
			}
			at := 4 + strings.Count(line, "\n") + 1
			want := fmt.Sprintf(`plugin/ttlfloor: Corefile:%d - Error during parsing: "ttlfloor" is compiled in below %q, whose responses it would not see as clients get them; `+
				`in plugin.cfg move the line "ttlfloor:github.com/ttlfloor/ttlfloor" above "%s:%s", best directly above "rewrite:rewrite", and build again`, at, name, name, name)
			if err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	t.Run("the outermost is named", func(t *testing.T) {
		order(t, func(others []string) []string { return append(others, pluginName) })
		_, err := caddy.Start(input(block("example", source(0), "cache", "rewrite name a.example b.example", "ttlfloor 30s")))
		if err == nil || !strings.Contains(err.Error(), `above "rewrite:rewrite"`) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("below a plugin that is not in the server block", func(t *testing.T) {
		order(t, func(others []string) []string {
			return slices.Insert(others, slices.Index(others, "cache")+1, pluginName)
		})
		s := start(t, block("example", source(0), "ttlfloor 30s")+block("other", "cache", source(0)))
		checkTTL(t, "without cache", s.ttl(t, "a.example.", dns.TypeA), 33, 45)
	})
}

// TestPlaceOfStrangers has a plugin that nobody knows, outside and inside.
func TestPlaceOfStrangers(t *testing.T) {
	corefile := block("example", "stranger", "ttlfloor 30s", source(0))
	order(t, func(others []string) []string { return append([]string{"stranger", pluginName}, others...) })
	want := []string{`plugin "stranger" runs outside; if it answers, caches or rewrites, move the line "ttlfloor:github.com/ttlfloor/ttlfloor" above its own in plugin.cfg`}
	if got := warnings(t, corefile); !slices.Equal(got, want) {
		t.Errorf("outside: got %q", got)
	}
	order(t, func(others []string) []string {
		return append([]string{pluginName, "stranger"}, slices.DeleteFunc(others, func(d string) bool { return d == "stranger" })...)
	})
	if got := warnings(t, corefile); got != nil {
		t.Errorf("inside: got %q", got)
	}
}
