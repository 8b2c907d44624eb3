package lab

import (
	"bufio"
	"bytes"
	"cmp"
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

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/figure"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
	"gonum.org/v1/plot/plotter"
)

// figureFiles are those of docs/storm.md and docs/design.md.
var figureFiles = map[string]func(t *testing.T) figure.Figure{
	"herd.svg": overTime("1,000 proxies with two names each, cache 30: the herd comes back every 30 seconds.\nttlfloor spreads it, by schedule better than by chance.", func() []row {
		return []row{{Run: base(treatment("cache 30"), 30)}, {Run: base(treatment("ttlfloor, random"), 30)}, {Run: base(treatment("ttlfloor, scheduled"), 30)}}
	}),
	"rolling.svg": overTime("1,000 proxies start one by one in 30 seconds: a cache that counts down makes a herd\neven of them. With ttlfloor they stay apart.", func() []row {
		return []row{{Run: roll("cache 30")}, {Run: roll("ttlfloor, scheduled")}}
	}),
	"nodes.svg": overTime("1,000 proxies behind the caches of 34 nodes: ttlfloor in the cluster alone leaves the herd.\nOn the nodes it spreads it.", func() []row {
		return fiveMinutes()["nodes"][1:3]
	}),
	"down.svg":      downFigure,
	"mixed.svg":     mixedFigure,
	"phases.svg":    phasesFigure,
	"countdown.svg": countdownFigure,
	"filling.svg":   fillingFigure,
}

