package figure

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// steady is a panel with an area of one height, after a peak.
func steady(peak, height float64) Panel {
	area := plotter.XYs{{X: 0, Y: peak}}
	for x := 1.; x <= 100; x++ {
		area = append(area, plotter.XY{X: x, Y: height})
	}
	level := func(y float64) plotter.XYs { return plotter.XYs{{X: 50, Y: y}, {X: 100, Y: y}} }
	return Panel{
		Title: "a <panel>", Note: "& its note", X: Axis{Label: "seconds", Max: 100, Every: 10}, Y: Axis{Label: "queries"},
		Curves: []Curve{
			{Points: area, Ink: Area, Color: Red}, {Label: "mean", Points: level(height), Ink: Dashed},
			{Label: "busiest", Points: level(height), Ink: Thin}, {Label: "other", Points: level(height + 0.01), Color: Blue}, {Label: "nothing"},
		},
		Bands: []Band{{From: 20, To: 40, Word: "down"}},
	}
}

func drawn(t *testing.T, format string, panels ...Panel) string {
	t.Helper()
	var rows [][]Panel
	for _, p := range panels {
		rows = append(rows, []Panel{p})
	}
	var b bytes.Buffer
	if err := (Figure{Title: "It is <seen>,\nat last.", Note: "How to read it.", Parts: []Part{{Title: "A part", Rows: rows}}}).Write(&b, format); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestSVGStandsAlone has a picture that is XML, says everything in words, asks for no other
// file, has no ground, and gives every colour in it another on a dark ground.
func TestSVGStandsAlone(t *testing.T) {
	got := drawn(t, "svg", steady(2000, 50))
	for d := xml.NewDecoder(strings.NewReader(got)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		"<title>It is &lt;seen&gt;, at last.</title>", ">It is &lt;seen&gt;,<", ">at last.<", ">How to read it.<", ">A part<", ">a &lt;panel&gt;<", ">&amp; its note<",
		">queries, log(1 + y) scale<", ">seconds<", ">mean<", ">busiest<", ">other<", ">nothing<", ">down<", ">0<", ">1<", ">10<", ">100<", ">1000<",
		"sans-serif!important", "stroke-dasharray",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if bad := regexp.MustCompile(`href=|url\(|@import|#FFFFFF|Serif`).FindString(got); bad != "" {
		t.Errorf("%q in the picture", bad)
	}
	_, body, _ := strings.Cut(got, "</style>")
	styles := regexp.MustCompile(`(fill|stroke):#[0-9A-F]{6}`).FindAllString(body, -1)
	if len(styles) < 10 {
		t.Errorf("%d colours", len(styles))
	}
	for _, style := range styles {
		if !strings.Contains(got, `[style*="`+style+`"]`) {
			t.Errorf("%s is the same on a dark ground", style)
		}
	}
	if again := drawn(t, "svg", steady(2000, 50)); again != got {
		t.Error("it is another one the second time")
	}
}

// TestLabelsAreApart has three curves at one height, and labels that can be read.
func TestLabelsAreApart(t *testing.T) {
	var last float64
	for _, label := range []string{"nothing", "mean", "busiest", "other"} {
		found := regexp.MustCompile(`y="(-?[\d.]+)"[^>]*>` + label + "<").FindStringSubmatch(drawn(t, "svg", steady(60, 50)))
		if found == nil {
			t.Fatalf("no %s", label)
		}
		at, err := strconv.ParseFloat(found[1], 64)
		if err != nil || last != 0 && at > last-labelSize.Points() {
			t.Errorf("%s is at %v, %v after one at %v", label, at, err, last)
		}
		last = at
	}
}

// TestScale has panels on one scale, which is of logarithms where the smaller one would not
// be seen otherwise, and begins at 0 all the same.
func TestScale(t *testing.T) {
	for _, tt := range []struct {
		panels []Panel
		wide   bool
		least  float64
	}{
		{[]Panel{steady(60, 50), steady(70, 40)}, false, 70},
		{[]Panel{steady(60, 50), steady(2000, 50)}, true, 2000},
		{[]Panel{steady(0, 0), steady(1, 1)}, false, 1},
	} {
		Figure{Parts: []Part{{Rows: [][]Panel{tt.panels}}}}.scale()
		for _, p := range tt.panels {
			if p.Y.wide != tt.wide || p.Y.Max < tt.least || p.Y.Max > 2*tt.least || p.Y.Max != tt.panels[0].Y.Max {
				t.Errorf("%+v, want %+v", p.Y, tt)
			}
		}
	}
	var axis plot.Axis
	Axis{Max: 1e5, wide: true}.set(&axis)
	if ticks := axis.Tick.Marker.Ticks(0, 1e5); len(ticks) != 7 || ticks[0].Label != "0" || ticks[1].Label != "" || ticks[6].Label != "100000" {
		t.Errorf("ticks %v, want none at 1, which is too near to 0", ticks)
	}
	if s := axis.Scale; s.Normalize(0, 1e5, 0) != 0 || s.Normalize(0, 1e5, 1e5) != 1 || s.Normalize(0, 1e5, 50) < 0.3 {
		t.Error("50 can't be seen beside 100000")
	}
}

// TestPNG has a picture with a white ground, of the size of the SVG.
func TestPNG(t *testing.T) {
	img, err := png.Decode(strings.NewReader(drawn(t, "png", steady(60, 50), steady(60, 50))))
	if err != nil {
		t.Fatal(err)
	}
	if r, g, b, a := img.At(0, 0).RGBA(); r&g&b&a != 0xffff || img.Bounds().Dx() != 1247 {
		t.Errorf("a ground of %x %x %x %x, %v", r, g, b, a, img.Bounds())
	}
}

// TestElement has SVG within HTML, without what it needs as a file.
func TestElement(t *testing.T) {
	got, err := Figure{Parts: []Part{{Rows: [][]Panel{{steady(60, 50)}}}}}.Element()
	if err != nil || !strings.HasPrefix(got, `<svg viewBox="0 0 623.62 `) || !strings.HasSuffix(got, "</svg>\n") || strings.Contains(got, "xml") || strings.Contains(got, "<title") {
		t.Errorf("%v, %s", err, got)
	}
}
