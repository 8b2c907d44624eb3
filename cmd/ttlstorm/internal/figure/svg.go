package figure

import (
	"bytes"
	"fmt"
	"html"
	"image/color"
	"strings"
)

// The colours that have a meaning, which a word beside them has too.
var (
	Red  = color.RGBA{R: 0xb2, G: 0x18, B: 0x2b, A: 0xff}
	Blue = color.RGBA{R: 0x21, G: 0x66, B: 0xac, A: 0xff}
	Grey = color.RGBA{R: 0x80, G: 0x80, B: 0x80, A: 0xff}
	Pale = color.RGBA{R: 0xc9, G: 0xc9, B: 0xc9, A: 0xff}

	rule = color.RGBA{R: 0xd4, G: 0xd4, B: 0xd4, A: 0xff} // of the grid
	band = color.RGBA{R: 0xf6, G: 0xe3, B: 0xb4, A: 0xff}
)

const ink = "#E6EDF3" // on a dark ground

// dark are the colours on a dark ground, by those on a light one.
var dark = []struct{ light, dark string }{
	{"#000000", ink}, {"#B2182B", "#D1384B"}, {"#2166AC", "#2F7FD0"}, {"#C9C9C9", "#484F58"}, {"#D4D4D4", "#30363D"}, {"#F6E3B4", "#57461A"},
}

// styled gives SVG of gonum's a title that is read out, a font that is everywhere, and
// colours that turn on a dark ground. There the styles are in the elements, so that the
// sheet has to be important.
func styled(svg []byte, title string) []byte {
	var sheet strings.Builder
	sheet.WriteString("text{font-family:\"Liberation Sans\",Arimo,Arial,Helvetica,sans-serif!important}\n@media (prefers-color-scheme:dark){\ntext{fill:" + ink + "}\n")
	for _, c := range dark {
		for _, property := range []string{"fill", "stroke"} {
			if style := property + ":" + c.light; bytes.Contains(svg, []byte(style)) {
				fmt.Fprintf(&sheet, "[style*=\"%s\"]{%s:%s!important}\n", style, property, c.dark)
			}
		}
	}
	sheet.WriteString("}\n")
	var head string
	if title != "" {
		head = "<title>" + html.EscapeString(strings.ReplaceAll(title, "\n", " ")) + "</title>\n"
	}
	return bytes.Replace(svg, []byte("<g "), []byte(head+"<style>\n"+sheet.String()+"</style>\n<g "), 1)
}

// Element is a figure as an element of a page of HTML, which has its width.
func (f Figure) Element() (string, error) {
	var b strings.Builder
	err := f.Write(&b, "svg")
	_, element, _ := strings.Cut(b.String(), "<svg")
	_, inside, _ := strings.Cut(element, ">")
	return fmt.Sprintf("<svg viewBox=\"0 0 %.5g %.5g\">%s", width.Points(), f.layout(nil).Points(), inside), err
}
