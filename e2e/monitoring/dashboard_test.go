package monitoring

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/heatmap"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

const dashboardFile = "../../deploy/monitoring/dashboard.json"

func init() {
	r := cog.NewRuntime()
	r.RegisterPanelcfgVariant(heatmap.VariantConfig())
	r.RegisterPanelcfgVariant(stat.VariantConfig())
	r.RegisterPanelcfgVariant(table.VariantConfig())
	r.RegisterPanelcfgVariant(timeseries.VariantConfig())
	r.RegisterDataqueryVariant(prometheus.VariantConfig())
}

// readDashboard returns the dashboard, decoded by Grafana's schema: an unknown
// field, a missing one and a wrong type are errors.
func readDashboard(t *testing.T) *dashboard.Dashboard {
	t.Helper()
	b, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	d, err := decodeDashboard(b)
	if err != nil {
		t.Fatalf("not a dashboard by the schema:\n%v", err)
	}
	return d
}

func decodeDashboard(b []byte) (*dashboard.Dashboard, error) {
	if err := found(new(dashboard.Dashboard).UnmarshalJSONStrict(b)); err != nil {
		return nil, err
	}
	// Of a panel's field config only the part that is the panel's own was looked at.
	var raw struct {
		Panels []struct{ FieldConfig json.RawMessage }
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, err
	}
	for _, p := range raw.Panels {
		if p.FieldConfig == nil {
			continue
		}
		if err := found(new(dashboard.FieldConfigSource).UnmarshalJSONStrict(p.FieldConfig)); err != nil {
			return nil, err
		}
	}
	d := new(dashboard.Dashboard) // the strict decoder leaves out queries and options that are in order
	if err := json.Unmarshal(b, d); err != nil {
		return nil, err
	}
	return d, d.Validate()
}

// found is what a strict decoder has found, or nil: it returns an empty list of
// errors, which is not nil, for what is in order.
func found(err error) error {
	var errs cog.BuildErrors
	if errors.As(err, &errs) && len(errs) == 0 {
		return nil
	}
	return err
}

// TestDashboardSchema decodes the dashboard strictly, and shows on copies with one
// mistake each that this finds mistakes at every depth.
func TestDashboardSchema(t *testing.T) {
	readDashboard(t)
	b, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, old, new string }{
		{"an unknown field of the dashboard", `"title": "CoreDNS ttlfloor"`, `"titel": "CoreDNS ttlfloor"`},
		{"an unknown field of a panel", `"gridPos": {`, `"gridpos": {`},
		{"an unknown field of a query", `"expr": "sum`, `"query": "sum`},
		{"an unknown option of a panel", `"showLegend": true`, `"show_legend": true`},
		{"an unknown field of a panel's style", `"drawStyle": "line"`, `"style": "line"`},
		{"an unknown field of a panel's values", `"unit": "s"`, `"units": "s"`},
		{"a missing option", `"colorMode": "value",`, ``},
		{"a wrong type", `"graphTooltip": 1`, `"graphTooltip": "1"`},
		{"a panel that is too wide", `"w": 12`, `"w": 25`},
	} {
		if !strings.Contains(string(b), tt.old) {
			t.Fatalf("%s: the dashboard has no %s", tt.name, tt.old)
		}
		if _, err := decodeDashboard([]byte(strings.Replace(string(b), tt.old, tt.new, 1))); err == nil {
			t.Errorf("%s is not found", tt.name)
		}
	}
}

