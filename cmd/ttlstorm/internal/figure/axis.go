package figure

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
)

// Axis is one of a panel.
type Axis struct {
	Label    string
	Min, Max float64
	Every    float64 // between ticks; 0 leaves them to chance
	Reversed bool    // falls from left to right
	wide     bool    // has log(1+value)
}

// small is how many times the least mean of an area the greatest value is from which on it
// would be seen beside that no more.
const small = 10

// scale gives the y axes that have one label and no end of their own the same scale. It is
// one of log(1+y), which shows small beside large and has 0, where they need that.
func (f Figure) scale() {
	type extent struct{ most, mean float64 }
	of := make(map[string]extent)
	each := func(do func(*Panel)) {
		for _, part := range f.Parts {
			for _, row := range part.Rows {
				for i := range row {
					if row[i].Y.Max == 0 {
						do(&row[i])
					}
				}
			}
		}
	}
	each(func(p *Panel) {
		e := of[p.Y.Label]
		for _, c := range p.Curves {
			var sum float64
			for _, point := range c.Points {
				e.most, sum = max(e.most, point.Y), sum+point.Y
			}
			if mean := sum / float64(len(c.Points)); c.Ink == Area && sum > 0 && (e.mean == 0 || mean < e.mean) {
				e.mean = mean
			}
		}
		of[p.Y.Label] = e
	})
	each(func(p *Panel) {
		e := of[p.Y.Label]
		p.Y.wide = e.mean > 0 && e.most > small*e.mean
		p.Y.Max = max(1, 1.1*e.most)
		if p.Y.wide {
			p.Y.Max = 1.5 * e.most
		}
	})
}

// narrow is the part of an axis that two numbers have to be apart.
const narrow = 0.085

// title is the label, and what scale there is.
func (a Axis) title() string {
	if a.wide {
		return a.Label + ", log(1 + y) scale"
	}
	return a.Label
}

// set makes an axis of gonum's what this one is.
func (a Axis) set(to *plot.Axis) {
	to.Min, to.Max = a.Min, a.Max
	to.Label.TextStyle.Font.Size, to.Tick.Label.Font.Size = labelSize, tickSize
	to.Tick.Length = vg.Points(4)
	switch {
	case a.wide:
		to.Scale = logarithm{}
		ticks := plot.ConstantTicks{{Value: 0, Label: "0"}}
		for v := 1.; v <= a.Max; v *= 10 {
			ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'f', -1, 64)})
		}
		if math.Ln2 < narrow*math.Log1p(a.Max) {
			ticks[1].Label = ""
		}
		to.Tick.Marker = ticks
	case a.Every > 0:
		var ticks plot.ConstantTicks
		for v := math.Ceil(a.Min/a.Every) * a.Every; v <= a.Max; v += a.Every {
			ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', 6, 64)})
		}
		to.Tick.Marker = ticks
	}
	if a.Reversed {
		to.Scale = plot.InvertedScale{Normalizer: plot.LinearScale{}}
	}
}

// logarithm is a scale of log(1+value).
type logarithm struct{}

// Normalize implements plot.Normalizer.
func (logarithm) Normalize(least, most, v float64) float64 {
	return (math.Log1p(v) - math.Log1p(least)) / (math.Log1p(most) - math.Log1p(least))
}
