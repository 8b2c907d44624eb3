//go:build linux

package find

import (
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// What clients ask for. The source has TTL 5 for the herd, and the cache makes all of
// its clients expire at the same time. That of the storm has TTL 0.
const (
	herd    = "herd.mesh.example."
	spin    = "spin.mesh.example."
	fleet   = 60 // clients of the herd
	storms  = 4  // and of the storm
	period  = 5 * time.Second
	looked  = 30 // seconds, in which the herd comes six times
	settles = 60 // seconds, of which the last third has settled
	last    = 20 // seconds
)

// corefile is that of the server, with what a test adds.
func corefile(more ...string) string {
	return `.:0 {
    bind 127.0.0.1
    errors
    log
    ` + strings.Join(more, "\n    ") + `
    cache 5 ` + herd + `
    template IN SRV ` + herd + ` {
        answer "{{ .Name }} 5 IN SRV 0 0 8086 dst.mesh.example."
    }
    template IN A ` + spin + ` {
        answer "{{ .Name }} 0 IN A 192.0.2.1"
    }
}
`
}

// load has all clients ask a server for so many seconds: those of the herd, strangers
// who ask once, and those of the storm, who are slowed down.
func load(t *testing.T, server string, seconds int) {
	t.Helper()
	var ends []func(os.Signal) outcome
	for _, args := range []string{
		fmt.Sprintf("-clients %d -others 20 SRV %s", fleet, herd),
		fmt.Sprintf("-clients %d -rate 100 A %s", storms, spin),
	} {
		args = fmt.Sprintf("run -server %s -for %ds %s", server, seconds, args)
		ends = append(ends, background(t, "", nil, strings.Fields(args)...))
	}
	for _, wait := range ends {
		if o := wait(nil); o.status != 0 {
			t.Errorf("ttlstorm run: status %d\n%s", o.status, o.stderr)
		}
	}
}

// TestFindAndCure follows a user from a stock CoreDNS to one with the rules that find
// wrote: the log, dnstap and packets of one run lead to the same findings, and with the
// rules the findings are gone.
func TestFindAndCure(t *testing.T) {
	dir := t.TempDir()
	live, saved := filepath.Join(dir, "live"), filepath.Join(dir, "saved")
	wait := background(t, dir, nil, "find", "-floor", "5", "-json", "-", "-listen", "unix:"+live)
	listens(t, live)
	taps, tapped := tap(t, saved)
	s := start(t, corefile("dnstap "+live+" full", "dnstap unix://"+saved+" full"))
	packets, captured := capture(t, s.addr)
	defer captured()
	load(t, s.addr, looked)
	captured()
	s.stop()
	tapped()
	_, port, _ := strings.Cut(s.addr, ":")

	reports := map[string]report{
		"log":               look(t, s.log),
		"dnstap as it came": reported(t, wait(os.Interrupt)),
		"dnstap in a file":  look(t, taps),
		"pcap":              look(t, "-port", port, packets),
	}
	for name, r := range reports {
		t.Run(name, func(t *testing.T) {
			if len(r.Findings) != 2 {
				t.Fatalf("%d findings, want the herd and the storm: %+v", len(r.Findings), r)
			}
			for _, want := range []finding{
				{Kind: "herd", Name: herd, Type: "SRV", Clients: fleet, Period: period},
				{Kind: "storm", Name: spin, Type: "A", Clients: storms},
			} {
				i := slices.IndexFunc(r.Findings, func(f finding) bool { return f.Kind == want.Kind })
				if i < 0 {
					t.Errorf("no %s in %+v", want.Kind, r.Findings)
					continue
				}
				got := r.Findings[i]
				if got.Name != want.Name || got.Type != want.Type || !near(got.Clients, want.Clients, 0.1) || !near(got.Period, want.Period, 0.05) {
					t.Errorf("got %+v, want %+v", got, want)
				}
				if told := name != "log"; got.Known != told || (got.TTLs != nil) != told {
					t.Errorf("it is %t that the %s follows TTLs, which are %v; want %t, as far as there are TTLs in it", got.Known, got.Kind, got.TTLs, told)
				}
			}
			if want := reports["log"].Rules; !slices.Equal(r.Rules, want) || len(want) != 2 {
				t.Errorf("rules %q, want two, those of the log: %q", r.Rules, want)
			}
		})
	}
	t.Run("with the rules", func(t *testing.T) { cured(t, reports["log"]) })
}

func near[N int | time.Duration](got, want N, tolerance float64) bool {
	return math.Abs(float64(got-want)) <= tolerance*float64(want)
}

// cured asks a server that has the rules of a report.
func cured(t *testing.T, r report) {
	t.Helper()
	var lines []string
	for _, rule := range r.Rules {
		lines = append(lines, rule.Line)
	}
	s := start(t, corefile(lines...))
	load(t, s.addr, settles)
	s.stop()
	if again := look(t, s.log); len(again.Findings) != 0 || again.Queries < fleet*settles/8 {
		t.Errorf("find says of the server with the rules: %+v", again)
	}
	i := slices.IndexFunc(r.Findings, func(f finding) bool { return f.Kind == "herd" })
	if i < 0 || r.Findings[i].Prediction == nil {
		t.Fatalf("no prediction for a herd in %+v", r.Findings)
	}
	want, got := r.Findings[i].Prediction.Busiest, busiest(t, s.log)
	if t.Logf("%d queries in the busiest second, predicted were %d", got, want); !near(got, want, 0.2) && max(got-want, want-got) > 2 {
		t.Errorf("%d queries in the busiest of the last %d seconds, where find predicted %d", got, last, want)
	}
}

// entry is a query of the herd in the log.
var entry = regexp.MustCompile(`(?m)^(\S+) \[INFO\] ([0-9.]+):\d+ - \d+ "SRV IN ` + regexp.QuoteMeta(herd) + ` `)

// busiest counts what the clients of the herd, whose addresses come first, asked in the
// last seconds of a log. It returns the most in one second.
func busiest(t *testing.T, log string) (most int) {
	t.Helper()
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	seconds, end := map[int64]int{}, int64(0)
	for _, m := range entry.FindAllStringSubmatch(string(b), -1) {
		at, err := time.Parse(time.RFC3339Nano, m[1])
		if err != nil {
			t.Fatal(err)
		}
		end = max(end, at.Unix())
		if a := netip.MustParseAddr(m[2]).As4(); [3]byte(a[:3]) == [3]byte{127, 1, 0} && a[3] < fleet {
			seconds[at.Unix()]++
		}
	}
	for s, n := range seconds {
		if s > end-last {
			most = max(most, n)
		}
	}
	return most
}
