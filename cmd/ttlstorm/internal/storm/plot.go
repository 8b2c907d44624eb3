package storm

import (
	"cmp"
	"fmt"
	"image/color"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/figure"
	"gonum.org/v1/plot/plotter"
)

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// Draw writes the figure of reports as "svg" or "png".
func Draw(w io.Writer, format string, reports []Report) error {
	f := figure.Figure{Title: title(reports), Note: Legend}
	for _, scene := range scenes(reports) {
		part := Part(scene)
		part.Title = scene[0].scene()
		f.Parts = append(f.Parts, part)
	}
	return f.Write(w, format)
}

// Legend says how Part is to be read.
const Legend = "Left: the queries of each second, with lines for the busiest and the mean at the end. Right: the TTLs given to clients."

// title says what came of the first treatment of each scene and of its last.
func title(reports []Report) string {
	if len(reports) == 0 || reports[0].Run == nil {
		return "Queries per second"
	}
	p := reports[0].Run
	lines := []string{fmt.Sprintf("%d clients with %d names each:", p.Clients, len(p.Names))}
	for _, scene := range scenes(reports) {
		with := func(r Report) string {
			word, _ := r.verdict()
			return fmt.Sprintf("%s with \"%s\"", word, r.label())
		}
		ends := with(scene[0])
		if len(scene) > 1 {
			ends += ", " + with(scene[len(scene)-1])
		}
		lines = append(lines, ends)
	}
	return strings.Join(lines, "\n")
}

// Part has a row for each report: queries per second over time, and the TTLs that were
// handed out.
func Part(reports []Report) (out figure.Part) {
	for _, r := range reports {
		_, shade := r.verdict()
		time := PerSecond(r.Seconds, 0, min(60, len(r.Seconds)/2), shade)
		time.Title, time.Note, time.Width = r.label(), r.finding(), 2.6
		if r.Others != nil {
			all := figure.Curve{Label: "with others", Points: steps(r.Others.Seconds, 0), Ink: figure.Area, Color: figure.Pale}
			time.Curves = slices.Insert(time.Curves, 0, all)
		}
		out.Rows = append(out.Rows, []figure.Panel{time, r.handedOut(shade)})
	}
	longest := 0.
	for _, row := range out.Rows {
		longest = max(longest, row[1].X.Max)
	}
	for _, row := range out.Rows {
		row[1].X.Max = longest
	}
	return out
}

// PerSecond is a panel with the queries of each second from one on, and the busiest and the
// mean of the last few.
func PerSecond(seconds []int, from, last int, shade color.Color) figure.Panel {
	p := figure.Panel{
		X:      figure.Axis{Label: "seconds since the start", Min: float64(from), Max: float64(max(len(seconds), from+1)), Every: every(len(seconds) - from)},
		Y:      figure.Axis{Label: "queries per second"},
		Curves: []figure.Curve{{Points: steps(seconds, from), Ink: figure.Area, Color: shade}},
	}
	if last > 0 {
		busiest, sum := 0, 0
		for _, n := range seconds[len(seconds)-last:] {
			busiest, sum = max(busiest, n), sum+n
		}
		level := func(y float64, ink figure.Ink, label string) figure.Curve {
			return figure.Curve{Label: label, Ink: ink, Points: plotter.XYs{{X: float64(len(seconds) - last), Y: y}, {X: float64(len(seconds)), Y: y}}}
		}
		mean := float64(sum) / float64(last)
		p.Curves = append(p.Curves, level(mean, figure.Dashed, fmt.Sprintf("mean %.1f", mean)), level(float64(busiest), figure.Thin, fmt.Sprintf("busiest %d", busiest)))
	}
	return p
}

// steps is the outline of seconds from one on.
func steps(seconds []int, from int) plotter.XYs {
	out := make(plotter.XYs, 0, 2*(len(seconds)-from))
	for s, n := range seconds[from:] {
		out = append(out, plotter.XY{X: float64(from + s), Y: float64(n)}, plotter.XY{X: float64(from + s + 1), Y: float64(n)})
	}
	return out
}

// every is how many seconds are between the ticks of so many.
func every(seconds int) float64 {
	for _, step := range []int{1, 2, 5, 10, 15, 30, 60, 120, 300, 600} {
		if seconds <= 12*step {
			return float64(step)
		}
	}
	return 600 * math.Ceil(float64(seconds)/7200)
}

// handedOut is a panel with the share of the responses that each TTL has.
func (r Report) handedOut(shade color.Color) figure.Panel {
	sum, longest := 0, uint32(0)
	for ttl, n := range r.TTLs {
		sum, longest = sum+n, max(longest, ttl)
	}
	bars := make(plotter.XYs, 0, 4*len(r.TTLs))
	for _, ttl := range sorted(r.TTLs) {
		share := 100 * float64(r.TTLs[ttl]) / float64(sum)
		x := float64(ttl)
		bars = append(bars, plotter.XY{X: x}, plotter.XY{X: x, Y: share}, plotter.XY{X: x + 1, Y: share}, plotter.XY{X: x + 1})
	}
	return figure.Panel{
		X: figure.Axis{Label: "TTL, seconds", Max: float64(longest + 1)}, Y: figure.Axis{Label: "% of responses"},
		Curves: []figure.Curve{{Points: bars, Ink: figure.Area, Color: shade}},
	}
}
