package monitoring

import (
	"flag"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

const (
	rulesFile     = "../../deploy/monitoring/rules.yaml"
	rulesTestFile = "../../deploy/monitoring/rules_test.yaml"
	operatorFile  = "../../deploy/monitoring/prometheusrule.yaml"
	runbooksFile  = "../../docs/runbooks.md"
	sizingFile    = "../../docs/operations.md"
	runbooksURL   = "https://github.com/ttlfloor/ttlfloor/blob/main/docs/runbooks.md"
)

var update = flag.Bool("update", false, "write prometheusrule.yaml")

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// readRules returns the groups of the plain file. Those of the operator have the
// same form.
func readRules(t *testing.T) []monitoringv1.RuleGroup {
	t.Helper()
	var spec monitoringv1.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict([]byte(read(t, rulesFile)), &spec); err != nil {
		t.Fatal(err)
	}
	return spec.Groups
}

// TestRules has promtool check the rules, and run them against made-up series.
func TestRules(t *testing.T) {
	promtool := tool(t, "promtool", "prometheus")
	for _, args := range [][]string{
		{"check", "rules", "--lint=all", "--lint-fatal", rulesFile},
		{"test", "rules", rulesTestFile},
	} {
		out, err := exec.Command(promtool, args...).CombinedOutput()
		if err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestRulesForm holds the rules to what promtool does not ask for.
func TestRulesForm(t *testing.T) {
	recorded := regexp.MustCompile(`^(zone|server|instance):coredns_[a-z_]+:(rate|ratio_rate|max|last)5m$`)
	runbooks := read(t, runbooksFile)
	var cases struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string `json:"alertname"`
				ExpAlerts []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal([]byte(read(t, rulesTestFile)), &cases); err != nil {
		t.Fatal(err)
	}
	fires := map[string]bool{}
	for _, c := range cases.Tests {
		for _, a := range c.AlertRuleTest {
			fires[a.Alertname] = fires[a.Alertname] || len(a.ExpAlerts) > 0
		}
	}

	alerts := map[string]bool{}
	acts, observes := map[string]bool{}, map[string]bool{} // what is said of rules that act, and of those that do not
	for _, g := range readRules(t) {
		for _, r := range g.Rules {
			if r.Record != "" {
				if !recorded.MatchString(r.Record) {
					t.Errorf("%s is not named level:metric:operations", r.Record)
				}
				continue
			}
			alerts[r.Alert] = true
			if expr, found := strings.CutSuffix(r.Expr.String(), " unless zone:coredns_ttlfloor_observing:last5m == 1"); found {
				acts[r.Alert+": "+expr] = true
			}
			if expr, found := strings.CutSuffix(r.Expr.String(), " and zone:coredns_ttlfloor_observing:last5m == 1"); found {
				observes[r.Alert+": "+expr] = true
			}
			if r.For == nil || r.Labels["severity"] != "critical" && r.Labels["severity"] != "warning" {
				t.Errorf("%s: want a time that it waits, and a severity, critical or warning", r.Alert)
			}
			if r.Annotations["summary"] == "" || !strings.Contains(r.Annotations["description"], "{{") {
				t.Errorf("%s: want a summary, and a description with values", r.Alert)
			}
			if want := runbooksURL + "#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
				t.Errorf("%s: its runbook is %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
			}
			if strings.Count(runbooks, "\n## "+r.Alert+"\n") != 1 {
				t.Errorf("%s: no runbook", r.Alert)
			}
			if !fires[r.Alert] {
				t.Errorf("%s: fires in no case of %s", r.Alert, rulesTestFile)
			}
		}
	}
	if len(alerts) != 4 {
		t.Errorf("%d alerts, want 4", len(alerts))
	}
	if len(observes) != 2 {
		t.Errorf("%d alerts of rules that only observe, want 2", len(observes))
	}
	for expr := range observes {
		if !acts[expr] {
			t.Errorf("no alert says the same of rules that act: %s", expr)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^## (TTLFloor\w*)$`).FindAllStringSubmatch(runbooks, -1) {
		if !alerts[m[1]] {
			t.Errorf("there is a runbook for %s and no alert", m[1])
		}
	}
}

const operatorHead = `# The rules of rules.yaml for the Prometheus operator. Generated; do not edit, but run
#
#   go test -C e2e/monitoring -run TestPrometheusRule -update
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: coredns-ttlfloor
  namespace: kube-system
  labels:
    # The operator takes the rules that the ruleSelector of your Prometheus selects:
    # add the label that it names, with the kube-prometheus-stack chart "release".
    app.kubernetes.io/name: coredns-ttlfloor
spec:
`

// TestPrometheusRule has prometheusrule.yaml say what rules.yaml says, and holds it
// to the operator's form.
func TestPrometheusRule(t *testing.T) {
	_, groups, ok := strings.Cut(read(t, rulesFile), "\ngroups:\n")
	if !ok {
		t.Fatal("no groups")
	}
	var want strings.Builder
	want.WriteString(operatorHead)
	for line := range strings.Lines("groups:\n" + groups) {
		if line != "\n" {
			want.WriteString("  ")
		}
		want.WriteString(line)
	}
	if *update {
		if err := os.WriteFile(operatorFile, []byte(want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := read(t, operatorFile)
	if got != want.String() {
		t.Errorf("%s is stale: go test -C e2e/monitoring -run TestPrometheusRule -update", operatorFile)
	}
	var rule monitoringv1.PrometheusRule
	if err := yaml.UnmarshalStrict([]byte(got), &rule); err != nil {
		t.Fatal(err)
	}
	if rule.Kind != monitoringv1.PrometheusRuleKind || rule.APIVersion != monitoringv1.SchemeGroupVersion.String() {
		t.Errorf("it is a %s of %s", rule.Kind, rule.APIVersion)
	}
	if !reflect.DeepEqual(rule.Spec.Groups, readRules(t)) {
		t.Error("its groups are not those of rules.yaml")
	}
}
