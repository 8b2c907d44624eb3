package monitoring

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// upstreamCorefile is where the answers of two zones come from. It dies.
const upstreamCorefile = `
.:UPPORT {
    bind HOST
    template IN SRV {
        answer "{{ .Name }} 5 IN SRV 0 100 443 a.{{ .Name }}"
    }
}
`

// serverCorefile has a zone that is well, one whose clients are spread, one that is
// left to become a herd, and, at other addresses, one whose floor is too low and
// one with no rule.
const serverCorefile = `
healthy.test:PORT {
    bind HOST
    prometheus METRICS
    ttlfloor 4s {
        jitter 0% 100%
    }
    cache 5 {
        serve_stale 1h
    }
    forward . UPSTREAM {
        health_check 500ms
    }
}
spread.test:PORT {
    bind HOST
    prometheus METRICS
    ttlfloor 4s {
        jitter 0% 100%
    }
    template IN SRV {
        answer "{{ .Name }} 4 IN SRV 0 100 443 a.{{ .Name }}"
    }
}
herd.test:PORT {
    bind HOST
    prometheus METRICS
    ttlfloor 4s {
        jitter off
    }
    template IN SRV {
        answer "{{ .Name }} 4 IN SRV 0 100 443 a.{{ .Name }}"
    }
}
short.test:SHORT {
    bind HOST
    prometheus METRICS
    ttlfloor 1s {
        jitter off
    }
    template IN SRV {
        answer "{{ .Name }} 0 IN SRV 0 100 443 a.{{ .Name }}"
    }
}
bare.test:BARE {
    bind HOST
    prometheus METRICS
    cache 5 {
        serve_stale 1h
    }
    forward . UPSTREAM {
        health_check 500ms
    }
}
`

// goneCorefile is what is left after an upgrade without the plugin.
const goneCorefile = `
healthy.test:PORT {
    bind HOST
    prometheus METRICS
    template IN SRV {
        answer "{{ .Name }} 5 IN SRV 0 100 443 a.{{ .Name }}"
    }
}
`

// A laboratory is CoreDNS, its upstream and Prometheus.
type laboratory struct {
	coredns, ttlstorm string // programs
	dns, short, bare  string // addresses of the server
	metrics, upstream string
	prometheus        *server
}

func (l *laboratory) serve(t *testing.T, corefile string) *process {
	t.Helper()
	pairs := []string{"HOST", "127.0.0.1", "METRICS", l.metrics, "UPSTREAM", l.upstream}
	for name, addr := range map[string]string{"PORT": l.dns, "SHORT": l.short, "BARE": l.bare, "UPPORT": l.upstream} {
		pairs = append(pairs, ":"+name+" ", addr[strings.LastIndex(addr, ":"):]+" ")
	}
	corefile = strings.NewReplacer(pairs...).Replace(corefile)
	path := filepath.Join(t.TempDir(), "Corefile")
	if err := os.WriteFile(path, []byte(corefile), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, l.coredns, "-conf", path)
}

// load has clients follow the TTLs of a name, for ten minutes or until the test is
// over.
func (l *laboratory) load(t *testing.T, addr, name string, clients int, within string, args ...string) *process {
	t.Helper()
	return start(t, l.ttlstorm, append(append([]string{"-server", addr, "-clients", fmt.Sprint(clients),
		"-start", within, "-for", "10m", "-model", "linkerd-unpatched"}, args...), "SRV", name)...)
}

// none is an error that lists what has one.
func none(problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return errors.New(strings.Join(problems, "\n\t"))
}

