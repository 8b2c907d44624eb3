package lab

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/client"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

const (
	document = "../../../../docs/storm.md"
	// everything has all figures of all rows. Those of its tables that are made of the same runs
	// have their rows once.
	everything = "../../../../docs/storm.csv"
)

// job is a run of a row.
type job struct {
	treatment string // as it is called in the CSV
	replicas  int
	seed      uint64
	do        func(t *testing.T) outcome // does it, the first time
	stretches []minutes                  // that the CSV has of it
}

// minutes are the first and the last of a stretch, counted from 1.
type minutes struct{ from, to int }

func (m minutes) String() string {
	if m.from == m.to {
		return strconv.Itoa(m.from)
	}
	return fmt.Sprintf("%d-%d", m.from, m.to)
}

// line is one of a table, and the runs that it is made of.
type line struct {
	name  string // first cell, and what the runs are called in the CSV
	runs  string // the latter, if that is another
	dear  bool   // takes minutes; only with -storm
	jobs  []job
	cells func(outcomes []outcome) []string // behind the first one
}

// table is one of the document.
type table struct {
	name  string
	csv   string // name of its runs in the CSV, if not its own
	heads []string
	lines []line
	long  bool // has runs of 20 minutes, which take too long under the race detector
}

// mostColumns is how many a reader can compare.
const mostColumns = 6

// row is a run of five minutes.
type row struct {
	Run
	name string // of the treatment, if not its own
	dear bool   // takes minutes; only with -storm
}

// column is one of a table of runs of five minutes.
type column struct {
	head string
	cell func(storm.Report) string
}

// all is a row for each treatment.
func all(change func(*Run)) (rows []row) {
	for _, t := range storm.Treatments(30) {
		r := row{Run: base(t, 30)}
		change(&r.Run)
		rows = append(rows, r)
	}
	return rows
}

// fiveMinutes are the rows of the tables of runs of five minutes, by their names in the document.
func fiveMinutes() map[string][]row {
	out := map[string][]row{
		"herd":    all(func(*Run) {}),
		"rolling": all(func(r *Run) { r.Start = rolling }),
		"ttl5":    all(func(r *Run) { r.Source.TTL = 5 }),
		"ttl0":    all(func(r *Run) { r.Source.TTL = 0 }),
		"down": all(func(r *Run) {
			r.Clients = 100
			r.Treatment = storm.ServingStale([]storm.Treatment{r.Treatment})[0]
			r.Source.DownAt, r.Source.UpAt = time.Minute, 4*time.Minute
		}),
	}
	for i, r := range out["ttl0"] {
		out["ttl0"][i].dear = r.Treatment.Name == "nothing"
	}
	for i, r := range out["down"] {
		out["down"][i].dear = r.Treatment.Name == "cache 30" || r.Treatment.Name == "cache, MINTTL"
	}
	start := base(treatment("ttlfloor, scheduled"), 0)
	start.Start = rolling
	out["ttl0"] = append(out["ttl0"], row{Run: start, name: "ttlfloor, scheduled, rolling start"})

	jitter := base(treatment("cache 30"), 30)
	jitter.Model, _ = client.ByName("envoy-jitter")
	out["herd"] = append(out["herd"], row{Run: jitter, name: "cache 30, Envoy's jitter"})
	for _, replicas := range []int{3, 10} {
		for _, name := range []string{"ttlfloor, random", "ttlfloor, scheduled"} {
			r := base(treatment(name), 30)
			r.Replicas = replicas
			out["herd"] = append(out["herd"], row{Run: r, name: fmt.Sprintf("%s, %d replicas", name, replicas)})
		}
	}

	for _, node := range []struct {
		name       string
		directives []string
		cluster    string
	}{
		{"no ttlfloor", []string{nodeCache}, "cache 30"},
		{"ttlfloor in the cluster only", []string{nodeCache}, "ttlfloor, scheduled"},
		{"on the nodes only", []string{"ttlfloor 30", nodeCache}, "cache 30"},
		{"in both", []string{"ttlfloor 30", nodeCache}, "ttlfloor, scheduled"},
	} {
		r := base(treatment(node.cluster), 30)
		r.PerNode, r.Node, r.Replicas = 30, node.directives, 3
		out["nodes"] = append(out["nodes"], row{Run: r, name: node.name})
	}

	for _, m := range client.Models {
		for _, name := range []string{"cache 30", "ttlfloor, scheduled"} {
			r := base(treatment(name), 30)
			r.Model = m
			out["models"] = append(out["models"], row{Run: r, name: m.Name + ", " + name})
		}
	}

	for _, choice := range choicesOfFloor {
		r := base(choice.treatment(), 30)
		out["choice"] = append(out["choice"], row{Run: r})
	}
	return out
}

