package lab

import (
	"cmp"
	"flag"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/client"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

var (
	full    = flag.Bool("storm", false, "the rows of the tables that take minutes, too")
	update  = flag.Bool("update", false, "write the tables and figures of docs/storm.md")
	million = flag.Bool("million", false, "a million clients")
	seeds   = flag.Uint64("seeds", 0, "have TestHerdIsGone and its like report on so many seeds (-v), rather than judge a few")
)

// The names that linkerd2-proxy asks for all the time.
var names = []string{"linkerd-dst-headless.linkerd.svc.cluster.local.", "linkerd-policy.linkerd.svc.cluster.local."}

const (
	atOnce  = 20 * time.Millisecond
	rolling = 30 * time.Second
	change  = 45 * time.Second // of endpoints, in every run
)

// base is the run that the others are like: a thousand unpatched proxies that
// start at once, for five minutes.
func base(t storm.Treatment, ttl uint32) Run {
	m, err := client.ByName("linkerd-unpatched")
	if err != nil {
		panic(err)
	}
	return Run{
		Clients: 1000, Names: names, Model: m, Start: atOnce, Length: 5 * time.Minute, Seed: 1, Treatment: t,
		Source: &storm.Source{TTL: ttl, Change: change}, RoundTrip: 10 * time.Millisecond,
	}
}

func treatment(name string) storm.Treatment {
	for _, t := range storm.Treatments(30) {
		if t.Name == name {
			return t
		}
	}
	panic(name)
}

// do does a run in a bubble of its own.
func do(t *testing.T, r Run) (res Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		if res, err = Do(r); err != nil {
			t.Fatal(err)
		}
	})
	return res
}

const nodeCache = "cache {\n success 9984 30\n denial 9984 5\n }"

// judge holds the busiest seconds of runs, one for each seed, against the most that
// they may be over the mean. With -seeds it reports them, and judges nothing.
func judge(t *testing.T, what string, spans []storm.Span, most float64) {
	t.Helper()
	worst, over := 0, 0
	for seed, s := range spans {
		if *seeds == 0 && s.SecondRatio > most {
			t.Errorf("%s, seed %d: the busiest second is %.3f times the mean, want %.2f at most", what, seed, s.SecondRatio, most)
		}
		if s.SecondRatio > spans[worst].SecondRatio {
			worst = seed
		}
		if float64(s.Second) > math.Ceil(s.Mean) {
			over++
		}
	}
	t.Logf("%s: the busiest second is %.3f times the mean at most (seed %d), and above the mean rounded up in %d of %d runs",
		what, spans[worst].SecondRatio, worst, over, len(spans))
}

// fewSeeds are judged, by bounds that hold for a hundred.
const fewSeeds = 5

// TestHerdIsGone is the synchronised start, with several seeds.
func TestHerdIsGone(t *testing.T) {
	for _, tt := range []struct {
		replicas int
		most     float64
	}{{1, 1.03}, {3, 1.13}, {10, 1.14}} {
		minutes := make([][]storm.Span, 5)
		for seed := range cmp.Or(*seeds, fewSeeds) {
			r := base(treatment("ttlfloor, scheduled"), 30)
			r.Replicas, r.Seed = tt.replicas, seed
			res := do(t, r)
			for minute := 3; minute < 5; minute++ {
				minutes[minute] = append(minutes[minute], res.Record.Span(60*minute, 60*minute+60))
			}
			if *seeds == 0 && res.Longest > 45*time.Second+r.RoundTrip*2 {
				t.Errorf("%d replicas, seed %d: %v between two queries of a client", tt.replicas, seed, res.Longest)
			}
		}
		for minute := 3; minute < 5; minute++ {
			judge(t, fmt.Sprintf("%d replicas, minute %d", tt.replicas, minute+1), minutes[minute], tt.most)
		}
	}
}

// TestHerdReturns has the fleet double, or lose a third, after six minutes.
func TestHerdReturns(t *testing.T) {
	for name, change := range map[string]func(*Run){
		"doubles":       func(r *Run) { r.Join = []Join{{6 * time.Minute, 1000}} },
		"loses a third": func(r *Run) { r.Leave = 6 * time.Minute },
	} {
		var spans []storm.Span
		for seed := range cmp.Or(*seeds, fewSeeds) {
			r := base(treatment("ttlfloor, scheduled"), 30)
			change(&r)
			r.Length, r.Seed = 10*time.Minute, seed
			spans = append(spans, do(t, r).Record.Span(9*60, 10*60))
		}
		judge(t, name+", three minutes later", spans, 1.05)
	}
}

// TestRestart has the servers start again, with empty caches and schedules, after
// six minutes: a fleet that was spread is uneven for three more, far from a herd.
func TestRestart(t *testing.T) {
	for _, replicas := range []int{1, 3} {
		bounds := []float64{1.27, 1.40, 1.16, 1.09}
		minutes := make([][]storm.Span, len(bounds))
		for seed := range cmp.Or(*seeds, fewSeeds) {
			r := base(treatment("ttlfloor, scheduled"), 30)
			r.Length, r.Seed, r.Replicas, r.Restart = 10*time.Minute, seed, replicas, 6*time.Minute
			res := do(t, r)
			for after := range bounds {
				minutes[after] = append(minutes[after], res.Record.Span(60*(6+after), 60*(7+after)))
			}
			if got := minutes[0][seed].SecondRatio; *seeds == 0 && got < 1.1 {
				t.Errorf("%d replicas, seed %d: %.3f in the first minute after, as if nothing had started again", replicas, seed, got)
			}
		}
		for after, most := range bounds {
			judge(t, fmt.Sprintf("%d replicas, minute %d after", replicas, after+1), minutes[after], most)
		}
	}
}

