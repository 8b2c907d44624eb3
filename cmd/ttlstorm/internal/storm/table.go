package storm

import (
	"fmt"
	"io"
	"math"
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
		spans := func(cell func(Span) string) string {
			parts := []string{none, none}
			for i, s := range []Span{r.First, r.Last} {
				if s.Mean > 0 {
					parts[i] = cell(s)
				}
			}
			return strings.Join(parts, ", ")
		}
		out = append(out, []string{
			r.Name, strconv.Itoa(r.Queries), upstream,
			spans(func(s Span) string { return strconv.Itoa(s.Second) }),
			spans(func(s Span) string { return fmt.Sprintf("%.2f", s.SecondRatio) }),
			spans(func(s Span) string { return strconv.Itoa(s.Slot) }),
			spans(func(s Span) string { return fmt.Sprintf("%.1f", s.SlotRatio) }),
			spans(func(s Span) string { return fmt.Sprintf("%.2f", s.Dispersion) }),
			settled, ttl, longest, stale, ErrorList(r.Errors),
		})
	}
	return out
}

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

// Text writes reports with a column each, for a terminal.
func Text(w io.Writer, reports []Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	cells := append([][]string{columns}, rows(reports)...)
	for column := range columns {
		line := make([]string, 0, len(cells))
		for _, row := range cells {
			line = append(line, row[column])
		}
		if _, err := fmt.Fprintln(t, strings.Join(line, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}
