//go:build linux

package atlas

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"

	"github.com/ttlfloor/ttlfloor/clients/internal/source"
)

// verdict says what *ttlfloor* does for a client.
func (e *Entry) verdict() string {
	c := e.Conclusion
	switch {
	case e.Error != "":
		return "not measured"
	case c.Itself && e.measured():
		return e.fleetVerdict(e.typical("without"), e.typical("with"))
	case c.Follows && c.Itself:
		return "not measured as a fleet"
	case c.Follows:
		return "helped"
	case c.Waits[source.TTL30] == eachUse:
		return "not moved: it keeps nothing"
	case c.Waits[source.TTL30] == never:
		return "not moved: it asks once"
	}
	return "not moved: its waits are its own"
}

// measured tells whether each measurement of a fleet has figures.
func (e *Entry) measured() bool {
	for treatment := range With {
		if len(e.Fleets[treatment]) == 0 || slices.ContainsFunc(e.Fleets[treatment], func(f Fleet) bool { return f.Queries == 0 }) {
			return false
		}
	}
	return true
}

// typical is the measurement of a fleet that is the median by its busiest second.
func (e *Entry) typical(treatment string) Fleet {
	sorted := slices.SortedFunc(slices.Values(e.Fleets[treatment]), func(a, b Fleet) int {
		return cmp.Or(a.Busiest-b.Busiest, a.Second-b.Second)
	})
	return sorted[len(sorted)/2]
}

// fleetVerdict says what became of a fleet.
func (e *Entry) fleetVerdict(before, after Fleet) string {
	b, a := float64(before.Busiest), float64(after.Busiest)
	switch {
	case !e.Conclusion.Follows: // what differs is chance
		return "not moved: its waits are its own"
	case a > 1.5*b:
		return "made worse"
	case a < b/2 && after.calendar() <= flat && e.Conclusion.Jitter < 1: // what adds seconds has no place in a schedule
		return "cured"
	case a < 0.75*b:
		return "helped"
	}
	return "not moved: as uneven as before"
}

// flat is how many times the mean second the busiest of the calendar has at most of a fleet of
// 100 that has a schedule.
const flat = 2

// calendar is how many times the mean second the busiest of the calendar has.
func (f Fleet) calendar() float64 { return float64(f.Second) * looked / float64(f.Queries) }

// fleet says how even a fleet is.
func (e *Entry) fleet(treatment string) string {
	if e.measured() {
		f := e.typical(treatment)
		return fmt.Sprintf("%d, %d | %.1f", f.Second, f.Busiest, f.Ratio)
	}
	return " | "
}

// jitter says by how much the waits for one TTL differ of a client that asks by itself.
func (e *Entry) jitter() string {
	switch j := e.Conclusion.Jitter; {
	case !e.Conclusion.Itself:
		return ""
	case j < 0:
		return "not seen"
	case j == 0:
		return "none"
	case j < 1.5:
		return fmt.Sprintf("%.1f s", j)
	default: // of a dozen waits, and another dozen has another
		return "seconds"
	}
}

// ceiling says what a cache hands out for a TTL of a week.
func (e *Entry) ceiling() string {
	switch c := e.Conclusion.Ceiling; c {
	case 0:
		return ""
	case source.WeekTTL:
		return "a week"
	default:
		return fmt.Sprintf("%d s", c)
	}
}

// Document writes entries as Markdown.
func Document(w io.Writer, entries []Entry) error { return document.Execute(w, entries) }

