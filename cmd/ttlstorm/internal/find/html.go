package find

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
)

//go:embed report.html
var page string

var html = template.Must(template.New("report").Funcs(htmlFuncs()).Parse(page))

// HTML writes a report as one file that needs no other.
func (r *Report) HTML(w io.Writer) error { return html.Execute(w, r) }

func htmlFuncs() template.FuncMap {
	all := template.FuncMap{"bars": bars, "most": func(n Finding) int {
		most := slices.Max(append([]int{1}, n.Seconds...))
		if n.Predict != nil {
			most = max(most, slices.Max(append([]int{1}, n.Predict.Seconds...)))
		}
		return most
	}}
	maps.Copy(all, funcs)
	return all
}

// bars draws the queries per second of up to two minutes, against the most that is shown.
// It is a path of SVG in a picture that is 600 wide and 100 high.
func bars(seconds []int, most int) template.HTMLAttr {
	if len(seconds) > 2*lastMinute {
		seconds = seconds[len(seconds)-2*lastMinute:]
	}
	var d strings.Builder
	width := 600 / float64(max(len(seconds), 1))
	for i, n := range seconds {
		if n > 0 {
			height := max(100*float64(n)/float64(most), 1) // one query is seen, too
			fmt.Fprintf(&d, "M%.1f 100h%.1fv-%.1fh-%.1fz", float64(i)*width, width*0.8, height, width*0.8)
		}
	}
	return template.HTMLAttr(`d="` + d.String() + `"`) // #nosec G203 -- numbers
}
