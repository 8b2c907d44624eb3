package lab

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

var rowPattern = flag.String("row", "", "regular expression: only rows of TestMixed, TestCountdown, TestPhases, TestNeverWorse and TestTables with such a name")

var csvFile = flag.String("csv", "", "file that the same tests and TestNeverWorse append all figures of all runs to, a line for each run and stretch of minutes")

func init() { log.SetOutput(io.Discard) } // Caddy says that it reloads

// underRace tells whether the race detector is on. A run takes ten times as long
// then, and what it looks for is the same in every scenario.
var underRace bool

// The window of every scenario, in per cent.
const low, high = 10, 50

func (s *scenario) atFloor() int { return cmp.Or(s.floor, 30) }

func ttlfloorOf(floor int, jitter string) string {
	return fmt.Sprintf("ttlfloor %d {\n jitter %d%% %d%% %s\n }", floor, low, high, jitter)
}

// figures are what is said of a stretch of minutes: the mean over its minutes, but
// for those in which hardly a proxy comes where it is a ratio, and over its responses.
type figures struct {
	herd, offset float64 // of the proxies alone: busiest over mean second, by the calendar and by any offset
	worst        float64 // herd of the worst minute
	all          float64 // of all queries: dispersion
	allHerd      float64 // and busiest over mean second by the calendar
	allOffset    float64 // and by any offset
	own          float64 // of the proxies alone: dispersion
	peak, slot   float64 // and busiest second and busiest 10 ms, in queries
	slotOver     float64 // busiest over mean 10 ms
	rate         float64 // queries of the proxies per second
	ttl          float64 // mean TTL
	raise, most  float64 // mean and greatest TTL over received
	longest      float64 // greatest TTL
	stale        float64 // 99% of the proxies' times with a removed endpoint were shorter, in seconds; of the whole run
}

const figureHeads = "herd,herd_any_offset,herd_worst_minute,all_dispersion,all_herd,all_herd_any_offset,dispersion,busiest_second,busiest_10ms,busiest_10ms_over_mean," +
	"queries_per_second,mean_ttl,mean_ttl_over_received,greatest_ttl_over_received,greatest_ttl,stale_p99"

func (f figures) csv() string {
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprintf("%.3f", []float64{
		f.herd, f.offset, f.worst, f.all, f.allHerd, f.allOffset, f.own, f.peak, f.slot, f.slotOver, f.rate, f.ttl, f.raise, f.most, f.longest, f.stale,
	})), ","), "[]")
}

// add adds what counts by a weight, and takes the greatest of what is greatest.
func (f *figures) add(o figures, weight float64) {
	f.herd += weight * o.herd
	f.offset += weight * o.offset
	f.all += weight * o.all
	f.allHerd += weight * o.allHerd
	f.allOffset += weight * o.allOffset
	f.peak += weight * o.peak
	f.slot += weight * o.slot
	f.own += weight * o.own
	f.slotOver += weight * o.slotOver
	f.rate += weight * o.rate
	f.ttl += weight * o.ttl
	f.raise += weight * o.raise
	f.worst, f.most = max(f.worst, o.worst), max(f.most, o.most)
	f.longest, f.stale = max(f.longest, o.longest), max(f.stale, o.stale)
}

// outcome is what a run came to: from the minute on that it is judged from, in
// minutes 16 to 20, if it has them, and from the former to the end.
type outcome struct {
	early, late, whole figures
	minutes            []figures // of each minute
	report             storm.Report
}

// stretch sums up the minutes from and up to two, counted from 1, of the proxies and of all.
func stretch(own, all *storm.Record, from, to int) (f figures) {
	whole := own.Span(60*(from-1), 60*to)
	var ratios figures // of the busy minutes: one query in a minute is no herd, though it is sixty times the mean
	busy := 0
	for m := from; m <= to; m++ {
		s, both := own.Span(60*(m-1), 60*m), all.Span(60*(m-1), 60*m)
		f.add(figures{
			all: both.Dispersion, allHerd: both.SecondRatio, allOffset: both.OffsetOver,
			own: s.Dispersion, peak: float64(s.Second), slot: float64(s.Slot), slotOver: s.SlotRatio, rate: s.Mean,
		}, 1/float64(to-from+1))
		if s.Mean > whole.Mean/10 {
			busy++
			ratios.add(figures{herd: s.SecondRatio, offset: s.OffsetOver, worst: s.SecondRatio}, 1)
		}
	}
	if busy > 0 {
		f.add(ratios, 1/float64(busy))
	}
	f.ttl, f.raise, f.most, f.longest = whole.MeanTTL, whole.MeanRaise, whole.MostRaise, float64(whole.LongestTTL)
	return f
}

