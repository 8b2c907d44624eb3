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
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

var (
	bad   = color.RGBA{R: 0xb2, G: 0x18, B: 0x2b, A: 0xff} // a herd
	good  = color.RGBA{R: 0x21, G: 0x66, B: 0xac, A: 0xff} // none
	early = color.RGBA{R: 0x80, G: 0x80, B: 0x80, A: 0xff} // too early to tell
)

// Draw writes queries per second over time of each report and, beside it, the
// TTLs that were handed out, as "svg" or "png". The panels have one scale.
func Draw(w io.Writer, format string, reports []Report) error {
	const width, panel, pad = 22 * vg.Centimeter, 4.6 * vg.Centimeter, 0.2 * vg.Centimeter
	height := panel * vg.Length(len(reports))
	var canvas vg.CanvasWriterTo
	switch format {
	case "svg":
		canvas = vgsvg.New(width, height)
	case "png":
		canvas = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(144))}
	default:
		return fmt.Errorf("unknown format %q; there are svg and png", format)
	}
	top, longest := 1, 1
	var ttls float64
	for _, r := range reports {
		top = max(top, slices.Max(append(slices.Clone(r.Seconds), 1)))
		for ttl := range r.TTLs {
			longest = max(longest, int(ttl))
		}
		ttls = max(ttls, mostTTLs(r))
	}
	c := draw.New(canvas)
	for i, r := range reports {
		row := draw.Crop(c, pad, -2*pad, height-panel*vg.Length(i+1)+pad, -panel*vg.Length(i)-pad)
		split := row.Max.X - 6*vg.Centimeter
		time, err := overTime(r, float64(top))
		if err != nil {
			return err
		}
		time.Draw(draw.Crop(row, 0, split-row.Max.X, 0, 0))
		handed, err := handedOut(r, float64(longest), ttls)
		if err != nil {
			return err
		}
		handed.Draw(draw.Crop(row, split-row.Min.X, 0, 0, 0))
	}
	_, err := canvas.WriteTo(w)
	return err
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
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%s: %d queries, busiest second %d", r.Name, r.Queries, slices.Max(append(slices.Clone(r.Seconds), 0)))
	if r.Last.Mean > 0 {
		p.Title.Text += fmt.Sprintf(", at the end %.2f times the mean", r.Last.SecondRatio)
	}
	p.X.Label.Text, p.Y.Label.Text = "seconds", "queries per second"
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, float64(len(r.Seconds)), 0, top
	xys := make(plotter.XYs, 0, 2*len(r.Seconds)+2)
	for i, n := range r.Seconds {
		xys = append(xys, plotter.XY{X: float64(i), Y: float64(n)}, plotter.XY{X: float64(i + 1), Y: float64(n)})
	}
	return p, fill(p, xys, shade(r))
}

func handedOut(r Report, longest, most float64) (*plot.Plot, error) {
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
	return p, fill(p, xys, shade(r))
}

// shade is the colour of a report.
func shade(r Report) color.Color {
	switch {
	case r.Settled >= 0:
		return good
	case r.short():
		return early
	}
	return bad
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
