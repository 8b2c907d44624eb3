package main

import (
	"encoding/csv"
	"io"
	"strconv"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

// writeCSV writes a line per second and a column per report, and one more where there
// were others, for all queries.
func writeCSV(w io.Writer, reports []storm.Report) error {
	c := csv.NewWriter(w)
	head, seconds := append(make([]string, 0, 2*len(reports)+1), "second"), 0
	var columns [][]int
	for _, r := range reports {
		head, columns = append(head, r.Name), append(columns, r.Seconds)
		if r.Others != nil {
			head, columns = append(head, r.Name+", all"), append(columns, r.Others.Seconds)
		}
		seconds = max(seconds, len(r.Seconds))
	}
	if err := c.Write(head); err != nil {
		return err
	}
	for s := range seconds {
		line := []string{strconv.Itoa(s)}
		for _, column := range columns {
			cell := ""
			if s < len(column) {
				cell = strconv.Itoa(column[s])
			}
			line = append(line, cell)
		}
		if err := c.Write(line); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}