func (s *scenario) judged(res Result) outcome {
	from, end := cmp.Or(s.from, 5), int(res.Length/time.Minute)
	o, of := outcomeOf(res, from)
	o.early = of(from, from+cmp.Or(s.span, 4)-1)
	o.late = o.early
	if end >= 20 {
		o.late = of(16, 20)
	}
	return o
}

// outcomeOf sums up a run, minute by minute and from one to the end, and returns
// what sums up others.
func outcomeOf(res Result, from int) (o outcome, of func(from, to int) figures) {
	all := res.Record.With(res.Others)
	of = func(from, to int) figures {
		f := stretch(res.Record, all, from, to)
		f.stale = res.Stale.P99.Seconds()
		return f
	}
	o.report = res.Report
	end := int(res.Length / time.Minute)
	for m := 1; m <= end; m++ {
		o.minutes = append(o.minutes, of(m, m))
	}
	o.whole = of(from, end)
	return o, of
}

// note appends an outcome to the file of -csv.
func (s *scenario) note(jitter string, replicas int, seed uint64, o outcome) error {
	if *csvFile == "" {
		return nil
	}
	notes.Lock()
	defer notes.Unlock()
	f, err := os.OpenFile(*csvFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	row, from := fmt.Sprintf("%q,%s,%d,%d", s.name, jitter, replicas, seed), cmp.Or(s.from, 5)
	lines := fmt.Sprintf("%s,%d-%d,%s\n%s,16-20,%s\n%s,%d-,%s\n",
		row, from, from+cmp.Or(s.span, 4)-1, o.early.csv(), row, o.late.csv(), row, from, o.whole.csv())
	if info, err := f.Stat(); err == nil && info.Size() == 0 {
		lines = "row,jitter,replicas,seed,minutes," + figureHeads + "\n" + lines
	}
	_, err = f.WriteString(lines)
	return errors.Join(err, f.Close())
}

var notes sync.Mutex

// fewSeedsOf is how many are judged where -seeds does not say: fewer of a scenario
// that has many queries, unless random is what it is held against, which has noise of its own.
func (s *scenario) fewSeedsOf() uint64 {
	r := s.run("scheduled", 1, 0)
	rate := float64(r.Clients * len(r.Names) / s.atFloor())
	for _, o := range r.Others {
		rate += o.Rate
	}
	if (rate < 150 || s.asRandom) && !s.dear {
		return 3
	}
	return 1
}

// do does runs of a scenario, one for each seed.
func (s *scenario) do(t *testing.T, jitter string, replicas int, seeds uint64) (out []outcome) {
	t.Helper()
	for seed := range seeds {
		out = append(out, s.once(t, jitter, replicas, seed))
	}
	return out
}

// once does a run of a scenario, and holds every TTL against the most that it may be.
// It does each run once: several tests are about the same ones.
func (s *scenario) once(t *testing.T, jitter string, replicas int, seed uint64) outcome {
	t.Helper()
	return memo(fmt.Sprintf("%s, %s, %d replicas, seed %d", s.name, jitter, replicas, seed), func(key string) outcome {
		res := do(t, s.run(jitter, replicas, seed))
		o := s.judged(res)
		if err := s.note(jitter, replicas, seed, o); err != nil {
			t.Fatal(err)
		}
		if jitter == none {
			return o
		}
		consent := max(s.atFloor()+1, (s.atFloor()*(100+high)+99)/100)
		for ttls, n := range res.Record.With(res.Others).Pairs() {
			if most := max(ttls.Received, uint32(consent)); ttls.Handed > most {
				t.Errorf("%s: %d responses that came with a TTL of %d went out with %d, want %d at most",
					key, n, ttls.Received, ttls.Handed, most)
			}
		}
		return o
	})
}

// memo returns what was done under a key, or does it.
func memo(key string, do func(key string) outcome) outcome {
	v, _ := outcomes.LoadOrStore(key, new(remembered))
	r := v.(*remembered)
	r.Lock()
	defer r.Unlock()
	if !r.done {
		r.outcome = do(key)
		r.done = true
	}
	return r.outcome
}

var outcomes sync.Map // by key

type remembered struct {
	sync.Mutex
	done    bool
	outcome outcome
}

// atFloorToo is the same scenario with a source of FLOOR.
func (s scenario) atFloorToo() scenario {
	s.change = source(uint32(s.atFloor()))
	s.name += ", source at the floor"
	return s
}

func mean(outs []outcome) (m outcome) {
	for _, o := range outs {
		m.early.add(o.early, 1/float64(len(outs)))
		m.late.add(o.late, 1/float64(len(outs)))
		m.whole.add(o.whole, 1/float64(len(outs)))
	}
	return m
}

// pair shows a figure of both stretches.
func (o outcome) pair(of func(figures) float64) string {
	return fmt.Sprintf("%.2f/%.2f", of(o.early), of(o.late))
}

func (o outcome) cells() string {
	return fmt.Sprintf("%-11s %-11s %-11s %-11s %5.0f %5.1f %5.2f", o.pair(func(f figures) float64 { return f.herd }), o.pair(func(f figures) float64 { return f.worst }),
		o.pair(func(f figures) float64 { return f.offset }), o.pair(func(f figures) float64 { return f.all }), 60*o.late.rate, o.late.ttl, o.late.raise)
}

const heads = "herd        worst       any offset  all         q/min   TTL raise"

// TestPhases, TestCountdown and TestMixed run a few seeds of each scenario and
// hold the bounds of 1, 3 and 10 replicas against the mean over seeds and minutes,
// in the minutes from the one on that it says, and in minutes 16 to 20. With -seeds they
// fail nothing: they report the mean and the worst minute of so many seeds, with
// random beside scheduled, and each bound that is missed. -row chooses rows by name.
func TestPhases(t *testing.T)    { testScenarios(t, phases) }
func TestCountdown(t *testing.T) { testScenarios(t, countdown) }
func TestMixed(t *testing.T)     { testScenarios(t, mixed) }

func testScenarios(t *testing.T, rows []scenario) {
	t.Helper()
	if underRace && *rowPattern == "" {
		rows = rows[:1]
	}
	pattern := regexp.MustCompile(*rowPattern)
	lines := make([]string, len(rows)*len(replicaCounts))
	t.Run("rows", func(t *testing.T) {
		for i := range rows {
			s := &rows[i]
			if !pattern.MatchString(s.name) || s.dear && !*full {
				continue
			}
			for j, replicas := range replicaCounts {
				t.Run(fmt.Sprintf("%s, %d replicas", s.name, replicas), func(t *testing.T) {
					t.Parallel()
					began := time.Now()
					line := s.test(t, j)
					lines[i*len(replicaCounts)+j] = fmt.Sprintf("%-40s %2d | %s | %.1fs", s.name, replicas, line, time.Since(began).Seconds())
				})
			}
		}
	})
	var table strings.Builder
	fmt.Fprintf(&table, "%-40s    | scheduled: %s | random: %s\n", "", heads, heads)
	for _, line := range lines {
		if line != "" {
			table.WriteString(line + "\n")
		}
	}
	t.Log("early minutes/minutes 16 to 20\n" + table.String())
}

// test does a row for a number of replicas, judges it, and returns what there is to
// print of it.
func (s *scenario) test(t *testing.T, index int) string {
	t.Helper()
	n, replicas := cmp.Or(*seeds, s.fewSeedsOf()), replicaCounts[index]
	scheduled := mean(s.do(t, "scheduled", replicas, n))
	line, random := scheduled.cells(), outcome{}
	if *seeds > 0 || s.asRandom || s.likeAll {
		random = mean(s.do(t, "random", replicas, n))
		line += " | " + random.cells()
	}
	missed := ""
	over := func(what, when string, got, most float64) {
		if most > 0 && got > most {
			missed += fmt.Sprintf("\n    missed: %s is %.3f in %s, want %.3f at most", what, got, when, most)
			if *seeds == 0 {
				t.Errorf("%s is %.3f in %s, want %.3f at most", what, got, when, most)
			}
		}
	}
	stretches := func(what string, of func(figures) float64, early, late float64) {
		over(what, "the first minutes", of(scheduled.early), early)
		over(what, "minutes 16 to 20", of(scheduled.late), late)
	}
	herd := func(f figures) float64 { return f.herd }
	stretches("the herd by the calendar", herd, s.herd[index], s.herd[index])
	stretches("the herd by any offset", func(f figures) float64 { return f.offset }, s.offset[index], s.offset[index])
	// A few minutes of independent clients have a dispersion of up to 1.2, by chance.
	over("the dispersion of all", "all minutes", scheduled.whole.all, s.all[index])
	if s.asRandom {
		stretches("the herd by the calendar", herd, random.early.herd+slack, random.late.herd+slack)
	}
	if s.asRandom || s.likeAll {
		over("the dispersion of all", "all minutes", scheduled.whole.all, max(random.whole.all+slack, noise))
	}
	if s.asFloor > 0 {
		peak := func(f figures) float64 { return f.peak }
		like := s.atFloorToo()
		floor := mean(like.do(t, "scheduled", replicas, n))
		stretches("the busiest second", peak, s.asFloor*floor.early.peak, s.asFloor*floor.late.peak)
		line += fmt.Sprintf(" | busiest second %s, with the source at the floor %s", scheduled.pair(peak), floor.pair(peak))
	}
	if s.asBare > 0 {
		rate := func(f figures) float64 { return f.rate }
		bare := mean(s.do(t, none, replicas, n))
		stretches("the queries a second", rate, s.asBare*bare.early.rate, s.asBare*bare.late.rate)
		line += fmt.Sprintf(" | queries a second %s, without ttlfloor %s", scheduled.pair(rate), bare.pair(rate))
	}
	if *seeds > 0 {
		line += missed
	}
	return line
}

const (
	// noise is the most that the dispersion of independent clients is by chance.
	noise = 1.15
	// slack is what scheduled may be above random by in a few seeds. TestNeverWorse
	// allows for less.
	slack = 0.1
)

// TestNeverWorse holds scheduled against random in pairs of runs with the same seed: it is
// not above by more than two standard errors, in any scenario but one, with 100 proxies either. All
// of them take an hour and need -storm; without it there are two, with one replica.
func TestNeverWorse(t *testing.T) {
	pattern, counts := regexp.MustCompile(*rowPattern), replicaCounts[:]
	if !*full && *rowPattern == "" {
		pattern, counts = regexp.MustCompile("^(alone|floor 20)(, 100 proxies)?$"), counts[:1]
		if underRace {
			pattern = regexp.MustCompile("^alone, 100 proxies$")
		}
	}
	for _, rows := range [][]scenario{phases, countdown, mixed} {
		for _, s := range rows {
			if s.dear {
				continue
			}
			small := s
			small.name += ", 100 proxies"
			small.change = func(r *Run) {
				if s.change != nil {
					s.change(r)
				}
				r.Clients = 100
			}
			for _, s := range []scenario{s, small} {
				for _, replicas := range counts {
					if pattern.MatchString(s.name) {
						t.Run(fmt.Sprintf("%s, %d replicas", s.name, replicas), func(t *testing.T) {
							t.Parallel()
							s.neverWorse(t, replicas)
						})
					}
				}
			}
		}
	}
}

// neverWorse looks at ten pairs, and where scheduled is above in a figure, at forty others
// of that figure: of the 1,500 that all rows have, one in forty is above two
// standard errors by chance, where both do the same.
func (s *scenario) neverWorse(t *testing.T, replicas int) {
	t.Helper()
	const pairs = 10
	n := cmp.Or(*seeds, pairs)
	first := s.worse(t, replicas, 0, n)
	if len(first) == 0 {
		return
	}
	for key, how := range s.worse(t, replicas, n, 5*n) {
		if before, ok := first[key]; ok {
			t.Errorf("%s; with other seeds %s", before, how)
		}
	}
}

// worse returns the figures in which scheduled is above random by more than two standard
// errors, over pairs with the seeds from and up to two.
func (s *scenario) worse(t *testing.T, replicas int, from, to uint64) map[string]string {
	t.Helper()
	out := map[string]string{}
	n := float64(to - from)
	var scheduled, random []outcome
	for seed := from; seed < to; seed++ {
		scheduled = append(scheduled, s.once(t, "scheduled", replicas, seed))
		random = append(random, s.once(t, "random", replicas, seed))
	}
	for _, what := range []struct {
		name  string
		of    func(figures) float64
		noise float64 // below it is well
	}{
		{"the herd by the calendar", func(f figures) float64 { return f.herd }, 0},
		{"the herd by any offset", func(f figures) float64 { return f.offset }, 0},
		{"the dispersion of all", func(f figures) float64 { return f.all }, noise},
	} {
		for late, when := range []string{"the first minutes", "minutes 16 to 20"} {
			var ours, theirs, sum, squares float64
			for i := range scheduled {
				a, b := scheduled[i].early, random[i].early
				if late == 1 {
					a, b = scheduled[i].late, random[i].late
				}
				d := what.of(a) - what.of(b)
				ours, theirs, sum, squares = ours+what.of(a)/n, theirs+what.of(b)/n, sum+d, squares+d*d
			}
			diff := sum / n
			e := math.Sqrt(max(0, squares/n-diff*diff) / (n - 1))
			if diff > 2*e && ours > what.noise && ours > (1+s.over)*theirs {
				key := what.name + " in " + when
				out[key] = fmt.Sprintf("%s is %.3f, with random %.3f: %.3f more, with a standard error of %.3f", key, ours, theirs, diff, e)
			}
		}
	}
	return out
}
