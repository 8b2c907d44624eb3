package storm

import (
	_ "embed"
	"html/template"
	"io"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/figure"
)

//go:embed report.html
var pageText string

var page = template.Must(template.New("report").Parse(pageText))

// HTML writes reports as a page of its own, scene by scene: what was run, what it shows, a
// picture of it, and the table. It asks for no other file, and has no script.
func HTML(w io.Writer, reports []Report) error {
	type part struct {
		Title   string
		Pairs   []pair
		Picture template.HTML
		Names   []string
		Rows    [][]string
	}
	var parts []part
	for _, scene := range scenes(reports) {
		picture, err := figure.Figure{Note: Legend, Parts: []figure.Part{Part(scene)}}.Element()
		if err != nil {
			return err
		}
		p := part{Title: scene[0].scene(), Pairs: scene[0].Run.pairs(), Picture: template.HTML(picture), Rows: table(scene)} // #nosec G203 -- its texts are escaped
		for _, r := range scene {
			p.Names = append(p.Names, r.label())
		}
		parts = append(parts, p)
	}
	return page.Execute(w, parts)
}
