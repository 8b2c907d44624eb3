package monitoring

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// A server is a real Prometheus.
type server struct {
	*process
	url string
}

// startPrometheus starts a Prometheus that has the rules, and scrapes and evaluates
// every second.
func startPrometheus(t *testing.T, target string) *server {
	t.Helper()
	path := tool(t, "prometheus", "prometheus")
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	dir, addr := t.TempDir(), freeAddr(t)
	config := fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
- job_name: coredns
  static_configs: [{targets: [%q]}]
`, rules, target)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{url: "http://" + addr}
	s.process = start(t, path, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--log.level=warn")
	eventually(t, patience, func() error {
		s.running(t)
		r, err := http.Get(s.url + "/-/ready")
		if err != nil {
			return err
		}
		defer func() { _ = r.Body.Close() }()
		if r.StatusCode != http.StatusOK {
			return errors.New("Prometheus is not ready: " + r.Status)
		}
		return nil
	})
	return s
}

// get asks the API.
func (s *server) get(path string, args url.Values, data any) error {
	r, err := http.Get(s.url + "/api/v1/" + path + "?" + args.Encode())
	if err != nil {
		return err
	}
	defer func() { _ = r.Body.Close() }()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return errors.New(answer.Error)
	}
	return json.Unmarshal(answer.Data, data)
}

// sample is one of an instant vector.
type sample struct {
	Metric map[string]string
	Value  [2]any
}

// number returns the value.
func (s sample) number() float64 {
	text, ok := s.Value[1].(string)
	f, err := strconv.ParseFloat(text, 64)
	if !ok || err != nil {
		return math.NaN()
	}
	return f
}

// query evaluates an expression now.
func (s *server) query(expr string) ([]sample, error) {
	var data struct {
		ResultType string
		Result     []sample
	}
	if err := s.get("query", url.Values{"query": {expr}}, &data); err != nil {
		return nil, fmt.Errorf("%w, in %s", err, expr)
	}
	if data.ResultType != "vector" {
		return nil, fmt.Errorf("a %s is not a vector, of %s", data.ResultType, expr)
	}
	return data.Result, nil
}

// data is an error unless an expression has a value that is a number.
func (s *server) data(expr string) error {
	samples, err := s.query(expr)
	if err != nil {
		return err
	}
	for _, v := range samples {
		if !math.IsNaN(v.number()) {
			return nil
		}
	}
	return fmt.Errorf("%d values and no number, of %s", len(samples), expr)
}

// labelValues returns the values of a label over the series that a selector has.
func (s *server) labelValues(selector, label string) (values []string, err error) {
	err = s.get("label/"+label+"/values", url.Values{"match[]": {selector}}, &values)
	return values, err
}

// rule is what Prometheus says of one that it has loaded.
type rule struct {
	Name, Query, Type, Health, LastError string
}

func (s *server) rules(t *testing.T) (out []rule) {
	t.Helper()
	var data struct {
		Groups []struct{ Rules []rule }
	}
	if err := s.get("rules", nil, &data); err != nil {
		t.Fatal(err)
	}
	for _, g := range data.Groups {
		out = append(out, g.Rules...)
	}
	return out
}

// alerts returns the alerts that are pending or firing, each as its name and the
// labels that tell it from others of the name.
func (s *server) alerts(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for alert := range s.descriptions(t) {
		out[alert] = true
	}
	return out
}

// descriptions returns what the alerts say, by the same names.
func (s *server) descriptions(t *testing.T) map[string]string {
	t.Helper()
	var data struct {
		Alerts []struct{ Labels, Annotations map[string]string }
	}
	if err := s.get("alerts", nil, &data); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, a := range data.Alerts {
		out[fmt.Sprintf("%s zone=%s path=%s", a.Labels["alertname"], a.Labels["zone"], a.Labels["path"])] = a.Annotations["description"]
	}
	return out
}