// TestLive runs every query of the dashboard and of the runbooks, and every rule,
// against a Prometheus that scrapes a server under load. While all is well there is
// data for all of them and no alert. Then everything that there is an alert for is
// done to the server, and each alert becomes pending, and no other one. The ratios
// stay up for a herd, and not for clients that started at once and are spread.
func TestLive(t *testing.T) {
	tool(t, "prometheus", "prometheus")
	l := &laboratory{
		coredns: build(t, "coredns"), ttlstorm: build(t, "ttlstorm"),
		dns: freeAddr(t), short: freeAddr(t), bare: freeAddr(t), metrics: freeAddr(t), upstream: freeAddr(t),
	}
	upstream := l.serve(t, upstreamCorefile)
	server := l.serve(t, serverCorefile)
	l.prometheus = startPrometheus(t, l.metrics)
	clients := l.load(t, l.dns, "svc.healthy.test", 200, "6s")
	atOnce := l.load(t, l.dns, "svc.spread.test", 60, "20ms") // too few for an alert, whose memory is longer than the run
	few := l.load(t, l.bare, "svc.bare.test", 5, "3s", "-rate", "50")
	d := readDashboard(t)

	t.Run("healthy", func(t *testing.T) {
		began := time.Now()
		eventually(t, patience, func() error {
			if since := time.Since(began); since < 40*time.Second {
				return fmt.Errorf("only %v of load", since)
			}
			return none(slices.Concat(l.withoutData(t, d), l.unevaluated(t), l.unanswered(t)))
		})
		for _, p := range []*process{upstream, server, clients, atOnce, few} {
			p.running(t)
		}
		// A machine that halts makes a herd of its clients, so this is waited for. The load
		// of this test is below what TTLFloorHerd asks for; its two ratios are, too.
		eventually(t, patience, func() error {
			var problems []string
			for _, expr := range []string{
				`ALERTS`,
				`coredns_ttlfloor_query_dispersion_ratio{zone="healthy.test."} > 10`,
				`coredns_ttlfloor_query_peak_ratio{zone="healthy.test."} > 3`,
			} {
				if v, err := l.prometheus.query(expr); err != nil || len(v) > 0 {
					problems = append(problems, fmt.Sprintf("while all is well: %s: %v %v", expr, v, err))
				}
			}
			// Stale answers there are, since some queries come just after an entry has expired.
			if err := l.prometheus.data(`coredns_cache_served_stale_total{zones="healthy.test."} > 0`); err != nil {
				problems = append(problems, err.Error())
			}
			return none(problems)
		})
		const short = `coredns_ttlfloor_served_ttl_seconds_bucket{le=~"2|2[.]0"} > 0`
		if v, err := l.prometheus.query(short); err != nil || len(v) > 0 {
			t.Errorf("while all was well: %s: %v %v", short, v, err)
		}
	})
	t.Run("variables", func(t *testing.T) { l.checkVariables(t, d) })
	if t.Failed() {
		return
	}

	t.Run("alerts", func(t *testing.T) {
		began := time.Now()
		upstream.kill()
		herd := l.load(t, l.dns, "svc.herd.test", 600, "20ms")
		short := l.load(t, l.short, "svc.short.test", 150, "20ms")
		storm := l.load(t, l.bare, "svc.bare.test", 20, "20ms", "-rate", "300")
		l.wait(t, []string{
			"TTLFloorHerd zone=herd.test. path=",
			"TTLFloorHidesDeadUpstream zone=healthy.test. path=",
			"TTLFloorZeroTTLStorm zone= path=stale",
			"TTLFloorZeroTTLStorm zone=short.test. path=rule",
		})
		// The start of a herd is that of any fleet. What lasts is seen a minute after the schedule would have spread it.
		eventually(t, patience, func() error {
			if since := time.Since(began); since < 90*time.Second {
				return fmt.Errorf("only %v of a herd", since)
			}
			return l.prometheus.data(`count(coredns_ttlfloor_query_dispersion_ratio{zone="herd.test."} > 10)
				and count(coredns_ttlfloor_query_peak_ratio{zone="herd.test."} > 3)
				and count(coredns_ttlfloor_query_dispersion_ratio{zone="spread.test."} < 2)
				and count(coredns_ttlfloor_query_peak_ratio{zone="spread.test."} < 2)`)
		})
		for _, p := range []*process{server, herd, short, storm} {
			p.running(t)
		}
		for _, a := range d.Annotations.List {
			if err := l.prometheus.data(interpolate(t, *a.Expr, map[string]string{"job": ".+"})); err != nil {
				t.Errorf("annotation %s: %v", a.Name, err)
			}
		}
	})

	t.Run("gone", func(t *testing.T) {
		server.kill()
		gone := l.serve(t, goneCorefile)
		eventually(t, patience, func() error { // beside what is left of the others
			if got := l.prometheus.alerts(t); !got["TTLFloorGone zone= path="] {
				return fmt.Errorf("alerts %v, want TTLFloorGone", got)
			}
			return nil
		})
		gone.running(t)
	})
}