// The columns of the tables of runs of five minutes.
var (
	overMean = column{"busiest second over the mean, first and last minute", func(r storm.Report) string {
		return firstAndLast(r, func(s storm.Span) string { return fmt.Sprintf("%.2f", s.SecondRatio) })
	}}
	anyOffset = column{"by any offset", func(r storm.Report) string {
		return firstAndLast(r, func(s storm.Span) string { return fmt.Sprintf("%.2f", s.OffsetOver) })
	}}
	busiest = column{"busiest second, first and last minute", func(r storm.Report) string {
		return firstAndLast(r, func(s storm.Span) string { return strconv.Itoa(s.Second) })
	}}
	burst = column{"busiest 10 ms, first and last minute", func(r storm.Report) string {
		return firstAndLast(r, func(s storm.Span) string { return strconv.Itoa(s.Slot) })
	}}
	queries  = column{"queries", func(r storm.Report) string { return strconv.Itoa(r.Queries) }}
	upstream = column{"upstream", func(r storm.Report) string { return strconv.Itoa(r.Upstream) }}
	meanTTL  = column{"mean TTL", func(r storm.Report) string { return fmt.Sprintf("%.1f", r.MeanTTL) }}
	stale    = column{"stale, at most", func(r storm.Report) string { return tenths(r.Stale.Max) }}
	failed   = column{"errors", func(r storm.Report) string { return storm.ErrorList(r.Errors) }}
)

func firstAndLast(r storm.Report, of func(storm.Span) string) string {
	return of(r.First) + ", " + of(r.Last)
}

func tenths(d time.Duration) string { return fmt.Sprintf("%.1f", math.Round(d.Seconds()*10)/10) }

// tables are those of the document.
func tables() (out []table) {
	rows := fiveMinutes()
	columns := map[string][]column{
		"herd":    {overMean, anyOffset, queries, meanTTL, stale},
		"rolling": {overMean, anyOffset, queries, meanTTL, stale},
		"ttl5":    {overMean, queries, upstream, meanTTL, stale},
		"ttl0":    {busiest, queries, upstream, meanTTL, stale},
		"down":    {busiest, queries, upstream, failed, stale},
		"nodes":   {overMean, anyOffset, queries, meanTTL, stale},
		"models":  {overMean, anyOffset, burst, queries, meanTTL},
		"choice":  {busiest, overMean, queries, meanTTL, stale},
	}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		t := table{name: name, heads: []string{""}}
		for _, c := range columns[name] {
			t.heads = append(t.heads, c.head)
		}
		for _, r := range rows[name] {
			t.lines = append(t.lines, r.line(name, columns[name]))
		}
		if name == "herd" {
			t.lines = slices.Insert(t.lines, 8, bound(rows[name][7]))
		}
		out = append(out, t)
	}
	return append(out, longTables()...)
}

func (r row) line(table string, columns []column) line {
	r.name = cmp.Or(r.name, r.Treatment.Name)
	return line{name: r.name, dear: r.dear, jobs: []job{r.job(table)}, cells: func(outs []outcome) (cells []string) {
		for _, c := range columns {
			cells = append(cells, c.cell(outs[0].report))
		}
		return cells
	}}
}

