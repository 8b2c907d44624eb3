package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// wide is from how many characters on the cells of a column are broken into
// lines.
const wide = 40

var rule = regexp.MustCompile(`^\|(?: *:?-+:? *\|)+$`)

// table writes a table for tbl. A wide column takes what the others leave.
func (p *page) table() error {
	lines := p.take(func(line string) bool { return strings.HasPrefix(line, "|") })
	if len(lines) < 3 || !rule.MatchString(lines[1]) {
		return fmt.Errorf("%q is no table: a head, a line |---| and rows are accepted", lines[0])
	}
	var rows [][]string
	for _, line := range slices.Delete(slices.Clone(lines), 1, 2) {
		row, err := cells(line)
		if err != nil {
			return err
		}
		if len(rows) > 0 && len(row) != len(rows[0]) {
			return fmt.Errorf("%q has %d cells, its head %d", line, len(row), len(rows[0]))
		}
		rows = append(rows, row)
	}
	head, body := make([]string, len(rows[0])), make([]string, len(rows[0]))
	for i := range head {
		head[i], body[i] = "lb", "l"
		if slices.ContainsFunc(rows, func(row []string) bool { return len(row[i]) > wide }) {
			head[i], body[i] = "lbx", "lx"
		}
	}
	p.out.WriteString(".PP\n.TS\n")
	fmt.Fprintf(&p.out, "%s\n%s.\n", strings.Join(head, " "), strings.Join(body, " "))
	for _, row := range rows {
		for i, cell := range row {
			if len(cell) > wide {
				row[i] = "T{\n" + guard(cell) + "\nT}"
			} else {
				row[i] = guard(cell)
			}
		}
		p.out.WriteString(strings.Join(row, "\t") + "\n")
	}
	p.out.WriteString(".TE\n")
	return nil
}

// cells returns what stands between the bars of a row. A bar in a cell is
// written \|.
func cells(line string) ([]string, error) {
	line, ok := strings.CutSuffix(strings.ReplaceAll(line, `\|`, "\x00"), "|")
	if !ok {
		return nil, fmt.Errorf("%q does not end with a bar", line)
	}
	row := strings.Split(strings.TrimPrefix(line, "|"), "|")
	for i, cell := range row {
		s, err := inline(strings.TrimSpace(strings.ReplaceAll(cell, "\x00", "|")))
		if err != nil {
			return nil, err
		}
		row[i] = s
	}
	return row, nil
}
