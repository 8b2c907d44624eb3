package lab

import (
	"bufio"
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// figures are those of docs/storm.md and docs/design.md, by their files.
var figureFiles = map[string]func(t *testing.T) []byte{
	"herd.svg": overTime(func() []row {
		return []row{{Run: base(treatment("cache 30"), 30)}, {Run: base(treatment("ttlfloor, random"), 30)}, {Run: base(treatment("ttlfloor, scheduled"), 30)}}
	}),
	"rolling.svg":   overTime(func() []row { return []row{{Run: roll("cache 30")}, {Run: roll("ttlfloor, scheduled")}} }),
	"nodes.svg":     overTime(func() []row { return fiveMinutes()["nodes"][1:] }),
	"down.svg":      overTime(func() []row { return few(fiveMinutes()["down"][1], fiveMinutes()["down"][7]) }),
	"mixed.svg":     mixedFigure,
	"phases.svg":    phasesFigure,
	"countdown.svg": countdownFigure,
	"filling.svg":   fillingFigure,
}

// TestFigures compares the figures with those that the runs give, octet by octet. With
// -update it writes them.
func TestFigures(t *testing.T) {
	for file, figure := range figureFiles {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			if underRace && file != "herd.svg" {
				t.Skip("takes too long under the race detector")
			}
			now, path := figure(t), filepath.Join(filepath.Dir(document), file)
			if *update {
				if err := os.WriteFile(path, now, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if old, err := os.ReadFile(path); err != nil || !bytes.Equal(old, now) {
				t.Errorf("%s is not what the runs give (%v); make figures", path, err)
			}
		})
	}
}

// overTime is a figure with the queries of runs by second, and the TTLs.
func overTime(rows func() []row) func(t *testing.T) []byte {
	return func(t *testing.T) []byte {
		t.Helper()
		var reports []storm.Report
		for _, r := range rows() {
			rep := do(t, r.Run).Report
			if r.name != "" {
				rep.Name = r.name
			}
			reports = append(reports, rep)
		}
		var b bytes.Buffer
		if err := storm.Draw(&b, "svg", reports); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
}

func roll(name string) Run {
	r := base(treatment(name), 30)
	r.Start = rolling
	return r
}

// few makes runs small enough to spin for minutes.
func few(rows ...row) (out []row) {
	for _, r := range rows {
		r.Clients = 5
		out = append(out, r)
	}
	return out
}

// named finds a scenario.
func named(rows []scenario, name string) *scenario {
	for i := range rows {
		if rows[i].name == name {
			return &rows[i]
		}
	}
	panic(name)
}

// curve is one of a panel. Ink says what it is in black and white, too.
type curve struct {
	name   string
	points plotter.XYs
	ink    ink
}

type ink int

const (
	solid ink = iota
	dashed
	thin   // and grey
	filled // down to 0
)

// panel is a part of a figure.
type panel struct {
	title, x, y string
	min, max    plotter.XY
	reversed    bool // the x axis
	curves      []curve
}

// drawn puts panels below each other, so many beside each other, as SVG.
func drawn(t *testing.T, columns int, panels []panel) []byte {
	t.Helper()
	const width, pad = 22 * vg.Centimeter, 0.25 * vg.Centimeter
	height := 4.2 * vg.Centimeter
	if columns > 1 {
		height = 6.5 * vg.Centimeter
	}
	lines := (len(panels) + columns - 1) / columns
	canvas := vgsvg.New(width, height*vg.Length(lines))
	c := draw.New(canvas)
	each := width / vg.Length(columns)
	for i, p := range panels {
		line, column := vg.Length(i/columns), vg.Length(i%columns)
		p.plot(t).Draw(draw.Crop(c, column*each+pad, (column+1)*each-width-pad, c.Max.Y-height*(line+1)+pad, -height*line-pad))
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (p panel) plot(t *testing.T) *plot.Plot {
	t.Helper()
	out := plot.New()
	out.Title.Text, out.X.Label.Text, out.Y.Label.Text = p.title, p.x, p.y
	out.Title.TextStyle.Font.Size, out.X.Label.TextStyle.Font.Size, out.Y.Label.TextStyle.Font.Size = 10, 9, 9
	out.X.Min, out.X.Max, out.Y.Min, out.Y.Max = p.min.X, p.max.X, p.min.Y, p.max.Y
	if p.reversed {
		out.X.Scale = plot.InvertedScale{Normalizer: plot.LinearScale{}}
	}
	out.X.Tick.Marker = p.ticks()
	out.Legend.Top, out.Legend.Left, out.Legend.TextStyle.Font.Size = true, true, 9
	out.X.Tick.Label.Font.Size, out.Y.Tick.Label.Font.Size = 8, 8
	for _, c := range p.curves {
		if c.ink == filled {
			first, last := c.points[0], c.points[len(c.points)-1]
			area, err := plotter.NewPolygon(append(append(plotter.XYs{{X: first.X}}, c.points...), plotter.XY{X: last.X}))
			if err != nil {
				t.Fatal(err)
			}
			area.Color, area.Width = color.Gray{0x60}, 0
			out.Add(area)
			continue
		}
		line, err := plotter.NewLine(c.points)
		if err != nil {
			t.Fatal(err)
		}
		line.Width = vg.Points(1.2)
		switch c.ink {
		case dashed:
			line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
		case thin:
			line.Width, line.Color = vg.Points(0.6), color.Gray{0x60}
		case solid, filled:
		}
		out.Add(line)
		if c.name != "" {
			out.Legend.Add(c.name, line)
		}
	}
	return out
}

// ticks are at whole numbers of the x axis.
func (p panel) ticks() (ticks plot.ConstantTicks) {
	step := 1
	if p.max.X-p.min.X > 6 {
		step = 5
	}
	for x := int(p.min.X); x <= int(p.max.X); x++ {
		if x%step == 0 || x == int(p.min.X) {
			ticks = append(ticks, plot.Tick{Value: float64(x), Label: strconv.Itoa(x)})
		}
	}
	return ticks
}

// steps are queries per second from a minute up to another, both counted from 0.
func steps(seconds []int, from, to int) (points plotter.XYs) {
	for s := 60 * from; s < 60*to; s++ {
		n := float64(seconds[s])
		points = append(points, plotter.XY{X: float64(s) / 60, Y: n}, plotter.XY{X: float64(s+1) / 60, Y: n})
	}
	return points
}

// perSecondPanel has queries per second, and how the busiest is to the mean.
func perSecondPanel(title string, seconds []int, from, to int, top float64) panel {
	busiest, sum := 0, 0
	for _, n := range seconds[60*from : 60*to] {
		busiest, sum = max(busiest, n), sum+n
	}
	mean := float64(sum) / float64(60*(to-from))
	return panel{
		title: fmt.Sprintf("%s: busiest second %d, %.2f times the mean", title, busiest, float64(busiest)/mean),
		x:     "minutes since the start", y: "queries per second",
		min: plotter.XY{X: float64(from)}, max: plotter.XY{X: float64(to), Y: top},
		curves: []curve{{points: steps(seconds, from, to), ink: filled}},
	}
}

// mixedFigure has the queries of proxies alone who are beside others.
func mixedFigure(t *testing.T) []byte {
	t.Helper()
	const from, to, top = 8, 12, 130
	s := named(mixed, "200/s one-shot")
	// The first is of a run of the schedule that was before, see the file.
	return drawn(t, 1, []panel{
		perSecondPanel("every response booked (before)", recorded(t, "mixed-before.txt"), from, to, top),
		perSecondPanel("random", s.once(t, "random", 1, tableSeed).report.Seconds, from, to, top),
		perSecondPanel("scheduled", s.once(t, "scheduled", 1, tableSeed).report.Seconds, from, to, top),
	})
}

// recorded reads the queries per second of a run of a version that is no more.
func recorded(t *testing.T, file string) (seconds []int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		for field := range strings.FieldsSeq(lines.Text()) {
			n, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			seconds = append(seconds, n)
		}
	}
	return seconds
}

// phasesFigure has the busiest second of each minute, by any offset.
func phasesFigure(t *testing.T) []byte {
	t.Helper()
	var panels []panel
	for _, name := range []string{"start over 30 s", "start over 30 s, 5,000"} {
		p := panel{
			title: fmt.Sprintf("%d clients, start over 30 s", named(phases, name).run("scheduled", 1, tableSeed).Clients),
			x:     "minutes since the start", y: "over the mean, any offset",
			min: plotter.XY{X: 1, Y: 1}, max: plotter.XY{X: 20, Y: 2.5},
		}
		for jitter, as := range map[string]ink{"random": dashed, "scheduled": solid} {
			c := curve{name: jitter, ink: as}
			for m, f := range named(phases, name).once(t, jitter, 1, tableSeed).minutes {
				c.points = append(c.points, plotter.XY{X: float64(m + 1), Y: math.Min(f.offset, p.max.Y)})
			}
			p.curves = append(p.curves, c)
		}
		slices.SortFunc(p.curves, func(a, b curve) int { return strings.Compare(a.name, b.name) })
		panels = append(panels, p)
	}
	return drawn(t, 2, panels)
}

// countdownFigure has a cache whose entries live for longer than FLOOR.
func countdownFigure(t *testing.T) []byte {
	t.Helper()
	const from, to = 4, 8
	s := named(countdown, "60 behind cache 3600, floor 30")
	seconds := func(jitter string) []int { return s.once(t, jitter, 1, tableSeed).report.Seconds }
	return drawn(t, 1, []panel{
		perSecondPanel("cache alone", seconds(none), from, to, 2000),
		perSecondPanel("random", seconds("random"), from, to, 130),
		perSecondPanel("scheduled", seconds("scheduled"), from, to, 130),
	})
}

// fillingFigure has how the seconds of a minute fill up, while they draw nearer.
func fillingFigure(t *testing.T) []byte {
	t.Helper()
	const minute = 8           // counted from 0
	const ahead, full = 46, 30 // the first appointment for a second is made after the former, and the last before the latter
	var panels []panel
	for _, jitter := range []string{"random", "scheduled"} {
		var booked [60][ahead + 1]int // by second, and by how long before it an appointment was made
		r := named(phases, "alone").run(jitter, 1, tableSeed)
		r.Length = (minute + 1) * time.Minute
		r.Booked = func(at, next time.Duration) {
			second := int(next/time.Second) - 60*minute
			if second < 0 || second >= 60 {
				return
			}
			left := int(math.Ceil((time.Duration(60*minute+second)*time.Second - at).Seconds()))
			booked[second][min(max(left, 0), ahead)]++
		}
		do(t, r)
		var least, most, mean plotter.XYs
		var sums [60]int
		for left := ahead; left >= full; left-- {
			all := 0
			for second := range sums {
				sums[second] += booked[second][left]
				all += sums[second]
			}
			x := float64(left)
			least = append(least, plotter.XY{X: x, Y: float64(slices.Min(sums[:]))})
			most = append(most, plotter.XY{X: x, Y: float64(slices.Max(sums[:]))})
			mean = append(mean, plotter.XY{X: x, Y: float64(all) / float64(len(sums))})
		}
		panels = append(panels, panel{
			title: jitter, x: "seconds until it comes", y: "appointments for a second",
			min: plotter.XY{X: full}, max: plotter.XY{X: ahead, Y: 100}, reversed: true,
			curves: []curve{{name: "mean of 60 seconds", points: mean, ink: solid}, {name: "the least and the most", points: least, ink: thin}, {points: most, ink: thin}},
		})
	}
	return drawn(t, 2, panels)
}
