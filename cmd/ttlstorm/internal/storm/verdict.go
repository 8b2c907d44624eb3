package storm

import (
	"fmt"
	"image/color"
	"time"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/figure"
)

// chance is what the busiest second over the mean is below where clients are spread, and
// no better than by chance.
const chance = 3

// verdict is what a run shows, in a word, and the colour that goes with the word: red
// is a herd or a storm, blue neither, and grey too early to tell.
func (r Report) verdict() (word string, shade color.Color) {
	switch {
	case r.storm():
		return "storm", figure.Red
	case r.counts():
		return "no storm", figure.Blue
	case r.even():
		return "spread", figure.Blue
	case r.short():
		return "too short to tell", figure.Grey
	case r.Last.SecondRatio < chance:
		return "uneven", figure.Red
	}
	return "herd", figure.Red
}

// even tells whether clients have settled and still are at the end.
func (r Report) even() bool {
	return r.Settled >= 0 && r.Last.even()
}

// counts tells whether a run is about how many queries there are, and not about how evenly
// they come: a storm, and what it is compared with.
func (r Report) counts() bool {
	return r.storm() || r.Run != nil && r.Run.Compare != nil && r.Run.Compare.TTL == 0
}

// finding is what a run shows, in one line: the number that it is about, and the verdict.
func (r Report) finding() string {
	word, _ := r.verdict()
	switch {
	case r.Queries == 0:
		return "no queries"
	case r.counts():
		return fmt.Sprintf("%d queries in %s, %.0f a second (%s)", r.Queries, whole(r.Length), float64(r.Queries)/r.Length.Seconds(), word)
	case r.Last.Mean == 0:
		return fmt.Sprintf("%d queries in %s, none in the last %s", r.Queries, whole(r.Length), r.lastPart())
	}
	return fmt.Sprintf("busiest second of the last %s: %.2f times the mean (%s)", r.lastPart(), r.Last.SecondRatio, word)
}

// lastPart is what the last minute is called: half of a run that is shorter than two.
func (r Report) lastPart() string {
	if n := min(60, len(r.Seconds)/2); n < 60 {
		return whole(time.Duration(n) * time.Second)
	}
	return "minute"
}

func whole(d time.Duration) string { return fmt.Sprintf("%.0f s", d.Seconds()) }