// TestDashboardPanels holds the panels to what the schema does not ask for.
func TestDashboardPanels(t *testing.T) {
	type cell struct{ x, y uint32 }
	taken := map[cell]string{}
	ids := map[uint32]bool{}
	titles := map[string]bool{}
	unique := func(id *uint32, title *string, pos *dashboard.GridPos) string {
		if id == nil || title == nil || *title == "" || pos == nil {
			t.Fatal("a panel has no id, no title or no place")
		}
		if ids[*id] || titles[*title] {
			t.Errorf("%s: another panel has its id or title", *title)
		}
		ids[*id], titles[*title] = true, true
		for x := pos.X; x < pos.X+pos.W; x++ {
			for y := pos.Y; y < pos.Y+pos.H; y++ {
				if other := taken[cell{x, y}]; other != "" {
					t.Fatalf("%s lies over %s", *title, other)
				}
				taken[cell{x, y}] = *title
			}
		}
		if pos.X+pos.W > 24 {
			t.Errorf("%s ends right of the 24th column", *title)
		}
		return *title
	}
	rows := 0
	d := readDashboard(t)
	var would []uint8 // panels over time that show what would have been, where a rule only observes
	for _, p := range d.Panels {
		if p.RowPanel != nil {
			rows++
			unique(&p.RowPanel.Id, p.RowPanel.Title, p.RowPanel.GridPos)
			continue
		}
		panel := p.Panel
		title := unique(panel.Id, panel.Title, panel.GridPos)
		if _, known := cog.ConfigForPanelcfgVariant(panel.Type); !known {
			t.Errorf("%s: the schema of %s is not looked at", title, panel.Type)
		}
		if d := panel.Description; d == nil || !strings.HasSuffix(*d, ".") || len(*d) < 40 {
			t.Errorf("%s: no description that says what is good and bad", title)
		}
		if panel.Type != "heatmap" && (panel.FieldConfig == nil || panel.FieldConfig.Defaults.Unit == nil) {
			t.Errorf("%s: no unit", title)
		}
		if panel.Datasource == nil || panel.Datasource.Uid == nil || *panel.Datasource.Uid != "${datasource}" {
			t.Errorf("%s: its data source is not the variable", title)
		}
		if len(panel.Targets) == 0 {
			t.Errorf("%s: no query", title)
		}
		if slices.ContainsFunc(panel.Targets, shows) {
			if !strings.Contains(*panel.Description, "only observe") {
				t.Errorf("%s: its description does not say what it shows where a rule only observes", title)
			}
			if panel.Type != "stat" {
				would = append(would, uint8(*panel.Id)) // #nosec G115 -- few panels
			}
		}
	}
	var marked []uint8
	for _, a := range d.Annotations.List {
		if a.Filter != nil {
			marked = append(marked, a.Filter.Ids...)
		}
	}
	if !slices.Equal(marked, would) {
		t.Errorf("panels %v are marked where a rule only observes, want %v", marked, would)
	}
	if rows != 4 {
		t.Errorf("%d rows, want 4", rows)
	}
}

// shows tells whether a query is of what a rule decided, which is not what went out
// where it only observes.
func shows(target variants.Dataquery) bool {
	q, ok := target.(*prometheus.Dataquery)
	return ok && (strings.Contains(q.Expr, "served_ttl") || strings.Contains(q.Expr, "outcome"))
}

// query is a query of the dashboard, with variables in it.
type query struct {
	where  string // the panel's title
	expr   string
	legend []string // labels that the legend names
}

var legendLabel = regexp.MustCompile(`{{(\w+)}}`)

// queries returns the queries of all panels.
func queries(t *testing.T, d *dashboard.Dashboard) (out []query) {
	t.Helper()
	for _, p := range d.Panels {
		if p.Panel == nil {
			continue
		}
		for _, target := range p.Panel.Targets {
			q, ok := target.(*prometheus.Dataquery)
			if !ok {
				t.Fatalf("%s: a %T is no query for Prometheus", *p.Panel.Title, target)
			}
			if q.LegendFormat == nil {
				t.Fatalf("%s: no legend for %s", *p.Panel.Title, q.Expr)
			}
			entry := query{where: *p.Panel.Title, expr: q.Expr}
			for _, m := range legendLabel.FindAllStringSubmatch(*q.LegendFormat, -1) {
				entry.legend = append(entry.legend, m[1])
			}
			out = append(out, entry)
		}
	}
	return out
}

// variables returns the queries behind the dashboard's variables, by name.
func variables(t *testing.T, d *dashboard.Dashboard) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, v := range d.Templating.List {
		if v.Type == dashboard.VariableTypeQuery {
			q, ok := v.Query.Map["query"].(string)
			if !ok || v.AllValue == nil || *v.AllValue != ".+" {
				t.Fatalf("variable %s: want a query, and .+ for all", v.Name)
			}
			out[v.Name] = q
		}
	}
	return out
}

// interpolate puts values in the place of variables, as Grafana does, and a
// range that has enough samples of a scrape every second.
func interpolate(t *testing.T, expr string, values map[string]string) string {
	t.Helper()
	pairs := []string{"$__rate_interval", "20s"}
	for name, value := range values {
		pairs = append(pairs, "$"+name, value)
	}
	expr = strings.NewReplacer(pairs...).Replace(expr)
	if strings.Contains(expr, "$") {
		t.Fatalf("a variable is left in %s", expr)
	}
	return expr
}