func (r row) job(table string) job {
	return job{r.Treatment.Name, max(1, r.Replicas), r.Seed, func(t *testing.T) outcome {
		t.Helper()
		return memo(table+": "+r.name, func(string) outcome {
			o, _ := outcomeOf(do(t, r.Run), 1)
			o.report.Name = r.name
			return o
		})
	}, []minutes{{1, 1}, {5, 5}, {1, 5}}}
}

// bound is a line below that of a run: the least that its busiest second can be is the
// mean of the last minute, rounded up to a whole query.
func bound(of row) line {
	l := of.line("herd", nil)
	l.name, l.runs = "the bound for that", l.name
	l.cells = func(outs []outcome) []string {
		mean := outs[0].report.Last.Mean
		return []string{fmt.Sprintf("-, %.2f", math.Ceil(mean)/mean), "", "", "", ""}
	}
	return l
}

// longTables are those of scenarios, of 20 minutes, with one seed.
func longTables() []table {
	var steady, events, even, atFloor, queries []scenario
	for _, s := range phases {
		if strings.HasSuffix(s.name, "in minute 10") {
			events = append(events, s)
		} else {
			steady = append(steady, s)
		}
	}
	for _, s := range countdown {
		switch {
		case s.asBare > 0:
			queries = append(queries, s)
		case s.asFloor > 0:
			atFloor = append(atFloor, s)
		default:
			even = append(even, s)
		}
	}
	beside := func(name, first string, rows []scenario, more string, of func(figures) float64, cell func(o []outcome) string) table {
		t := table{name: name, heads: []string{first, "random", "scheduled, 1 replica", "3 replicas", "10 replicas"}, long: true}
		if more != "" {
			t.heads = append(t.heads, more)
		}
		for _, s := range rows {
			l := line{name: s.name, dear: s.dear, jobs: []job{s.job("random", 1)}}
			for _, replicas := range replicaCounts {
				l.jobs = append(l.jobs, s.job("scheduled", replicas))
			}
			l.cells = func(o []outcome) (cells []string) {
				for _, o := range o[:4] {
					cells = append(cells, fmt.Sprintf("%.2f", of(o.whole)))
				}
				if more != "" {
					cells = append(cells, cell(o))
				}
				return cells
			}
			t.lines = append(t.lines, l)
		}
		return t
	}
	herd := func(f figures) float64 { return f.herd }
	mixedHerd := beside("mixed_herd", "beside", mixed, "", herd, nil)
	mixedAll := beside("mixed_all", "beside", mixed, "", func(f figures) float64 { return f.all }, nil)
	mixedHerd.csv, mixedAll.csv = "mixed", "mixed"

	held := beside("countdown", "source", even, "mean TTL, 1 replica", herd, func(o []outcome) string { return fmt.Sprintf("%.1f", o[1].whole.ttl) })
	peaks := beside("countdown_busiest", "source", atFloor, "source at the floor", func(f figures) float64 { return f.peak },
		func(o []outcome) string { return fmt.Sprintf("%.1f", o[4].whole.peak) })
	rates := beside("countdown_queries", "source", queries, "without ttlfloor", func(f figures) float64 { return f.rate },
		func(o []outcome) string { return fmt.Sprintf("%.2f", o[4].whole.rate) })
	for i := range atFloor {
		like := atFloor[i].atFloorToo()
		j := like.job("scheduled", 1)
		j.treatment = "scheduled, source at the floor"
		peaks.lines[i].jobs = append(peaks.lines[i].jobs, j)
	}
	for i, s := range queries {
		rates.lines[i].jobs = append(rates.lines[i].jobs, s.job(none, 1))
		rates.lines[i].name, rates.lines[i].runs = strings.TrimSuffix(s.name, ", queries"), s.name
	}
	held.csv, peaks.csv, rates.csv = "countdown", "countdown", "countdown"

	starts := beside("phases", "", steady, "1 replica, by the calendar", func(f figures) float64 { return f.offset },
		func(o []outcome) string { return fmt.Sprintf("%.2f", o[1].whole.herd) })
	return []table{mixedHerd, mixedAll, held, peaks, rates, starts, eventTable(events)}
}

