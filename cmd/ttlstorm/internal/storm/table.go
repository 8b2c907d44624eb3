package storm

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// none stands for what was not measured.
const none = "-"

// line is one of a table with a column for each report.
type line struct {
	head string
	cell func(Report) string
	must bool // have it even where no report has anything in it
}

// lines are what was gained, and behind it what it cost. Clients that are spread over
// whole seconds may still be close together across the end of one, so there is the
// busiest second by any offset as well.
var lines = []line{
	{"queries", func(r Report) string { return strconv.Itoa(r.Queries) }, true},
	{"upstream", func(r Report) string { return orNone(r.Upstream > 0, strconv.Itoa(r.Upstream)) }, false},
	{"busiest second, first and last minute", ofSpans(second), true},
	{"over the mean", ofRatios(secondRatio), true},
	{"busiest second by any offset", ofSpans(offset), true},
	{"over the mean", ofRatios(offsetOver), true},
	{"busiest 10 ms", ofSpans(func(s Span) string { return strconv.Itoa(s.Slot) }), true},
	{"over the mean", ofRatios(func(s Span) string { return fmt.Sprintf("%.1f", s.SlotRatio) }), true},
	{"dispersion", ofRatios(dispersion), true},
	{"settled after", settledAfter, true},
	{"mean TTL", func(r Report) string { return orNone(len(r.TTLs) > 0, fmt.Sprintf("%.1f", r.MeanTTL)) }, true},
	{"longest gap", func(r Report) string { return orNone(r.Generation > 0, seconds(r.Longest)) }, true},
	{"stale p50, p99, max", func(r Report) string {
		return orNone(r.Stale.N > 0, seconds(r.Stale.P50)+", "+seconds(r.Stale.P99)+", "+seconds(r.Stale.Max))
	}, false},
	{"latency p50, p90, p99, max, ms", func(r Report) string {
		l := r.Latency
		return orNone(l.N > 0, milliseconds(l.P50)+", "+milliseconds(l.P90)+", "+milliseconds(l.P99)+", "+milliseconds(l.Max))
	}, false},
	{"errors", func(r Report) string { return ErrorList(r.Errors) }, true},
	{"others: queries", ofOthers(func(o *Others) string { return strconv.Itoa(o.Queries) }), false},
	{"others: errors", ofOthers(func(o *Others) string { return ErrorList(o.Errors) }), false},
	{"all: busiest second", ofAll(second), false},
	{"all: over the mean", unlessStorm(ofAll(secondRatio)), false},
	{"all: by any offset", ofAll(offset), false},
	{"all: by any offset, over the mean", unlessStorm(ofAll(offsetOver)), false},
	{"all: dispersion", unlessStorm(ofAll(dispersion)), false},
}

func orNone(measured bool, cell string) string {
	if !measured {
		return none
	}
	return cell
}

func settledAfter(r Report) string {
	switch {
	case r.Settled >= 0:
		return fmt.Sprintf("%.1f", r.Settled)
	case r.short():
		return "too short"
	}
	return "never"
}

func ofSpans(cell func(Span) string) func(Report) string {
	return func(r Report) string { return firstAndLast(r.First, r.Last, cell) }
}

func ofRatios(cell func(Span) string) func(Report) string { return unlessStorm(ofSpans(cell)) }

// unlessStorm leaves out how even a storm is.
func unlessStorm(cell func(Report) string) func(Report) string {
	return func(r Report) string {
		if text := cell(r); text == none || !r.storm() {
			return text
		}
		return "storm"
	}
}

// firstAndLast is a cell for the first minute and the last.
func firstAndLast(first, last Span, cell func(Span) string) string {
	parts := []string{none, none}
	for i, s := range []Span{first, last} {
		if s.Mean > 0 {
			parts[i] = cell(s)
		}
	}
	return strings.Join(parts, ", ")
}

func second(s Span) string      { return strconv.Itoa(s.Second) }
func secondRatio(s Span) string { return fmt.Sprintf("%.2f", s.SecondRatio) }
func offset(s Span) string      { return strconv.Itoa(s.Offset) }
func offsetOver(s Span) string  { return fmt.Sprintf("%.2f", s.OffsetOver) }
func dispersion(s Span) string  { return fmt.Sprintf("%.2f", s.Dispersion) }

func seconds(d time.Duration) string {
	return fmt.Sprintf("%.1f", math.Round(d.Seconds()*10)/10)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond))
}

// ErrorList says how many errors there were of each kind.
func ErrorList(errors map[string]int) string {
	parts := make([]string, 0, len(errors))
	for _, kind := range sorted(errors) {
		parts = append(parts, fmt.Sprintf("%s %d", kind, errors[kind]))
	}
	if len(parts) == 0 {
		return "0"
	}
	return strings.Join(parts, ", ")
}

func ofOthers(cell func(*Others) string) func(Report) string {
	return func(r Report) string {
		if r.Others == nil {
			return none
		}
		return cell(r.Others)
	}
}

func ofAll(cell func(Span) string) func(Report) string {
	return ofOthers(func(o *Others) string { return firstAndLast(o.First, o.Last, cell) })
}

// table has a row for each line, its head first, and a cell for each report. A line is
// left out where none of the reports has measured what it is for.
func table(reports []Report) [][]string {
	out := make([][]string, 0, len(lines))
	for _, l := range lines {
		cells := append(make([]string, 0, 1+len(reports)), l.head)
		for _, r := range reports {
			cells = append(cells, l.cell(r))
		}
		if l.must || slices.ContainsFunc(cells[1:], func(cell string) bool { return cell != none }) {
			out = append(out, cells)
		}
	}
	return out
}

// Text writes reports for a terminal, scene by scene: what was run, what it shows, and a
// table with a column for each.
func Text(w io.Writer, reports []Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintln(t, strings.Join(cells, "\t")) } // Flush has the error
	for i, scene := range scenes(reports) {
		if i > 0 {
			row()
		}
		if title := scene[0].scene(); title != "" {
			row(title)
			row()
		}
		if p := scene[0].Run; p != nil {
			for _, pair := range p.pairs() {
				row(pair.Key, pair.Value)
			}
			row()
		}
		for _, r := range scene {
			row(r.label() + ": " + r.finding())
		}
		row()
		head := make([]string, 1, 1+len(scene))
		for _, r := range scene {
			head = append(head, r.label())
		}
		row(head...)
		for _, cells := range table(scene) {
			row(cells...)
		}
	}
	return t.Flush()
}
