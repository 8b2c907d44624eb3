package monitoring

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"golang.org/x/net/dns/dnsmessage"
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

// serverCorefile has a zone that is well, with a rule within that no query takes, two
// whose clients are spread, one where others ask beside them, one that is left to
// become a herd, one whose herd does not listen, two with a rule that only observes,
// and, at other addresses, one of these again, one whose floor is too low and one with
// no rule.
const serverCorefile = `
healthy.test:PORT {
    bind HOST
    prometheus METRICS
    ttlfloor 4s {
        jitter 0% 100%
    }
    ttlfloor asleep.healthy.test
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
ended.test:PORT {
    bind HOST
    prometheus METRICS
    ttlfloor 4s {
        jitter 0% 100%
    }
    template IN SRV {
        answer "{{ .Name }} 4 IN SRV 0 100 443 a.{{ .Name }}"
    }
}
mixed.test:PORT {
    bind HOST
    prometheus METRICS
    ttlfloor 4s {
        jitter 0% 100%
    }
    template IN SRV {
        answer "{{ .Name }} 4 IN SRV 0 100 443 a.{{ .Name }}"
    }
}
mixed.test:SECOND {
    bind HOST
    prometheus METRICS
    ttlfloor 4s {
        jitter 0% 100%
    }
    template IN SRV {
        answer "{{ .Name }} 4 IN SRV 0 100 443 a.{{ .Name }}"
    }
}
observed.test:PORT {
    bind HOST
    prometheus METRICS
    ttlfloor 11s {
        observe
    }
    template IN SRV {
        answer "{{ .Name }} 0 IN SRV 0 100 443 a.{{ .Name }}"
    }
}
trial.test:PORT {
    bind HOST
    prometheus METRICS
    ttlfloor 11s {
        observe
    }
    template IN SRV {
        answer "{{ .Name }} 10 IN SRV 0 100 443 a.{{ .Name }}"
    }
}
deaf.test:PORT {
    bind HOST
    prometheus METRICS
    metadata
    LOG
    ttlfloor 40s
    template IN SRV {
        answer "{{ .Name }} 40 IN SRV 0 100 443 a.{{ .Name }}"
    }
}
herd.test:PORT {
    bind HOST
    prometheus METRICS
    ttlfloor 10s {
        jitter off
    }
    template IN SRV {
        answer "{{ .Name }} 10 IN SRV 0 100 443 a.{{ .Name }}"
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
	dns, second       string // addresses of the server
	short, bare       string // the same
	metrics, upstream string
	prometheus        *server
}

func (l *laboratory) serve(t *testing.T, corefile string) *process {
	t.Helper()
	pairs := []string{"HOST", "127.0.0.1", "METRICS", l.metrics, "UPSTREAM", l.upstream, "LOG", runbookLog(t)}
	for name, addr := range map[string]string{"PORT": l.dns, "SECOND": l.second, "SHORT": l.short, "BARE": l.bare, "UPPORT": l.upstream} {
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
// over. Each has an address of its own, where the system has that many.
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
// done to the server, and each alert becomes pending, and no other one. The gauges
// stay up for a herd, and neither for clients that started at once and are spread nor
// for a zone whose traffic has ended. Who keeps appointments, and how many they are, is
// told in each of these.
func TestLive(t *testing.T) {
	tool(t, "prometheus", "prometheus")
	if runtime.GOOS != "linux" {
		t.Skip("clients have one address on this system, and are not told apart")
	}
	l := &laboratory{
		coredns: build(t, "coredns"), ttlstorm: build(t, "ttlstorm"),
		dns: freeAddr(t), second: freeAddr(t), short: freeAddr(t), bare: freeAddr(t), metrics: freeAddr(t), upstream: freeAddr(t),
	}
	upstream := l.serve(t, upstreamCorefile)
	server := l.serve(t, serverCorefile)
	l.prometheus = startPrometheus(t, l.metrics)
	eventually(t, time.Minute, func() error { // clients that get no answer ask again at once, and that is a herd
		_, err := l.ask("svc.healthy.test.")
		return err
	})
	clients := l.load(t, l.dns, "svc.healthy.test", 40, "6s")
	atOnce := l.load(t, l.dns, "svc.spread.test", 60, "20ms") // too few for an alert, whose memory is longer than the run
	ended := l.load(t, l.dns, "svc.ended.test", 900, "20s")   // enough, were they not spread
	mixed := l.load(t, l.dns, "svc.mixed.test", 60, "20ms", "-others", "40")
	second := l.load(t, l.second, "svc.mixed.test", 20, "20ms")
	observed := l.load(t, l.dns, "svc.observed.test", 1, "20ms", "-rate", "5")
	few := l.load(t, l.bare, "svc.bare.test", 5, "3s", "-rate", "50")
	d := readDashboard(t)

	t.Run("healthy", func(t *testing.T) {
		began := time.Now()
		eventually(t, patience, func() error {
			if since := time.Since(began); since < 40*time.Second {
				return fmt.Errorf("only %v of load", since)
			}
			return none(slices.Concat(l.withoutData(t, d), l.unevaluated(t), l.unanswered(t), l.misjudged(t, d, []comeback{
				{zone: "spread.test.", kinds: "kept", fleet: 60},
				{zone: "healthy.test.", kinds: "kept", fleet: 40},
				{zone: "ended.test.", kinds: "kept", fleet: 900},
				{zone: "observed.test.", kinds: "kept", fleet: 1}, // with a TTL of 0 it comes back when told to
				{zone: "mixed.test.", kinds: "kept new", fleet: 60 + 20},
				{zone: "asleep.healthy.test."},
			}),
				l.without(
					`coredns_ttlfloor_query_peak{zone="ended.test."} > 100`,
					// What is below the alert's 100 queries may be above its ratios.
					`coredns_ttlfloor_query_dispersion_ratio{zone="healthy.test."} < 10`,
					`coredns_ttlfloor_query_peak_ratio{zone="healthy.test."} < 3`,
				)))
		})
		for _, p := range []*process{upstream, server, clients, atOnce, ended, mixed, second, observed, few} {
			p.running(t)
		}
		// A machine that halts makes a herd of its clients, those of ended.test above all, so
		// this is waited for. The load of this test is below what TTLFloorHerd asks for.
		eventually(t, patience, func() error {
			if alerts, err := l.prometheus.query(`ALERTS{zone!="ended.test."}`); err != nil || len(alerts) > 0 {
				return fmt.Errorf("alerts while all is well: %v %w", alerts, err)
			}
			// Stale answers there are, since some queries come just after an entry has expired.
			return l.prometheus.data(`coredns_cache_served_stale_total{zones="healthy.test."} > 0`)
		})
		if v, err := l.prometheus.query(`coredns_ttlfloor_served_ttl_seconds_bucket{zone!="observed.test.", le=~"2|2[.]0"} > 0`); err != nil || len(v) > 0 {
			t.Errorf("while all was well: TTLs of 2 and less: %v %v", v, err)
		}
	})
	t.Run("asleep", func(t *testing.T) {
		for _, problem := range l.without(
			`count(coredns_ttlfloor_responses_total{zone="asleep.healthy.test."} == 0) == 5`,
			`coredns_ttlfloor_query_peak{zone="asleep.healthy.test."} == 0`,
		) {
			t.Error(problem)
		}
		// Nobody has asked for these yet, nor has anybody asked the server of short.test.
		l.listed(t, "A rule that sleeps", "asleep.healthy.test.", "deaf.test.", "herd.test.", "trial.test.")
	})
	t.Run("observe", func(t *testing.T) { l.checkObserve(t, d) })
	t.Run("variables", func(t *testing.T) { l.checkVariables(t, d) })
	if t.Failed() {
		return
	}

	t.Run("alerts", func(t *testing.T) {
		even, err := l.prometheus.query(`coredns_ttlfloor_query_peak_ratio{zone="ended.test."}`)
		if err != nil || len(even) != 1 {
			t.Fatalf("%v %v", even, err)
		}
		began := time.Now()
		upstream.kill()
		ended.kill()
		herd := l.load(t, l.dns, "svc.herd.test", 600, "20ms")
		deaf := l.load(t, l.dns, "svc.deaf.test", 200, "20ms", "-model", "stub") // every 30 s, whatever the TTL
		kept := l.load(t, l.dns, "svc.trial.test", 300, "20ms")
		short := l.load(t, l.short, "svc.short.test", 45, "20ms") // too few for a herd
		storm := l.load(t, l.bare, "svc.bare.test", 20, "20ms", "-rate", "300")
		trial := l.load(t, l.dns, "svc.observed.test", 5, "20ms", "-rate", "60")
		l.wait(t, []string{
			"TTLFloorHerd zone=deaf.test. path=",
			"TTLFloorHerd zone=herd.test. path=",
			"TTLFloorHerd zone=trial.test. path=",
			"TTLFloorHidesDeadUpstream zone=healthy.test. path=",
			"TTLFloorZeroTTLStorm zone= path=stale",
			"TTLFloorZeroTTLStorm zone=observed.test. path=observed",
			"TTLFloorZeroTTLStorm zone=short.test. path=rule",
		})
		// The start of a herd is that of any fleet. What lasts is seen a minute after the schedule would have spread it.
		eventually(t, patience, func() error {
			if since := time.Since(began); since < 90*time.Second {
				return fmt.Errorf("only %v of a herd", since)
			}
			return none(append(l.misjudged(t, d, []comeback{
				{zone: "spread.test.", kinds: "kept", fleet: 60},
				{zone: "mixed.test.", kinds: "kept new", fleet: 60 + 20},
				{zone: "trial.test.", kinds: "kept", fleet: 300},
				{zone: "deaf.test.", kinds: "early"},
				{zone: "herd.test."}, // no jitter, and so no appointment
				{zone: "ended.test."},
			}), l.without(
				`zone:coredns_ttlfloor_new_or_early_returns:ratio_rate5m{zone="spread.test."} < 0.5`,
				`zone:coredns_ttlfloor_new_or_early_returns:ratio_rate5m{zone="trial.test."} < 0.5`,
				`zone:coredns_ttlfloor_new_or_early_returns:ratio_rate5m{zone="mixed.test."} > 0.5 < 0.95`,
				`zone:coredns_ttlfloor_new_or_early_returns:ratio_rate5m{zone="deaf.test."} == 1`,
				`absent(zone:coredns_ttlfloor_new_or_early_returns:ratio_rate5m{zone="herd.test."})`,
				`coredns_ttlfloor_query_dispersion_ratio{zone="deaf.test."} > 10`,
				`coredns_ttlfloor_query_dispersion_ratio{zone="herd.test."} > 10`,
				`coredns_ttlfloor_query_peak_ratio{zone="herd.test."} > 3`,
				`coredns_ttlfloor_query_dispersion_ratio{zone="spread.test."} < 2`,
				`coredns_ttlfloor_query_peak_ratio{zone="spread.test."} < 2`,
				`coredns_ttlfloor_query_dispersion_ratio{zone="ended.test."} == 0`,
				`coredns_ttlfloor_query_peak_ratio{zone="ended.test."} == 0`,
				`coredns_ttlfloor_query_peak{zone="ended.test."} == 0`,
			)...))
		})
		for _, p := range []*process{server, mixed, second, herd, deaf, kept, short, storm, trial} {
			p.running(t)
		}
		// Nor did it look like a herd on the way there: a window that goes on has a burst of the last seconds.
		rise := fmt.Sprintf(`max_over_time(coredns_ttlfloor_query_peak_ratio{zone="ended.test."}[85s]) > 2 * %f`, even[0].number())
		if v, err := l.prometheus.query(rise); err != nil || len(v) > 0 {
			t.Errorf("after the end of even traffic: %s: %v %v", rise, v, err)
		}
		if alerts := l.prometheus.alerts(t); alerts["TTLFloorHerd zone=ended.test. path="] {
			t.Errorf("alerts %v for traffic that ended", alerts)
		}
		l.listed(t, "A rule that sleeps", "asleep.healthy.test.")
		texts := l.prometheus.descriptions(t)
		for zone, want := range map[string]string{
			"deaf.test.":  " 100% of them are of clients that are new or come early, which no TTL moves.",
			"herd.test.":  " None of them got an appointment.",
			"trial.test.": "% of them are of clients that are new or come early, which no TTL moves.",
		} {
			if text := texts["TTLFloorHerd zone="+zone+" path="]; !strings.HasSuffix(text, want) {
				t.Errorf("TTLFloorHerd of %s says %q, want %q at the end", zone, text, want)
			}
		}
		t.Run("named", func(t *testing.T) { checkNamed(t, server) })
		for _, a := range d.Annotations.List {
			if err := l.prometheus.data(interpolate(t, *a.Expr, everything(t, d))); err != nil {
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

// everything is the value that stands for all, of every variable.
func everything(t *testing.T, d *dashboard.Dashboard) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name := range variables(t, d) {
		all[name] = ".+"
	}
	return all
}

// without lists the expressions that fail or have no data.
func (l *laboratory) without(exprs ...string) (problems []string) {
	for _, expr := range exprs {
		if err := l.prometheus.data(expr); err != nil {
			problems = append(problems, err.Error())
		}
	}
	return problems
}

// comeback is how the clients of a zone are to come back.
type comeback struct {
	zone  string
	kinds string // each with a twentieth of the queries at least, and no other one
	fleet float64
}

// misjudged lists what the panels about clients say otherwise.
func (l *laboratory) misjudged(t *testing.T, d *dashboard.Dashboard, all []comeback) (problems []string) {
	t.Helper()
	for _, c := range all {
		values := everything(t, d)
		values["zone"] = c.zone
		panel := func(title string) []sample {
			for _, q := range queries(t, d) {
				if q.where != title {
					continue
				}
				samples, err := l.prometheus.query(interpolate(t, q.expr, values))
				if err != nil {
					problems = append(problems, err.Error())
				}
				return samples
			}
			t.Fatalf("no panel %q", title)
			return nil
		}
		rates, sum := map[string]float64{}, 0.0
		for _, s := range panel("Who keeps appointments") {
			rates[s.Metric["kind"]] = s.number()
			sum += s.number()
		}
		var kinds []string
		for _, kind := range slices.Sorted(maps.Keys(rates)) {
			if rates[kind] > sum/20 {
				kinds = append(kinds, kind)
			}
		}
		if got := strings.Join(kinds, " "); got != c.kinds || len(rates) != 4 {
			problems = append(problems, fmt.Sprintf("%s: clients come back %q, want %q, of %v", c.zone, got, c.kinds, rates))
		}
		share := panel("New or early")
		want := (rates["new"] + rates["early"]) / sum
		if sum == 0 && len(share) > 0 || sum > 0 && (len(share) != 1 || math.Abs(share[0].number()-want) > 0.2) {
			problems = append(problems, fmt.Sprintf("%s: new or early are %v, want %.2f, or none where no client comes back", c.zone, share, want))
		}
		// Some may be late on a busy machine, and none is counted twice.
		if fleet := panel("Fleet size"); len(fleet) != 1 || fleet[0].number() < 0.9*c.fleet || fleet[0].number() > c.fleet {
			problems = append(problems, fmt.Sprintf("%s: a fleet of %v, want %v", c.zone, fleet, c.fleet))
		}
	}
	return problems
}

// runbookLog returns the line of the runbooks that has a server log who asks.
func runbookLog(t *testing.T) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^ +log \S+ (".*")$`).FindStringSubmatch(read(t, runbooksFile))
	if m == nil {
		t.Fatal("no runbook has a log line with a format")
	}
	return "log . " + m[1]
}

