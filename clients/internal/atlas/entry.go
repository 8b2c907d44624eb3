//go:build linux

package atlas

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ttlfloor/ttlfloor/clients/internal/program"
	"github.com/ttlfloor/ttlfloor/clients/internal/source"
)

// Entry is what the atlas says of a client.
type Entry struct {
	Client     string             `json:"client"`
	Title      string             `json:"title"`
	Note       string             `json:"note,omitempty"`
	Version    string             `json:"version"`
	Conclusion Conclusion         `json:"conclusion"`
	Rows       []Row              `json:"rows"` // of the first measurement
	Repeats    int                `json:"repeats"`
	Differs    []string           `json:"differs,omitempty"` // what the repeats do not agree in
	Fleets     map[string][]Fleet `json:"fleets,omitempty"`  // by treatment, of each repeat
	Error      string             `json:"error,omitempty"`
}

// NewEntry makes an entry of repeated measurements.
func NewEntry(p *program.Program, results []Result) Entry {
	e := Entry{Client: p.Name, Title: p.Title, Note: program.Notes[p.Name], Rows: []Row{}}
	for i := range results {
		r := &results[i]
		if len(r.Strays) > 0 {
			r.Error = fmt.Sprintf("it asks others than the server: %v", r.Strays)
		}
		if r.Error != "" {
			e.Error = r.Error
			continue
		}
		c := Conclude(r)
		if e.Repeats++; e.Repeats == 1 {
			e.Version, e.Conclusion, e.Rows = r.Version, c, r.Rows
			continue
		}
		e.Differs = append(e.Differs, differ(e.Conclusion, c)...)
	}
	slices.Sort(e.Differs)
	e.Differs = slices.Compact(e.Differs)
	return e
}

// AddFleets has measurements of a fleet, as many of each treatment, in place of those that
// there are.
func (e *Entry) AddFleets(fleets map[string][]Fleet) {
	const what = "as a fleet: "
	e.Fleets = fleets
	e.Differs = slices.DeleteFunc(e.Differs, func(d string) bool { return strings.HasPrefix(d, what) })
	if !e.measured() {
		return
	}
	whole := e.verdict()
	for i, f := range fleets["without"] {
		if v := e.fleetVerdict(f, fleets["with"][i]); v != whole {
			e.Differs = append(e.Differs, what+whole+" and "+v)
		}
	}
	e.Differs = slices.Compact(e.Differs)
}

// retried are the cases in which waits are those between attempts, and so hang on when a use
// gives up.
var retried = []string{source.Drop, source.Failure}

// Same compares with the entry of the same client.
func (e *Entry) Same(known []Entry) error {
	i := slices.IndexFunc(known, func(k Entry) bool { return k.Client == e.Client })
	switch {
	case e.Error != "":
		return errors.New(e.Error)
	case i < 0:
		return errors.New("the document does not have it")
	case known[i].Error != "":
		return fmt.Errorf("the document has no measurement of it: %s", known[i].Error)
	}
	if d := differ(known[i].Conclusion, e.Conclusion); len(d) > 0 {
		return fmt.Errorf("the document and this measurement differ in %s", strings.Join(d, "; "))
	}
	return nil
}

// slack is by how many seconds waits may differ since the machine is loaded.
const slack = 0.5

// differ lists what two conclusions do not agree in.
func differ(a, b Conclusion) (what []string) {
	for _, label := range slices.Sorted(maps.Keys(a.Waits)) {
		if !agree(a.Waits[label], b.Waits[label]) && !slices.Contains(retried, label) {
			what = append(what, fmt.Sprintf("%s: %s and %s", label, a.Waits[label], b.Waits[label]))
		}
	}
	for _, c := range []struct {
		what string
		a, b any
	}{
		{"asks by itself", a.Itself, b.Itself}, {"follows TTLs", a.Follows, b.Follows}, {"asks over TCP", a.TCP, b.TCP},
		{"ceiling", a.Ceiling, b.Ceiling},
	} {
		if c.a != c.b {
			what = append(what, fmt.Sprintf("%s: %v and %v", c.what, c.a, c.b))
		}
	}
	if d := math.Abs(a.Jitter - b.Jitter); d > max(slack, a.Jitter/2, b.Jitter/2) {
		what = append(what, fmt.Sprintf("jitter: %.1f and %.1f s", a.Jitter, b.Jitter))
	}
	if d := a.Floor - b.Floor; d < -1 || d > 1 { // where it counts in whole seconds
		what = append(what, fmt.Sprintf("floor: %d and %d", a.Floor, b.Floor))
	}
	return what
}

// agree tells whether two waits are the same but for a tenth, as a client may look at its
// clock at times of its own, and one of which was seen once may be irregular.
func agree(a, b string) bool {
	if a, b = max(a, b), min(a, b); a == irregular && b == once {
		return true
	}
	var x, y float64
	var unitX, unitY string
	_, errX := fmt.Sscanf(a, "%g %s", &x, &unitX)
	_, errY := fmt.Sscanf(b, "%g %s", &y, &unitY)
	if errX != nil || errY != nil {
		return a == b
	}
	return unitX == unitY && math.Abs(x-y) <= max(x, y)/10
}

// Fail notes why there is no result.
func (r *Result) Fail(why string) { r.Error = why }

// Fail notes why there is no fleet.
func (f *Fleet) Fail(why string) { f.Error = why }

// Missing lists what could not be measured, with the reason.
func (e *Entry) Missing() (errs []error) {
	if e.Error != "" {
		errs = append(errs, fmt.Errorf("%s: %s", e.Client, e.Error))
	}
	for _, treatment := range slices.Sorted(maps.Keys(e.Fleets)) {
		for _, f := range e.Fleets[treatment] {
			if f.Error != "" {
				errs = append(errs, fmt.Errorf("%s, a fleet %s ttlfloor: %s", e.Client, treatment, f.Error))
			}
		}
	}
	return errs
}

// Write writes entries as clients.json and clients.md of a directory. Those of other
// clients that are there stay.
func Write(dir string, entries []Entry) error {
	path := filepath.Join(dir, "clients.json")
	old, err := Read(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		i := slices.IndexFunc(old, func(o Entry) bool { return o.Client == e.Client })
		if i < 0 {
			old = append(old, e)
			continue
		}
		if e.Fleets == nil && e.Error == "" && e.Version == old[i].Version {
			e.Fleets = old[i].Fleets
		}
		old[i] = e
	}
	place := map[string]int{}
	for i, p := range program.All {
		place[p.Name] = i
	}
	for i := range old {
		old[i].Note = program.Notes[old[i].Client]
		if old[i].Error == "" {
			old[i].Conclusion = Conclude(&Result{Rows: old[i].Rows})
			old[i].AddFleets(old[i].Fleets)
		}
		if found, err := program.ByName(old[i].Client); err == nil {
			old[i].Title = found[0].Title
		}
	}
	slices.SortFunc(old, func(a, b Entry) int { return place[a.Client] - place[b.Client] })
	b, err := json.MarshalIndent(old, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil { // #nosec G306 -- a document
		return err
	}
	md, err := os.Create(filepath.Join(dir, "clients.md")) // #nosec G304 -- named by the user
	if err != nil {
		return err
	}
	defer func() { _ = md.Close() }()
	return Document(md, old)
}

// Read reads clients.json, which need not be there.
func Read(path string) (entries []Entry, err error) {
	b, err := os.ReadFile(path) // #nosec G304 -- named by the user
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &entries)
	}
	return entries, err
}
