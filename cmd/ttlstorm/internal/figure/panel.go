package figure

import (
	"cmp"
	"image/color"
	"slices"

	"golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Panel is a part of a row, with axes of its own.
type Panel struct {
	Title, Note string    // in bold, and behind it
	Width       vg.Length // to that of the others in its row; 0 is 1
	X, Y        Axis
	Curves      []Curve // in the order in which they are drawn
	Bands       []Band
}

// Curve is drawn through points, from the left to the right.
type Curve struct {
	Label  string // in the margin, at the height of the last point; may be empty
	Points plotter.XYs
	Ink    Ink
	Color  color.Color // nil is that of the text
}

// Ink says what a curve is without its colour.
type Ink int

// The kinds of ink.
const (
	Solid Ink = iota
	Dashed
	Thin
	Area // down to 0
)

// Band is a part of the x axis in which something was so, in a word.
type Band struct {
	From, To float64
	Word     string
}

// margin is what labels beside a panel take.
const margin = 2.6 * vg.Centimeter

func (p Panel) share() vg.Length { return cmp.Or(p.Width, 1) }

func (p Panel) draw(c draw.Canvas) {
	bold, plain, small := letters(headSize, font.WeightBold), letters(headSize, font.WeightNormal), letters(labelSize, font.WeightNormal)
	left := c.Min.X + pad
	c.FillText(bold, vg.Point{X: left, Y: c.Max.Y}, p.Title)
	c.FillText(plain, vg.Point{X: left + bold.Width(p.Title) + headSize, Y: c.Max.Y}, p.Note)
	c.Max.Y -= 1.5 * headSize
	c.FillText(small, vg.Point{X: left, Y: c.Max.Y}, p.Y.title())
	c.Max.Y -= 1.4 * labelSize
	if p.labelled() {
		c.Max.X -= margin
	}
	out := plot.New()
	out.BackgroundColor = nil
	p.X.set(&out.X)
	p.Y.set(&out.Y)
	out.X.Label.Text = p.X.Label
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = rule, nil
	out.Add(grid)
	for _, b := range p.Bands {
		out.Add(&plotter.Polygon{XYs: []plotter.XYs{{{X: b.From, Y: p.Y.Min}, {X: b.From, Y: p.Y.Max}, {X: b.To, Y: p.Y.Max}, {X: b.To, Y: p.Y.Min}}}, Color: band})
	}
	for _, curve := range p.Curves {
		curve.add(out)
	}
	out.Draw(c)
	data := out.DataCanvas(c)
	x, y := out.Transforms(&data)
	bold.Font.Size, bold.XAlign, bold.YAlign = labelSize, text.XCenter, text.YBottom
	for _, b := range p.Bands {
		c.FillText(bold, vg.Point{X: (x(b.From) + x(b.To)) / 2, Y: data.Max.Y + 2}, b.Word)
	}
	p.label(c, data.Max.X+pad, y)
}

func (p Panel) labelled() bool {
	return slices.ContainsFunc(p.Curves, func(c Curve) bool { return c.Label != "" })
}

// label writes the labels of curves in the margin, from below to above, each at the height
// of its curve or as near to it as the last one lets it.
func (p Panel) label(c draw.Canvas, left vg.Length, y func(float64) vg.Length) {
	style := letters(labelSize, font.WeightNormal)
	style.YAlign = text.YCenter
	curves := slices.Clone(p.Curves)
	slices.SortStableFunc(curves, func(a, b Curve) int { return cmp.Compare(a.end(), b.end()) })
	least := c.Min.Y
	for _, curve := range curves {
		if curve.Label == "" {
			continue
		}
		at := max(y(curve.end()), least)
		c.FillText(style, vg.Point{X: left, Y: at}, curve.Label)
		least = at + 1.15*labelSize
	}
}

// end is the height of the last point.
func (c Curve) end() float64 {
	if len(c.Points) == 0 {
		return 0
	}
	return c.Points[len(c.Points)-1].Y
}

func (c Curve) add(to *plot.Plot) {
	shade := c.Color
	if shade == nil {
		shade = color.Black
	}
	if len(c.Points) == 0 {
		return
	}
	if c.Ink == Area {
		area := append(plotter.XYs{{X: c.Points[0].X}}, c.Points...)
		to.Add(&plotter.Polygon{XYs: []plotter.XYs{append(area, plotter.XY{X: c.Points[len(c.Points)-1].X})}, Color: shade})
		return
	}
	line := plotter.Line{XYs: c.Points, LineStyle: draw.LineStyle{Color: shade, Width: vg.Points(1.4)}}
	switch c.Ink {
	case Dashed:
		line.Dashes = []vg.Length{4, 3}
	case Thin:
		line.Width = vg.Points(0.7)
	case Solid, Area:
	}
	to.Add(&line)
}
