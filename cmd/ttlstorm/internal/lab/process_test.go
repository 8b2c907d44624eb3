package lab

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

// witness is a directive that notes which hooks of which instance are run, and
// which instances there are then.
const witness = "witness"

var (
	hooks []string
	seen  []*caddy.Instance // in the order of their setup
)

func init() {
	order = append(order, witness)
	caddy.RegisterPlugin(witness, caddy.Plugin{ServerType: serverType, Action: func(c *caddy.Controller) error {
		all := caddy.Instances()
		seen = append(seen, all[len(all)-1])
		number := len(seen)
		note := func(hook string) func() error {
			return func() error {
				hooks = append(hooks, fmt.Sprintf("%s of %d, there %s", hook, number, present()))
				return nil
			}
		}
		c.OnFirstStartup(note("OnFirstStartup"))
		c.OnStartup(note("OnStartup"))
		c.OnRestart(note("OnRestart"))
		c.OnRestartFailed(note("OnRestartFailed"))
		c.OnShutdown(note("OnShutdown"))
		c.OnFinalShutdown(note("OnFinalShutdown"))
		dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler {
			_ = note("plugin")()
			return next
		})
		if c.Next() && c.NextArg() {
			return errors.New("told to " + c.Val())
		}
		return note("setup")()
	}})
	caddy.RegisterEventHook(witness, func(event caddy.EventName, info any) error {
		if i := slices.Index(seen, info.(*caddy.Instance)); event == caddy.InstanceStartupEvent && i >= 0 {
			hooks = append(hooks, fmt.Sprintf("event of %d, there %s", i+1, present()))
		}
		return nil
	})
}

// present are the instances that a plugin can find, by number.
func present() string {
	var out []string
	for _, instance := range caddy.Instances() {
		out = append(out, fmt.Sprint(1+slices.Index(seen, instance)))
	}
	return strings.Join(out, " ")
}

// TestHooks has two processes start, reload and end. Each sees its own instances
// and nobody else's, and the hooks come in the order of caddy.Instance.Restart.
func TestHooks(t *testing.T) {
	hooks, seen = nil, nil
	synctest.Test(t, func(t *testing.T) {
		ps := []*process{{directives: []string{witness}, below: &storm.Source{}}, {directives: []string{witness}, below: &storm.Source{}}}
		for _, p := range ps {
			if err := p.start(); err != nil {
				t.Fatal(err)
			}
		}
		before := ps[0].handler
		for range 2 {
			if err := ps[0].reload(); err != nil {
				t.Fatal(err)
			}
		}
		if before == nil || ps[0].handler == nil {
			t.Error("no handlers")
		}
		ps[0].directives = []string{witness + " fail"}
		if err := ps[0].reload(); err == nil || !strings.Contains(err.Error(), "told to fail") {
			t.Errorf("error %v of a reload that has to fail", err)
		}
		for _, p := range ps {
			p.stop()
		}
	})
	started := func(n int, first bool, there string) (out []string) {
		names := []string{"setup", "plugin"}
		if first {
			names = append(names, "OnFirstStartup")
		}
		for _, name := range append(names, "OnStartup") {
			out = append(out, fmt.Sprintf("%s of %d, there %s", name, n, there))
		}
		return out
	}
	want := slices.Concat(
		started(1, true, "1"), []string{"event of 1, there 1"},
		started(2, true, "2"), []string{"event of 2, there 2"},
		[]string{"OnRestart of 1, there 1"}, started(3, false, "1 3"), []string{"OnShutdown of 1, there 3", "event of 3, there 3"},
		[]string{"OnRestart of 3, there 3"}, started(4, false, "3 4"), []string{"OnShutdown of 3, there 4", "event of 4, there 4"},
		[]string{"OnRestart of 4, there 4", "OnRestartFailed of 4, there 4"},
		[]string{"OnShutdown of 4, there ", "OnFinalShutdown of 4, there ", "OnShutdown of 2, there ", "OnFinalShutdown of 2, there "},
	)
	if !slices.Equal(hooks, want) {
		t.Errorf("hooks\n%s\nwant\n%s", strings.Join(hooks, "\n"), strings.Join(want, "\n"))
	}
}

// TestDirectiveError has a directive that is refused, and one that nobody knows.
func TestDirectiveError(t *testing.T) {
	for directive, want := range map[string]string{"cache x y z {\n nonsense\n }": "nonsense", "forwards": "forwards"} {
		r := base(storm.Treatment{Directives: []string{directive}}, 30)
		r.Replicas = 2
		synctest.Test(t, func(t *testing.T) {
			if _, err := Do(r); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: error %v", directive, err)
			}
		})
	}
	if n := len(caddy.Instances()); n != 0 {
		t.Errorf("%d instances are left", n)
	}
}

// TestReload has caches of an hour: a reload leaves them empty, as a restart does.
func TestReload(t *testing.T) {
	for name, change := range map[string]func(*Run){
		"nothing": func(*Run) {},
		"reload":  func(r *Run) { r.Reload = 5 * time.Minute },
		"restart": func(r *Run) { r.Restart = 5 * time.Minute },
	} {
		r := base(storm.Treatment{Directives: []string{"cache 3600"}}, 3600)
		r.Clients, r.Replicas, r.Length, r.Source.Change = 10, 3, 10*time.Minute, 0
		r.Others = []Others{oneShot(1)}
		change(&r)
		want := 2 * 3 // names, replicas
		if name != "nothing" {
			want *= 2
		}
		if got := do(t, r).Upstream; got != want {
			t.Errorf("%s: %d queries upstream, want %d", name, got, want)
		}
	}
}