// checkNamed runs the commands of the runbooks that name clients, on what the server
// has logged.
func checkNamed(t *testing.T, server *process) {
	t.Helper()
	_, commands, ok := strings.Cut(read(t, runbooksFile), " > queries\n")
	commands, _, end := strings.Cut(commands, "~~~")
	if !ok || !end {
		t.Fatal("no commands in the runbooks that read queries")
	}
	dir := t.TempDir()
	var log strings.Builder
	for line := range strings.Lines(server.output.String()) {
		log.WriteString("2026-01-01T00:00:00.000000000Z " + line) // as kubectl logs --timestamps does
	}
	if err := os.WriteFile(filepath.Join(dir, "queries"), []byte(log.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", commands)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		`(?m)^ +\d{3,} 2026-01-01T00:00:00$`,
		`(?m)^ +[2-9] early 127\.1\.0\.\d+ svc\.deaf\.test\. SRV$`,
	} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("the runbook's commands do not print %s, but\n%s", want, out)
		}
	}
}

// listed wants the zones that the first query of a runbook lists.
func (l *laboratory) listed(t *testing.T, runbook string, want ...string) {
	t.Helper()
	exprs := runbookQueries(t)[runbook]
	if len(exprs) == 0 {
		t.Fatalf("no runbook %q with a query", runbook)
	}
	samples, err := l.prometheus.query(exprs[0])
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range samples {
		got = append(got, s.Metric["zone"])
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s: zones %q, want %q", runbook, got, want)
	}
}