// eventTable has the busiest second in the minutes after something happened.
func eventTable(rows []scenario) table {
	const after = 10 // the minute that it happens at the end of
	t := table{name: "events", heads: []string{"", "1st minute after", "2nd", "3rd", "4th", "5th"}, long: true}
	for _, s := range rows {
		for _, of := range []struct {
			jitter   string
			replicas int
			name     string
		}{{"random", 1, "random"}, {"scheduled", 1, "scheduled"}, {"scheduled", 3, "scheduled, 3 replicas"}, {"scheduled", 10, "scheduled, 10 replicas"}} {
			j := s.job(of.jitter, of.replicas)
			for m := range 5 {
				j.stretches = append(j.stretches, minutes{after + 1 + m, after + 1 + m})
			}
			t.lines = append(t.lines, line{
				name: strings.TrimSuffix(s.name, " in minute 10") + ": " + of.name, runs: s.name, dear: s.dear, jobs: []job{j},
				cells: func(o []outcome) (cells []string) {
					for m := range 5 {
						cells = append(cells, fmt.Sprintf("%.2f", o[0].minutes[after+m].herd))
					}
					return cells
				},
			})
		}
	}
	return t
}

// tableSeed is that of the runs of scenarios in tables.
const tableSeed = 0

func (s scenario) job(jitter string, replicas int) job {
	r := s.run(jitter, replicas, tableSeed)
	from, end := cmp.Or(s.from, 5), int(r.Length/time.Minute)
	stretches := []minutes{{from, end}}
	if end >= 20 && from < 16 {
		stretches = append(stretches, minutes{16, 20})
	}
	return job{jitter, replicas, tableSeed, func(t *testing.T) outcome {
		t.Helper()
		return s.once(t, jitter, replicas, tableSeed)
	}, stretches}
}

const tableHeads = "table,row,treatment,replicas,seed,minutes," + figureHeads +
	",run_queries,run_upstream_queries,run_mean_ttl,generation,settled_after_generations,longest_gap,stale_p50,stale_max,errors"

// csv are the lines that the CSV has of a run of a row.
func (j job) csv(table, row string, o outcome) (lines []string) {
	r, settled := o.report, ""
	if r.Settled >= 0 {
		settled = fmt.Sprintf("%.2f", r.Settled)
	}
	end := fmt.Sprintf("%d,%d,%.3f,%.3f,%s,%.3f,%.3f,%.3f,%q", r.Queries, r.Upstream, r.MeanTTL, r.Generation.Seconds(), settled,
		r.Longest.Seconds(), r.Stale.P50.Seconds(), r.Stale.Max.Seconds(), storm.ErrorList(r.Errors))
	for _, m := range j.stretches {
		lines = append(lines, fmt.Sprintf("%s,%q,%q,%d,%d,%s,%s,%s", table, row, j.treatment, j.replicas, j.seed, m, o.figuresOf(m).csv(), end))
	}
	return lines
}

// figuresOf finds those of a stretch that a job has.
func (o *outcome) figuresOf(m minutes) figures {
	switch {
	case m.from == m.to:
		return o.minutes[m.from-1]
	case m == (minutes{16, 20}):
		return o.late
	}
	return o.whole
}

var tablePattern = regexp.MustCompile(`(?s)<!-- table (\w+) -->\n(.*?)<!-- end -->`)

