package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/lab"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

// TestScenes has both scenes in virtual time, alone and beside others. Each tells what it
// is for, and both take two minutes at most.
func TestScenes(t *testing.T) {
	o := newLoad(0)
	var all time.Duration
	for _, tt := range []struct {
		scene  scene
		others int
		want   []string // of each treatment
	}{
		{theStorm, 0, []string{"(storm)", "(no storm)", "(no storm)"}},
		{theHerd, 0, []string{"(herd)", "(uneven)", "(spread)"}},
		{theHerd, 400, []string{"(herd)", "(uneven)", "(spread)"}},
	} {
		treatments, err := chooseTreatments(tt.scene.treatments, tt.scene.floor)
		if err != nil {
			t.Fatal(err)
		}
		if o.others = tt.others; tt.others == 0 {
			all += tt.scene.length
			if !tt.scene.atOnce(&o, len(treatments)) {
				all += tt.scene.length * time.Duration(len(treatments)-1)
			}
		}
		o.length = tt.scene.length
		model, err := o.check()
		if err != nil {
			t.Fatal(err)
		}
		var queries []int
		for i, treatment := range treatments {
			run := lab.Run{
				Clients: o.clients, Names: []string{linkerd[0].name, linkerd[1].name}, Model: model, Start: o.start, Length: o.length,
				Treatment: treatment, Source: &storm.Source{TTL: uint32(tt.scene.ttl)}, RoundTrip: 25 * time.Millisecond, // #nosec G115 -- small
			}
			if tt.others > 0 {
				run.Others = []lab.Others{{Rate: float64(tt.others)}}
			}
			var res lab.Result
			synctest.Test(t, func(*testing.T) { res, err = lab.Do(run) })
			if err != nil {
				t.Fatal(err)
			}
			res.Run = &storm.Params{Compare: &storm.Comparison{Scene: tt.scene.title, TTL: run.Source.TTL}}
			var text bytes.Buffer
			if err := storm.Text(&text, []storm.Report{res.Report}); err != nil || !strings.Contains(text.String(), tt.want[i]) {
				t.Errorf("%s, beside %d: %v, want %s in\n%s", treatment.Name, tt.others, err, tt.want[i], &text)
			}
			if scheduled := i == len(treatments)-1; scheduled && tt.scene.ttl > 0 && res.Last.SecondRatio > 1.15 {
				t.Errorf("beside %d the busiest second is %.2f times the mean at the end", tt.others, res.Last.SecondRatio)
			}
			queries = append(queries, res.Queries)
		}
		if tt.scene.ttl == 0 && queries[0] < 100*queries[len(queries)-1] {
			t.Errorf("%d queries in the storm are less than a hundred times those of each treatment", queries)
		}
	}
	if all > 2*time.Minute-time.Second {
		t.Errorf("both scenes take %v", all)
	}
}

// TestAtOnce has treatments take their turns where they would be in each other's way.
func TestAtOnce(t *testing.T) {
	for _, tt := range []struct {
		ttl, clients, others, treatments int
		want                             bool
	}{
		{6, 100, 0, 3, true}, {6, 100, 400, 3, true}, {6, 333, 0, 3, true}, {6, 334, 0, 3, false}, {6, 100, 700, 3, false},
		{1, 100, 0, 3, false}, {0, 1, 0, 2, false}, {6, 1000, 0, 1, true},
	} {
		o := newLoad(time.Minute)
		o.clients, o.others = tt.clients, tt.others
		if got := (&scene{ttl: tt.ttl}).atOnce(&o, tt.treatments); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

// TestCompare plays both scenes over sockets, cut short, into every file.
func TestCompare(t *testing.T) {
	defer func(storm, herd time.Duration) { theStorm.length, theHerd.length = storm, herd }(theStorm.length, theHerd.length)
	theStorm.length, theHerd.length = 2*time.Second, 3*time.Second
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	var stdout bytes.Buffer
	err := run(t.Context(), []string{"compare", "-clients", "4", "-json", file("json"), "-png", file("png"), "-svg", file("svg"), "-html", file("html")}, &stdout, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var reports []storm.Report
	text, _ := os.ReadFile(file("json"))
	if err := json.Unmarshal(text, &reports); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range reports {
		got = append(got, r.Run.Compare.Scene+" "+r.Name)
		if r.Queries < 8 || r.Latency.N == 0 || r.Run.Compare.Floor != 6 || r.Run.Clients != 4 {
			t.Errorf("%+v of %+v", r, r.Run)
		}
	}
	want := []string{
		theStorm.title + " nothing", theStorm.title + " cache 30", theStorm.title + " ttlfloor, scheduled",
		theHerd.title + " cache 30", theHerd.title + " ttlfloor, random", theHerd.title + " ttlfloor, scheduled",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q, want %q", got, want)
	}
	for name, head := range map[string]string{"png": "\x89PNG", "svg": "<?xml", "html": "<!DOCTYPE html>"} {
		text, err := os.ReadFile(file(name))
		if err != nil || !bytes.HasPrefix(text, []byte(head)) || name != "png" && strings.Count(string(text), ">"+theHerd.title+"<") != 1 {
			t.Errorf("%s: %v, %.40q", name, err, text)
		}
	}
	if strings.Count(stdout.String(), theStorm.title) != 1 || strings.Count(stdout.String(), "\nqueries") != 2 {
		t.Errorf("standard output has\n%s", &stdout)
	}
}
