package storm

import (
	"cmp"
	"fmt"
	"image/color"
	"io"
	"maps"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// The sizes of a picture, and of what is in it.
const (
	width, panel, pad = 22 * vg.Centimeter, 4.6 * vg.Centimeter, 0.2 * vg.Centimeter
	heading           = 0.9 * vg.Centimeter // of a scene
	ttlWidth          = 6 * vg.Centimeter
)

// Draw writes queries per second over time of each report and, beside it, the TTLs that
// were handed out, as "svg" or "png". The panels of a scene have one scale, and its title
// above them.
func Draw(w io.Writer, format string, reports []Report) error {
	parts := scenes(reports)
	height := panel * vg.Length(len(reports))
	for _, scene := range parts {
		if scene[0].scene() != "" {
			height += heading
		}
	}
	var canvas vg.CanvasWriterTo
	switch format {
	case "svg":
		canvas = vgsvg.New(width, height)
	case "png":
		canvas = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(144))}
	default:
		return fmt.Errorf("unknown format %q; there are svg and png", format)
	}
	c, top := draw.New(canvas), height
	for _, scene := range parts {
		var err error
		if top, err = drawScene(c, top, scene); err != nil {
			return err
		}
	}
	_, err := canvas.WriteTo(w)
	return err
}

// drawScene draws from a height downward, and returns how far it came.
func drawScene(c draw.Canvas, top vg.Length, reports []Report) (vg.Length, error) {
	if title := reports[0].scene(); title != "" {
		style := plot.New().Title.TextStyle
		style.Font.Size, style.YAlign = 12, text.YTop
		c.FillText(style, vg.Point{X: c.Center().X, Y: top - pad}, title)
		top -= heading
	}
	most, longest := 1, 1
	var ttls float64
	for _, r := range reports {
		most = max(most, slices.Max(append(slices.Clone(r.Seconds), 1)))
		for ttl := range r.TTLs {
			longest = max(longest, int(ttl))
		}
		ttls = max(ttls, mostTTLs(r))
	}
	for _, r := range reports {
		row := draw.Crop(c, pad, -2*pad, top-panel+pad, top-pad-c.Max.Y)
		split := row.Max.X - ttlWidth
		time, err := overTime(r, float64(most))
		if err != nil {
			return 0, err
		}
		time.Draw(draw.Crop(row, 0, split-row.Max.X, 0, 0))
		handed, err := handedOut(r, float64(longest), ttls)
		if err != nil {
			return 0, err
		}
		handed.Draw(draw.Crop(row, split-row.Min.X, 0, 0, 0))
		top -= panel
	}
	return top, nil
}

// mostTTLs is the greatest share that a TTL has of those handed out.
func mostTTLs(r Report) (most float64) {
	sum := 0
	for _, n := range r.TTLs {
		sum += n
	}
	for _, n := range r.TTLs {
		most = max(most, float64(n)/float64(sum))
	}
	return most
}

func overTime(r Report, top float64) (*plot.Plot, error) {
	_, shade := r.verdict()
	p := plot.New()
	p.Title.Text = r.label() + ": " + r.finding()
	p.X.Label.Text, p.Y.Label.Text = "seconds", "queries per second"
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, float64(len(r.Seconds)), 0, top
	xys := make(plotter.XYs, 0, 2*len(r.Seconds)+2)
	for i, n := range r.Seconds {
		xys = append(xys, plotter.XY{X: float64(i), Y: float64(n)}, plotter.XY{X: float64(i + 1), Y: float64(n)})
	}
	return p, fill(p, xys, shade)
}

func handedOut(r Report, longest, most float64) (*plot.Plot, error) {
	_, shade := r.verdict()
	p := plot.New()
	p.Title.Text = "TTLs handed out"
	p.X.Label.Text, p.Y.Label.Text = "seconds", "share"
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, longest+1, 0, most
	sum := 0
	for _, n := range r.TTLs {
		sum += n
	}
	xys := make(plotter.XYs, 0, 4*len(r.TTLs))
	for _, ttl := range sorted(r.TTLs) {
		share := float64(r.TTLs[ttl]) / float64(sum)
		x := float64(ttl)
		xys = append(xys, plotter.XY{X: x}, plotter.XY{X: x, Y: share}, plotter.XY{X: x + 1, Y: share}, plotter.XY{X: x + 1})
	}
	return p, fill(p, xys, shade)
}

// fill adds the area below a line.
func fill(p *plot.Plot, xys plotter.XYs, shade color.Color) error {
	p.Title.TextStyle.Font.Size, p.X.Label.TextStyle.Font.Size, p.Y.Label.TextStyle.Font.Size = 10, 9, 9
	if len(xys) == 0 {
		return nil
	}
	area := append(plotter.XYs{{X: xys[0].X}}, xys...)
	area = append(area, plotter.XY{X: xys[len(xys)-1].X})
	polygon, err := plotter.NewPolygon(area)
	if err != nil {
		return err
	}
	polygon.Color, polygon.Width = shade, 0
	p.Add(polygon)
	return nil
}