// TestTables does every run of the tables in the document, and compares them and the
// CSV. With -update it writes both. With -row the other rows stay as they are.
func TestTables(t *testing.T) {
	all := tables()
	t.Run("runs", func(t *testing.T) {
		for i := range all {
			for _, l := range all[i].lines {
				for _, j := range l.jobs {
					if !all[i].skips(&l) {
						t.Run(fmt.Sprintf("%s, %s, %d", l.name, j.treatment, j.replicas), func(t *testing.T) {
							t.Parallel()
							j.do(t)
						})
					}
				}
			}
		}
	})

	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]*table)
	for i := range all {
		names[all[i].name] = &all[i]
		if n := len(all[i].heads); n > mostColumns {
			t.Errorf("table %s has %d columns", all[i].name, n)
		}
	}
	seen := 0
	got := tablePattern.ReplaceAllStringFunc(string(text), func(old string) string {
		parts := tablePattern.FindStringSubmatch(old)
		table, ok := names[parts[1]]
		if !ok {
			t.Errorf("the document has a table %q that is not among the runs", parts[1])
			return old
		}
		seen++
		now := fmt.Sprintf("<!-- table %s -->\n%s<!-- end -->", table.name, table.markdown(t, strings.Split(parts[2], "\n")))
		if now != old && !*update {
			t.Errorf("table %s is\n%s\nwant\n%s", table.name, old, now)
		}
		return now
	})
	if seen != len(all) {
		t.Errorf("%d tables in the document, want %d", seen, len(all))
	}

	old, err := os.ReadFile(everything)
	if err != nil && !*update {
		t.Error(err)
	}
	lines := csvLines(t, all, strings.Split(string(old), "\n"))
	if lines != string(old) && !*update {
		t.Errorf("%s is not what the runs give; make figures", filepath.Base(everything))
	}
	if rows, err := csv.NewReader(strings.NewReader(lines)).ReadAll(); err != nil {
		t.Errorf("%v after %d rows", err, len(rows))
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(document, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(everything, []byte(lines), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// skips tells whether a line stays as it is.
func (b *table) skips(l *line) bool {
	return l.dear && !*full || b.long && underRace || !regexp.MustCompile(*rowPattern).MatchString(l.name)
}

// markdown is a table, with lines of an old one where they stay.
func (b *table) markdown(t *testing.T, old []string) string {
	t.Helper()
	var out bytes.Buffer
	write := func(cells []string) { fmt.Fprintf(&out, "| %s |\n", strings.Join(cells, " | ")) }
	write(b.heads)
	write(strings.Fields(strings.Repeat("--- ", len(b.heads))))
	for _, l := range b.lines {
		if !b.skips(&l) {
			var outs []outcome
			for _, j := range l.jobs {
				outs = append(outs, j.do(t))
			}
			write(append([]string{l.name}, l.cells(outs)...))
			continue
		}
		i := slices.IndexFunc(old, func(line string) bool { return strings.HasPrefix(line, "| "+l.name+" |") })
		if i < 0 {
			t.Errorf("table %s has no row %q, which takes minutes: -storm", b.name, l.name)
			continue
		}
		out.WriteString(old[i] + "\n")
	}
	return out.String()
}

// csvLines are those of the CSV, the old ones where they stay.
func csvLines(t *testing.T, all []table, old []string) string {
	t.Helper()
	var out strings.Builder
	out.WriteString(tableHeads + "\n")
	done := make(map[string]bool)
	for _, b := range all {
		for _, l := range b.lines {
			name, row := cmp.Or(b.csv, b.name), cmp.Or(l.runs, l.name)
			for _, j := range l.jobs {
				start := fmt.Sprintf("%s,%q,%q,%d,", name, row, j.treatment, j.replicas)
				if done[start] {
					continue
				}
				done[start] = true
				if !b.skips(&l) {
					for _, line := range j.csv(name, row, j.do(t)) {
						out.WriteString(line + "\n")
					}
					continue
				}
				for _, line := range old {
					if strings.HasPrefix(line, start) {
						out.WriteString(line + "\n")
					}
				}
			}
		}
	}
	return out.String()
}