// TestFigures compares the figures with those that the runs give, octet by octet. With
// -update it writes them.
func TestFigures(t *testing.T) {
	for file, of := range figureFiles {
		if underRace && file != "herd.svg" { // they take too long there, and look for nothing else
			continue
		}
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := of(t).Write(&b, "svg"); err != nil {
				t.Fatal(err)
			}
			now, path := b.Bytes(), filepath.Join(filepath.Dir(document), file)
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
func overTime(title string, rows func() []row) func(t *testing.T) figure.Figure {
	return func(t *testing.T) figure.Figure {
		t.Helper()
		var reports []storm.Report
		for _, r := range rows() {
			rep := do(t, r.Run).Report
			rep.Name = cmp.Or(r.name, rep.Name)
			reports = append(reports, rep)
		}
		return figure.Figure{Title: title, Note: storm.Legend, Parts: []figure.Part{storm.Part(reports)}}
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

// downFigure has an upstream that fails for three minutes.
func downFigure(t *testing.T) figure.Figure {
	t.Helper()
	rows := few(fiveMinutes()["down"][1], fiveMinutes()["down"][7])
	f := overTime("Five proxies while the upstream is down: a cache that serves stale entries gives them a\nTTL of 0, and they ask without a pause. With ttlfloor they wait as ever.", func() []row { return rows })(t)
	for i, r := range rows {
		p := &f.Parts[0].Rows[i][0]
		down := figure.Band{From: r.Source.DownAt.Seconds(), To: r.Source.UpAt.Seconds(), Word: "upstream down"}
		busiest := 0.
		for _, point := range p.Curves[0].Points {
			if point.X > down.From && point.X <= down.To {
				busiest = max(busiest, point.Y)
			}
		}
		p.Title += " with serve_stale"
		p.Note = fmt.Sprintf("queries in the busiest second while the upstream is down: %.0f", busiest)
		p.Bands = []figure.Band{down}
		p.Curves = p.Curves[:1]
	}
	f.Note = "Left: the queries of each second. Right: the TTLs given to the proxies."
	return f
}

// minutesOf is a panel with the queries of each second of minutes from one to another, both
// counted from 0.
func minutesOf(title string, seconds []int, from, to int, shade color.Color) []figure.Panel {
	busiest, sum := 0, 0
	for _, n := range seconds[60*from : 60*to] {
		busiest, sum = max(busiest, n), sum+n
	}
	p := storm.PerSecond(seconds[:60*to], 60*from, 60*(to-from), shade)
	p.Title, p.Note = title, fmt.Sprintf("busiest second of these %d minutes: %.2f times the mean", to-from, float64(busiest*60*(to-from))/float64(sum))
	return []figure.Panel{p}
}

// mixedFigure has the queries of proxies alone who are beside others.
func mixedFigure(t *testing.T) figure.Figure {
	t.Helper()
	const from, to = 8, 12
	s := named(mixed, "200/s one-shot")
	return figure.Figure{
		Title: "1,000 proxies beside 200 queries a second of programs that keep no TTL: a schedule that\nbooks all of them does worse than chance. One that books who keeps a TTL is even.",
		Note:  "The queries of the proxies alone in each second. Each has two names.",
		Parts: []figure.Part{{Rows: [][]figure.Panel{
			// A run of the schedule that was before, see the file.
			minutesOf("ttlfloor, scheduled, all booked (before)", recorded(t, "mixed-before.txt"), from, to, figure.Red),
			minutesOf("ttlfloor, random", s.once(t, "random", 1, tableSeed).report.Seconds, from, to, figure.Grey),
			minutesOf("ttlfloor, scheduled", s.once(t, "scheduled", 1, tableSeed).report.Seconds, from, to, figure.Blue),
		}}},
	}
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
func phasesFigure(t *testing.T) figure.Figure {
	t.Helper()
	const most = 2.5
	var panels []figure.Panel
	for _, name := range []string{"start over 30 s", "start over 30 s, 5,000"} {
		p := figure.Panel{
			Title: fmt.Sprintf("%d proxies", named(phases, name).run("scheduled", 1, tableSeed).Clients),
			X:     figure.Axis{Label: "minutes since the start", Min: 1, Max: 20, Every: 2},
			Y:     figure.Axis{Label: "busiest second over the mean", Min: 1, Max: most, Every: 0.5},
		}
		for _, curve := range []figure.Curve{{Label: "random", Ink: figure.Dashed}, {Label: "scheduled", Color: figure.Blue}} {
			minutes := named(phases, name).once(t, curve.Label, 1, tableSeed).minutes
			for m, f := range minutes {
				curve.Points = append(curve.Points, plotter.XY{X: float64(m + 1), Y: math.Min(f.offset, most)})
			}
			curve.Label += fmt.Sprintf(" %.2f", minutes[len(minutes)-1].offset)
			p.Curves = append(p.Curves, curve)
		}
		panels = append(panels, p)
	}
	return figure.Figure{
		Title: "A rolling start over 30 seconds: the schedule evens out every second, wherever it begins;\nchance does not.",
		Note:  "The busiest second of each minute, whatever hundredth it begins at, over the mean. 1 is even.",
		Parts: []figure.Part{{Rows: [][]figure.Panel{panels}}},
	}
}

// countdownFigure has a cache whose entries live for longer than FLOOR.
func countdownFigure(t *testing.T) figure.Figure {
	t.Helper()
	const from, to = 4, 8
	s := named(countdown, "60 behind cache 3600, floor 30")
	of := func(title, jitter string, shade color.Color) []figure.Panel {
		return minutesOf(title, s.once(t, jitter, 1, tableSeed).report.Seconds, from, to, shade)
	}
	return figure.Figure{
		Title: "1,000 proxies, TTL 60, a cache that counts down: they come back at once when its entry\nruns out, every 60 seconds. ttlfloor with a floor of 30 spreads them.",
		Note:  "The queries of each second. Each proxy has two names.",
		Parts: []figure.Part{{Rows: [][]figure.Panel{
			of("cache alone", none, figure.Red), of("ttlfloor, random", "random", figure.Grey), of("ttlfloor, scheduled", "scheduled", figure.Blue),
		}}},
	}
}

// fillingFigure has how the seconds of a minute fill up, while they draw nearer.
func fillingFigure(t *testing.T) figure.Figure {
	t.Helper()
	const minute = 8           // counted from 0
	const ahead, full = 46, 30 // the first appointment for a second is made after the former, and the last before the latter
	var panels []figure.Panel
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
		label := func(name string, points plotter.XYs) string {
			return fmt.Sprintf("%s %.0f", name, points[len(points)-1].Y)
		}
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
		panels = append(panels, figure.Panel{
			Title: jitter,
			X:     figure.Axis{Label: "seconds until that second comes", Min: full, Max: ahead, Every: 2, Reversed: true},
			Y:     figure.Axis{Label: "appointments for a second", Max: 100, Every: 20},
			Curves: []figure.Curve{
				{Label: label("emptiest", least), Points: least, Ink: figure.Thin}, {Label: label("mean", mean), Points: mean, Color: figure.Blue},
				{Label: label("fullest", most), Points: most, Ink: figure.Thin},
			},
		})
	}
	return figure.Figure{
		Title: "How the seconds of a minute fill up with appointments while they draw nearer:\nscheduled, all are full to the same height; at random, they are not.",
		Note:  "1,000 proxies with two names each. The mean of 60 seconds, and the fullest and the emptiest of them.",
		Parts: []figure.Part{{Rows: [][]figure.Panel{panels}}},
	}
}
