//go:build kyverno

package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/ttlfloor/ttlfloor/e2e/internal/process"
)

// TestKyverno has Kyverno's admission controller change pods by the policy in its words. To
// build it takes minutes, so this one is run by hand:
//
//	make kyverno
func TestKyverno(t *testing.T) {
	const namespace = "kyverno"
	crds, err := filepath.Glob("../bin/kyverno/crds/*")
	if err != nil || len(crds) == 0 {
		t.Fatalf("no custom resources in ../bin/kyverno/crds (%v)", err)
	}
	for _, dir := range crds {
		mustKubectl(t, "", "create", "-f", dir)
	}
	mustKubectl(t, kyverno, "apply", "-f", "-")
	port := freePort()
	p, err := process.Start("kyverno", "../bin/kyverno/kyverno", []string{
		"KYVERNO_NAMESPACE=" + namespace, "KYVERNO_DEPLOYMENT=kyverno-admission-controller", "KYVERNO_POD_NAME=kyverno-0",
		"KYVERNO_SERVICEACCOUNT_NAME=kyverno-admission-controller", "INIT_CONFIG=kyverno", "METRICS_CONFIG=kyverno-metrics",
	},
		"--kubeconfig="+plane.kubeconfig, "--serverIP="+local(port), "--webhookServerHost=127.0.0.1", fmt.Sprintf("--webhookServerPort=%d", port),
		"--caSecretName=ca", "--tlsSecretName=tls", "--disableMetrics=true", "--controllerRuntimeMetricsAddress=0", "--admissionReports=false",
		"--leaderElectionRetryPeriod=1s", "-v=2")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the end of what Kyverno wrote:\n%s", p.Output.Lines(40))
		}
	})
	eventually(t, time.Minute, func() error { // until it knows its certificate
		if p.Exited() {
			t.Fatalf("Kyverno has exited:\n%s", p.Output.Lines(40))
		}
		return apply(standalone + "/kyverno")
	})
	checkPolicy(t, standalone+"/kyverno")

	dns := func() string { return admitted(t, "", wanted, "").dns }
	if err := apply(standalone + "/kyverno"); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, func() error {
		if got := dns(); got == "ClusterFirst" {
			return fmt.Errorf("a pod that wants it is as it was")
		}
		return nil
	})
	p.Kill()
	if got := dns(); got != "ClusterFirst" {
		t.Errorf("without Kyverno the DNS of a pod is %s", got)
	}
}

// kyverno is what Kyverno's chart makes, as far as its admission controller looks for it.
const kyverno = `
apiVersion: v1
kind: Namespace
metadata: {name: kyverno}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kyverno, namespace: kyverno}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kyverno-metrics, namespace: kyverno}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: kyverno-admission-controller, namespace: kyverno}
spec:
  selector: {matchLabels: {app: kyverno}}
  template:
    metadata: {labels: {app: kyverno}}
    spec: {containers: [{name: kyverno, image: none}]}
`