// checkObserve has clients get what came to the rule that only observes, and the
// metrics tell that from what would have gone out.
func (l *laboratory) checkObserve(t *testing.T, d *dashboard.Dashboard) {
	t.Helper()
	for range 3 {
		if ttl, err := l.ask("svc.observed.test."); err != nil || ttl != 0 {
			t.Errorf("a TTL of %d went out, want 0, as it came (%v)", ttl, err)
		}
	}
	l.listed(t, "A rule that only observes", "observed.test.", "trial.test.")
	exprs := []string{
		`coredns_ttlfloor_responses_total{zone="observed.test.", outcome="raised"} > 0`,
		`coredns_ttlfloor_received_ttl_seconds_bucket{zone="observed.test.", le=~"0([.]0)?"} > 0`,
		`coredns_ttlfloor_served_ttl_seconds_bucket{zone="observed.test.", le=~"10([.]0)?"} == 0`,
		`coredns_ttlfloor_served_ttl_seconds_bucket{zone="observed.test.", le=~"20([.]0)?"} > 0`,
		`zone:coredns_ttlfloor_short_ttl_responses:rate5m{zone="observed.test."} > 0`,
		`zone:coredns_ttlfloor_short_ttl_responses:rate5m{zone="healthy.test."} == 0`,
	}
	for _, q := range queries(t, d) {
		if q.where == "Went out with a TTL of 0 or 1" {
			for zone, compare := range map[string]string{"observed.test.": " > 0", "healthy.test.": " == 0"} {
				values := everything(t, d)
				values["zone"] = zone
				exprs = append(exprs, interpolate(t, q.expr, values)+compare)
			}
		}
	}
	if len(exprs) != 8 {
		t.Fatalf("no panel, or several, with TTLs of 0 or 1 that went out")
	}
	for _, problem := range l.without(exprs...) {
		t.Error(problem)
	}
}