// withoutData lists the queries of the dashboard that fail, have no data, or lack
// a label that their legend names, with all values of the variables.
func (l *laboratory) withoutData(t *testing.T, d *dashboard.Dashboard) (problems []string) {
	t.Helper()
	all := map[string]string{}
	for name := range variables(t, d) {
		all[name] = ".+"
	}
	n := 0
	for _, q := range queries(t, d) {
		n++
		expr := interpolate(t, q.expr, all)
		if err := l.prometheus.data(expr); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", q.where, err))
			continue
		}
		samples, err := l.prometheus.query(expr)
		if err != nil {
			problems = append(problems, err.Error())
		}
		for _, label := range q.legend {
			if slices.ContainsFunc(samples, func(s sample) bool { return s.Metric[label] == "" }) {
				problems = append(problems, fmt.Sprintf("%s: the legend names %s, which a series of %s lacks", q.where, label, expr))
			}
		}
	}
	if n < 20 {
		t.Fatalf("%d queries in the dashboard, want 20 at least", n)
	}
	return problems
}

// unevaluated lists the rules that fail, and those that record nothing.
func (l *laboratory) unevaluated(t *testing.T) (problems []string) {
	t.Helper()
	loaded := l.prometheus.rules(t)
	if len(loaded) == 0 {
		return []string{"no rules are loaded"}
	}
	for _, r := range loaded {
		if r.Health != "ok" {
			problems = append(problems, fmt.Sprintf("%s is %s: %s", r.Name, r.Health, r.LastError))
			continue
		}
		if _, err := l.prometheus.query(r.Query); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", r.Name, err))
		}
		if r.Type == "recording" {
			if err := l.prometheus.data(r.Name); err != nil {
				problems = append(problems, err.Error())
			}
		}
	}
	return problems
}

// unanswered lists the queries of the runbooks that fail or have no data.
func (l *laboratory) unanswered(t *testing.T) (problems []string) {
	t.Helper()
	n := 0
	for i, part := range strings.Split(read(t, runbooksFile), "\n~~~ promql\n") {
		block, _, ok := strings.Cut(part, "\n~~~")
		if i == 0 || !ok {
			continue
		}
		for expr := range strings.SplitSeq(block, "\n") {
			n++
			if err := l.prometheus.data(expr); err != nil {
				problems = append(problems, fmt.Sprintf("runbooks: %v", err))
			}
		}
	}
	if n < 10 {
		t.Fatalf("%d queries in the runbooks, want 10 at least", n)
	}
	return problems
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// checkVariables has the variables list what there is, and the queries of ttlfloor's
// metrics have data for each value alone.
func (l *laboratory) checkVariables(t *testing.T, d *dashboard.Dashboard) {
	t.Helper()
	all := map[string]string{}
	exprs := variables(t, d)
	for name := range exprs {
		all[name] = ".+"
	}
	server := "dns://" + l.dns
	for name, want := range map[string][]string{
		"job": {"coredns"}, "instance": {l.metrics}, "server": {server}, "zone": {"healthy.test.", "spread.test."},
	} {
		m := labelValues.FindStringSubmatch(exprs[name])
		if m == nil || m[2] != name {
			t.Errorf("variable %s is %q, want label_values of %s", name, exprs[name], name)
			continue
		}
		got, err := l.prometheus.labelValues(interpolate(t, m[1], all), m[2])
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("variable %s has %q, want %q (%v)", name, got, want, err)
		}
	}
	one := map[string]string{"job": "coredns", "instance": regexp.QuoteMeta(l.metrics), "server": regexp.QuoteMeta(server), "zone": "healthy.test."}
	for name, value := range one {
		one[name] = strings.ReplaceAll(value, `\`, `\\`)
	}
	for _, q := range queries(t, d) {
		if err := l.prometheus.data(interpolate(t, q.expr, one)); err != nil {
			t.Errorf("%s, with one value for each variable: %v", q.where, err)
		}
		for name := range one {
			other := maps.Clone(one)
			other[name] = "none"
			if !strings.Contains(q.expr, "$"+name) || strings.Contains(q.expr, "vector(0)") {
				continue
			}
			if v, err := l.prometheus.query(interpolate(t, q.expr, other)); err != nil || len(v) > 0 {
				t.Errorf("%s: has data for a %s that there is none of: %v %v", q.where, name, v, err)
			}
		}
	}
}

// wait waits until the alerts that are pending or firing are those that are wanted.
func (l *laboratory) wait(t *testing.T, want []string) {
	t.Helper()
	eventually(t, patience, func() error {
		got := slices.Sorted(maps.Keys(l.prometheus.alerts(t)))
		if !slices.Equal(got, want) {
			return fmt.Errorf("alerts %q, want %q", got, want)
		}
		return nil
	})
}
