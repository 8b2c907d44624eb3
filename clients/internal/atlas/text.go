//go:build linux

package atlas

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Text writes an entry for people.
func Text(w io.Writer, e *Entry) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "%s %s: %s\n", e.Client, e.Version, e.verdict())
	for _, d := range e.Differs {
		_, _ = fmt.Fprintf(t, "  the repeats differ in %s\n", d)
	}
	for i := range e.Rows {
		r := &e.Rows[i]
		_, _ = fmt.Fprintf(t, "  %s\t%s\t%d queries\t%d TCP\t%d by itself\twaits %s\tTTLs %v\tstale %.1f s\t%d of %d failed %s\n",
			r.Case, e.Conclusion.Waits[r.Case], r.Queries, r.TCP, r.Itself, span(r.Waits), r.Got, r.Stale, r.Failed, r.Uses, r.Last)
	}
	for treatment, fleets := range e.Fleets {
		for _, f := range fleets {
			_, _ = fmt.Fprintf(t, "  %d of them %s ttlfloor: %.2f times the mean in the busiest second\n", FleetSize, treatment, f.Ratio)
		}
	}
	return t.Flush()
}

// span writes the least, the median and the greatest.
func span(w Waits) string {
	if w.N == 0 {
		return "none"
	}
	return fmt.Sprintf("%.2f %.2f %.2f (%d)", w.Least, w.Median, w.Most, w.N)
}
