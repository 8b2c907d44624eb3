// Package figure draws panels of curves below a sentence that says what is to be seen, as
// SVG for a light ground and a dark one, or as PNG. What it draws depends on nothing but
// what it is given, to the last octet.
package figure

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Figure is a picture that stands without a caption.
type Figure struct {
	Title string // a sentence that says what is to be seen; may have lines
	Note  string // how it is to be read; may have lines, or be empty
	Parts []Part
}

// Part is rows of panels with a title of their own.
type Part struct {
	Title string // empty where the figure has but one part
	Rows  [][]Panel
}

// The sizes of a picture, and of what is in it.
const (
	width, rowHeight, pad = 22 * vg.Centimeter, 5.1 * vg.Centimeter, 0.2 * vg.Centimeter
	titleSize, partSize   = vg.Length(13), vg.Length(11) // of letters
	headSize              = vg.Length(10)
	labelSize, tickSize   = vg.Length(9), vg.Length(8)
)

func init() { plot.DefaultFont.Variant = "Sans" }

// Write writes a figure as "svg" or "png".
func (f Figure) Write(w io.Writer, format string) error {
	f.scale()
	height := f.layout(nil)
	switch format {
	case "svg":
		canvas := vgsvg.New(width, height)
		c := draw.New(canvas)
		f.layout(&c)
		var b bytes.Buffer
		if _, err := canvas.WriteTo(&b); err != nil {
			return err
		}
		_, err := w.Write(styled(b.Bytes(), f.Title))
		return err
	case "png":
		canvas := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(144))}
		c := draw.New(canvas)
		f.layout(&c)
		_, err := canvas.WriteTo(w)
		return err
	}
	return fmt.Errorf("unknown format %q; there are svg and png", format)
}

// layout draws a figure from the top of a canvas downward, and returns how far it came. On
// no canvas it only measures.
func (f Figure) layout(c *draw.Canvas) vg.Length {
	down := pad
	lines := func(style draw.TextStyle, text string, below vg.Length) {
		if text == "" {
			return
		}
		if c != nil {
			c.FillText(style, vg.Point{X: 2 * pad, Y: c.Max.Y - down}, text)
		}
		down += 1.3*style.Font.Size*vg.Length(1+strings.Count(text, "\n")) + below
	}
	lines(letters(titleSize, font.WeightBold), f.Title, 0)
	lines(letters(headSize, font.WeightNormal), f.Note, 0)
	for _, part := range f.Parts {
		down += pad
		lines(letters(partSize, font.WeightBold), part.Title, pad)
		for _, row := range part.Rows {
			if c != nil {
				drawRow(draw.Crop(*c, 0, 0, c.Max.Y-down-rowHeight, -down), row)
			}
			down += rowHeight
		}
	}
	return down
}

// drawRow draws panels beside each other.
func drawRow(c draw.Canvas, row []Panel) {
	var sum, left vg.Length
	for _, p := range row {
		sum += p.share()
	}
	for _, p := range row {
		right := left + p.share()
		p.draw(draw.Crop(c, width*left/sum+pad, width*right/sum-width-pad, pad, -pad))
		left = right
	}
}

// letters have their top left corner where they are put.
func letters(size vg.Length, weight font.Weight) draw.TextStyle {
	style := plot.New().Title.TextStyle
	style.Font.Size, style.Font.Weight, style.XAlign, style.YAlign = size, weight, text.XLeft, text.YTop
	return style
}