// TestZero has an upstream with TTL 0. From a start at once, a client's first
// query is half a generation early: by renewal theory there are 1/2 more than
// the length over the mean TTL, however well the others lie.
func TestZero(t *testing.T) {
	clients := 5
	if *full {
		clients = 1000
	}
	r := base(treatment("nothing"), 0)
	r.Clients = clients
	without := do(t, r)
	for start, most := range map[time.Duration]float64{rolling: 1.05, atOnce: 1 + 0.5*38.5/300 + 0.01} {
		r = base(treatment("ttlfloor, scheduled"), 0)
		r.Start = start
		with := do(t, r)
		over := float64(with.Queries) / float64(r.Clients*len(r.Names)) / (r.Length.Seconds() / with.MeanTTL)
		if over < 0.9 || over > most {
			t.Errorf("start within %v: %.3f of the least possible queries, want %.3f at most", start, over, most)
		}
		r.Clients = clients
		with = do(t, r)
		factor := float64(without.Queries) / float64(with.Queries)
		t.Logf("start within %v: %.3f of the least possible; %d clients: %d queries without, %d with: a factor of %.0f",
			start, over, clients, without.Queries, with.Queries, factor)
		if factor < 1000 {
			t.Errorf("queries fall by a factor of %.0f, want 1000", factor)
		}
	}
}

// TestMany has 100,000 clients, or a million.
func TestMany(t *testing.T) {
	r := base(treatment("ttlfloor, scheduled"), 0)
	r.Clients = 10_000
	switch {
	case *million:
		r.Clients = 1_000_000
	case *full:
		r.Clients = 100_000
	}
	res := do(t, r)
	for minute := 3; minute < 5; minute++ {
		if got := res.Record.Span(60*minute, 60*minute+60).SecondRatio; got > 1.02 {
			t.Errorf("the busiest second of minute %d is %.3f times the mean", minute+1, got)
		}
	}
	t.Logf("%d clients: %d queries, %d upstream", r.Clients, res.Queries, res.Upstream)
}

// TestSame checks that a run is the same every time for its seed, and another
// one for another.
func TestSame(t *testing.T) {
	report := func(seed uint64) string {
		r := base(storm.ServingStale([]storm.Treatment{treatment("ttlfloor, random")})[0], 5)
		r.Clients, r.Seed, r.Replicas, r.PerNode, r.Node = 200, seed, 3, 30, []string{nodeCache}
		r.Source.DownAt, r.Source.UpAt = time.Minute, 2*time.Minute
		r.Others, r.Lost, r.Truncated, r.Reload = []Others{oneShot(20), every(3*time.Second, 20)}, 0.1, true, 3*time.Minute
		res := do(t, r)
		return fmt.Sprintf("%+v %+v", res.Report, res.Others.Report("others", r.Length, 0))
	}
	first := report(1)
	if again := report(1); again != first {
		t.Errorf("the same seed gives\n%s\nand\n%s", first, again)
	}
	if report(2) == first {
		t.Error("another seed gives the same run")
	}
}

// choice is a floor and a window that an operator may choose.
type choice struct {
	floor, low, high int
	cache            int
}

var choicesOfFloor = []choice{
	{10, 10, 50, 5}, {20, 10, 50, 5}, {30, 10, 50, 5}, {30, 10, 50, 30}, {30, 0, 20, 5}, {30, 0, 100, 5}, {60, 10, 50, 5}, {120, 10, 50, 5},
}

func (c choice) treatment() storm.Treatment {
	return storm.Treatment{
		Name:       fmt.Sprintf("floor %d, window %d%% %d%%, cache %d", c.floor, c.low, c.high, c.cache),
		Directives: []string{fmt.Sprintf("ttlfloor %d {\n jitter %d%% %d%%\n }", c.floor, c.low, c.high), fmt.Sprintf("cache %d", c.cache)},
	}
}

// TestFormula checks what the document says about the choice of FLOOR and the
// window against runs.
func TestFormula(t *testing.T) {
	for _, c := range choicesOfFloor {
		r := base(c.treatment(), 30)
		r.Length = 15 * time.Minute
		res := do(t, r)
		name := c.treatment().Name
		fleet := float64(r.Clients * len(r.Names))
		lo, hi := float64(c.floor*(100+c.low)/100), math.Ceil(float64(c.floor*(100+c.high))/100)

		if least, most := fleet/(hi+0.1), fleet/lo; res.Last.Mean < least || res.Last.Mean > most {
			t.Errorf("%s: %.1f queries a second, the formula says %.1f to %.1f", name, res.Last.Mean, least, most)
		}
		back := res.Record.Span(int(lo), int(hi)+2).Second
		if first := fleet / (hi - lo + 1); math.Abs(float64(back)/first-1) > 0.05 {
			t.Errorf("%s: %d come back in the busiest second, the formula says %.0f", name, back, first)
		}
		stale := time.Duration(float64(c.cache)+hi) * time.Second
		if res.Stale.Max > stale+r.RoundTrip*2 || res.Stale.Max < stale/2 {
			t.Errorf("%s: a removed endpoint is used for %v, the formula says %v", name, res.Stale.Max, stale)
		}
	}
}
