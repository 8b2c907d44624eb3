//go:build linux

package atlas

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Text writes a result for people.
func Text(w io.Writer, r *Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "%s %s %s\n", r.Client, r.Version, r.Error)
	for _, s := range r.Strays {
		_, _ = fmt.Fprintf(t, "stray: %s\n", s)
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		_, _ = fmt.Fprintf(t, "  %s\t%d queries\t%d TCP\t%d by itself\twaits %s\tTTLs %v\treached %.1f\t%d of %d failed %s\n",
			row.Case, row.Queries, row.TCP, row.Itself, span(row.Waits), row.Got, row.Reached, row.Failed, row.Uses, row.Last)
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