// ask returns the TTL of the answer to a query for SRV.
func (l *laboratory) ask(name string) (uint32, error) {
	m := dnsmessage.Message{Questions: []dnsmessage.Question{
		{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeSRV, Class: dnsmessage.ClassINET},
	}}
	b, err := m.Pack()
	if err != nil {
		return 0, err
	}
	c, err := net.Dial("udp", l.dns)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write(b); err != nil {
		return 0, err
	}
	b = make([]byte, 512)
	n, err := c.Read(b)
	if err != nil {
		return 0, err
	}
	if err := m.Unpack(b[:n]); err != nil {
		return 0, err
	}
	if len(m.Answers) != 1 {
		return 0, fmt.Errorf("%d answers and %v, want 1", len(m.Answers), m.RCode)
	}
	return m.Answers[0].Header.TTL, nil
}

// withoutData lists the queries of the dashboard that fail, have no data, or lack
// a label that their legend names, with all values of the variables.
func (l *laboratory) withoutData(t *testing.T, d *dashboard.Dashboard) (problems []string) {
	t.Helper()
	all, n := everything(t, d), 0
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
	for _, exprs := range runbookQueries(t) {
		n += len(exprs)
		for _, problem := range l.without(exprs...) {
			problems = append(problems, "runbooks: "+problem)
		}
	}
	if n < 10 {
		t.Fatalf("%d queries in the runbooks, want 10 at least", n)
	}
	return problems
}

