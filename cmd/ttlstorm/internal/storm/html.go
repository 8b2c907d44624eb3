package storm

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
)

//go:embed report.html
var pageText string

var page = template.Must(template.New("report").Parse(pageText))

// HTML writes reports as a page of its own, scene by scene: what was run, what it shows, a
// picture of the queries per second, and the table. It asks for no other file, and has no
// script.
func HTML(w io.Writer, reports []Report) error {
	type part struct {
		Title   string
		Pairs   []pair
		Reports []drawing
		Rows    [][]string
	}
	all := scenes(reports)
	parts := make([]part, 0, len(all))
	for _, scene := range all {
		p := part{Title: scene[0].scene(), Pairs: scene[0].Run.pairs(), Rows: table(scene)}
		most := 1
		for _, r := range scene {
			most = max(most, slices.Max(append(r.everyone(), 1)))
		}
		for _, r := range scene {
			p.Reports = append(p.Reports, r.drawing(most))
		}
		parts = append(parts, p)
	}
	return page.Execute(w, parts)
}

// everyone is the queries per second of clients and others together.
func (r Report) everyone() []int {
	if r.Others != nil {
		return slices.Clone(r.Others.Seconds)
	}
	return slices.Clone(r.Seconds)
}

// drawing is a report as the page draws it.
type drawing struct {
	Name, Finding, Class string
	Width, Height        int // of the area, in units of the page
	Points, All          string
	Most, Seconds        int
}

// The area that a report is drawn in.
const areaWidth, areaHeight = 800, 120

// drawing draws a report on a scale that ends at most queries a second.
func (r Report) drawing(most int) drawing {
	word, _ := r.verdict()
	d := drawing{
		Name: r.label(), Finding: r.finding(), Class: strings.ReplaceAll(word, " ", "-"), Width: areaWidth, Height: areaHeight,
		Points: steps(r.Seconds, most), Most: most, Seconds: len(r.Seconds),
	}
	if r.Others != nil {
		d.All = steps(r.everyone(), most)
	}
	return d
}

// steps is the outline of an area with a step for each second.
func steps(seconds []int, most int) string {
	var b strings.Builder
	point := func(second, queries int) {
		fmt.Fprintf(&b, "%.1f,%.1f ", float64(second)*areaWidth/float64(max(len(seconds), 1)), areaHeight*(1-float64(queries)/float64(most)))
	}
	point(0, 0)
	for s, n := range seconds {
		point(s, n)
		point(s+1, n)
	}
	point(len(seconds), 0)
	return strings.TrimSpace(b.String())
}
