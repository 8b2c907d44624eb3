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

// columns are the heads of a table of reports.
var columns = []string{
	"", "queries", "upstream", "busiest second, first and last minute", "over the mean", "busiest 10 ms",
	"over the mean", "dispersion", "settled after", "mean TTL", "longest gap", "stale p50, p99, max", "errors",
}

// none stands for what was not measured.
const none = "-"

// rows are the cells of reports: what was gained, and behind it what it cost.
func rows(reports []Report) [][]string {
	out := make([][]string, 0, len(reports))
	for _, r := range reports {
		upstream, settled, ttl, longest, stale := none, "never", none, none, none
		if r.Upstream > 0 {
			upstream = strconv.Itoa(r.Upstream)
		}
		switch {
		case r.Settled >= 0:
			settled = fmt.Sprintf("%.1f", r.Settled)
		case r.short():
			settled = "too short"
		}
		if len(r.TTLs) > 0 {
			ttl = fmt.Sprintf("%.1f", r.MeanTTL)
		}
		if r.Generation > 0 {
			longest = seconds(r.Longest)
		}
		if r.Stale.N > 0 {
			stale = seconds(r.Stale.P50) + ", " + seconds(r.Stale.P99) + ", " + seconds(r.Stale.Max)
		}
		spans := func(cell func(Span) string) string { return firstAndLast(r.First, r.Last, cell) }
		out = append(out, []string{
			r.Name, strconv.Itoa(r.Queries), upstream,
			spans(second), spans(secondRatio),
			spans(func(s Span) string { return strconv.Itoa(s.Slot) }),
			spans(func(s Span) string { return fmt.Sprintf("%.1f", s.SlotRatio) }),
			spans(dispersion),
			settled, ttl, longest, stale, ErrorList(r.Errors),
		})
	}
	return out
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

// Markdown writes reports as a table in Markdown.
func Markdown(w io.Writer, reports []Report) error {
	lines := append([][]string{columns, strings.Fields(strings.Repeat("--- ", len(columns)))}, rows(reports)...)
	for _, cells := range lines {
		if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")); err != nil {
			return err
		}
	}
	return nil
}

// line is one of a table with a column for each report.
type line struct {
	head string
	cell func(Report) string
}

// offsetLines are behind the busiest second. Clients that are spread over whole seconds
// may still be close together across the end of one.
var offsetLines = []line{
	{"busiest second by any offset", func(r Report) string { return firstAndLast(r.First, r.Last, offset) }},
	{"over the mean", func(r Report) string { return firstAndLast(r.First, r.Last, offsetOver) }},
}

// otherLines are at the end, where there were others beside the clients.
var otherLines = []line{
	{"others: queries", ofOthers(func(o *Others) string { return strconv.Itoa(o.Queries) })},
	{"others: errors", ofOthers(func(o *Others) string { return ErrorList(o.Errors) })},
	{"all: busiest second", ofAll(second)},
	{"all: over the mean", ofAll(secondRatio)},
	{"all: by any offset", ofAll(offset)},
	{"all: by any offset, over the mean", ofAll(offsetOver)},
	{"all: dispersion", ofAll(dispersion)},
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

// Text writes reports with a column each, for a terminal. There it is not too wide for
// what Markdown leaves out: the busiest second by any offset, and the others.
func Text(w io.Writer, reports []Report) error {
	table := append([][]string{columns}, rows(reports)...)
	var lines [][]string
	for column := range columns {
		cells := make([]string, 0, len(table))
		for _, row := range table {
			cells = append(cells, row[column])
		}
		lines = append(lines, cells)
	}
	const behindSecond = 5
	lines = slices.Insert(lines, behindSecond, cellsOf(offsetLines, reports)...)
	if slices.ContainsFunc(reports, func(r Report) bool { return r.Others != nil }) {
		lines = append(lines, cellsOf(otherLines, reports)...)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, cells := range lines {
		if _, err := fmt.Fprintln(t, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}

func cellsOf(lines []line, reports []Report) [][]string {
	out := make([][]string, 0, len(lines))
	for _, l := range lines {
		cells := append(make([]string, 0, 1+len(reports)), l.head)
		for _, r := range reports {
			cells = append(cells, l.cell(r))
		}
		out = append(out, cells)
	}
	return out
}