// runbookQueries returns the queries of the runbooks and of the operator's handbook, by
// heading.
func runbookQueries(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	if !strings.Contains(read(t, sizingFile), "\n~~~ promql\n") {
		t.Fatalf("%s has no query for the size of the fleet", sizingFile)
	}
	for section := range strings.SplitSeq(read(t, runbooksFile)+"\n"+read(t, sizingFile), "\n## ") {
		heading, _, _ := strings.Cut(section, "\n")
		for i, part := range strings.Split(section, "\n~~~ promql\n") {
			if block, _, ok := strings.Cut(part, "\n~~~"); ok && i > 0 {
				out[heading] = append(out[heading], strings.Split(block, "\n")...)
			}
		}
	}
	return out
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// checkVariables has the variables list what there is, and the queries of ttlfloor's
// metrics have data for each value alone.
func (l *laboratory) checkVariables(t *testing.T, d *dashboard.Dashboard) {
	t.Helper()
	all, exprs := everything(t, d), variables(t, d)
	server := "dns://" + l.dns
	servers := []string{server, "dns://" + l.second, "dns://" + l.short}
	slices.Sort(servers)
	for name, want := range map[string][]string{
		"job": {"coredns"}, "instance": {l.metrics}, "server": servers, "zone": {"asleep.healthy.test.", "deaf.test.", "ended.test.",
			"healthy.test.", "herd.test.", "mixed.test.", "observed.test.", "short.test.", "spread.test.", "trial.test."},
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