var document = template.Must(template.New("clients").Funcs(template.FuncMap{
	"wait":    func(e Entry, label string) string { return e.Conclusion.Waits[label] },
	"verdict": func(e Entry) string { return e.verdict() },
	"fleet":   func(e Entry, treatment string) string { return e.fleet(treatment) },
	"ceiling": func(e Entry) string { return e.ceiling() },
	"jitter":  func(e Entry) string { return e.jitter() },
	"asks": func(e Entry) string {
		if e.Conclusion.Itself {
			return "by itself"
		}
		return "on use"
	},
	"tcp": func(e Entry) string {
		if e.Conclusion.TCP {
			return "yes"
		}
		return "no"
	},
	"size": func() int { return FleetSize },
	"line": func(s string) string { return strings.Join(strings.Fields(s), " ") },
}).Parse(`# What clients do with TTLs

Each row is a measurement of a program as it comes from its registry, against a CoreDNS on the same machine.
` + "`make clients`" + ` repeats all of them, and ` + "`make clients CLIENT=nginx`" + ` one. A client is used once, left alone for 17 seconds, and
then used four times a second for 36 seconds; Prometheus is not used, and getaddrinfo of Envoy takes longer. The times are the median
between two of its lookups. *Never* means not within these 53 seconds. A longer maximum would not show. *Jitter* is by how much the
waits for a TTL of 5 differ, of clients that ask by themselves.

*Cured*: it asks again by itself when the TTL has run out, and a fleet of it becomes even. *Helped*: it asks when it is used, and
with longer TTLs less often, or a fleet of it becomes more even, as one does whose jitter of seconds is in the way of a schedule.
Whoever asks a cache that is helped gets what is left of the TTL, and all of them come back together. *Not moved*: it waits for other
times than the TTL.

| client | asks | TTL 0 | TTL 1 | TTL 5 | TTL 30 | jitter | a change arrives | *ttlfloor* |
|---|---|---|---|---|---|---|---|---|
{{range .}}{{if not .Error}}| {{.Title}} ({{.Version}}) | {{asks .}} | {{wait . "ttl0"}} | {{wait . "ttl1"}} | {{wait . "ttl5"}} | {{wait . "ttl30"}} | {{jitter .}} | {{.Conclusion.Moves}} | {{verdict .}} |
{{end}}{{end}}
## Sections, denials and failures

An answer has TTL 20 here, and a record of another section has 7. A denial has a SOA whose TTL and MINIMUM are 5, or none.
A truncated answer is asked for again over TCP by the client, or by who uses it. The last column is the greatest TTL that a cache
hands out for one of a week. "10 s and more" was seen once.

| client | additional 7 | SRV, additional 7 | authority 7 | NXDOMAIN | without SOA | SERVFAIL | no answer | TCP after truncation | a week |
|---|---|---|---|---|---|---|---|---|---|
{{range .}}{{if not .Error}}| {{.Title}} | {{wait . "additional"}} | {{wait . "srv"}} | {{wait . "authority"}} | {{wait . "nxsoa"}} | {{wait . "nx"}} | {{wait . "failure"}} | {{wait . "drop"}} | {{tcp .}} | {{ceiling .}} |
{{end}}{{end}}
## Fleets

For each client that asks by itself: {{size}} names with TTL 20 behind *cache*, all resolved from the same moment on. The figures are
of the third minute: the queries in the busiest second of the calendar, and in the busiest wherever it begins. The second figure is also
given as a multiple of the mean. Each fleet is measured three times, and the one in the middle is shown. TTLs are whole seconds, so
that a client keeps its place within the second.

| client | without *ttlfloor* | times the mean | with ` + "`ttlfloor 20s`" + ` | times the mean |
|---|---|---|---|---|
{{range .}}{{if .Fleets}}| {{.Title}} | {{fleet . "without"}} | {{fleet . "with"}} |
{{end}}{{end}}
## Notes
{{range .}}{{if or .Note .Differs}}
**{{.Title}}.**{{with .Note}} {{line .}}{{end}}{{with .Differs}} The repeats do not agree: {{range $i, $d := .}}{{if $i}}; {{end}}{{$d}}{{end}}.{{end}}
{{end}}{{end}}{{range .}}{{if .Error}}
**{{.Title}}** was not measured: {{.Error}}.
{{end}}{{end}}
**linkerd2-proxy** was not measured, as it is in no registry. Its resolver is hickory-resolver, which is. The two models of it that the
laboratory has are of what its source says.
`))
