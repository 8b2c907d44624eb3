package find

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
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
	}, "input": input, "step": step, "seconds": func(s []int) string { return took(time.Duration(len(s)) * time.Second) }}
	maps.Copy(all, funcs)
	return all
}

// input is the name of a file as it can be shown.
func input(name string) string {
	if name == "-" {
		return "standard input"
	}
	if strings.ContainsFunc(name, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(name)
	}
	return name
}

// widest is how many bars a picture has at most.
const widest = 240

// step is how many seconds a bar stands for.
func step(seconds []int) int { return max((len(seconds)+widest-1)/widest, 1) }

// bars draws the queries per second, against the most that is shown. Where a bar stands for
// several seconds, it is the busiest of them. It is a path of SVG in a picture that is 600
// wide and 100 high.
func bars(seconds []int, most int) template.HTMLAttr {
	var d strings.Builder
	every := step(seconds)
	width := 600 * float64(every) / float64(max(len(seconds), 1))
	i := 0.
	for some := range slices.Chunk(seconds, every) {
		if n := slices.Max(some); n > 0 {
			height := max(100*float64(n)/float64(most), 1) // one query is seen, too
			fmt.Fprintf(&d, "M%.1f 100h%.1fv-%.1fh-%.1fz", i*width, width*0.8, height, width*0.8)
		}
		i++
	}
	return template.HTMLAttr(`d="` + d.String() + `"`) // #nosec G203 -- numbers
}
