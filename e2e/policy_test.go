package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// TestPolicy has the API server change pods by the policy of deploy/standalone: those that
// want it, and no others.
func TestPolicy(t *testing.T) { checkPolicy(t, standalone) }

// checkPolicy applies a kustomization with a policy, and has pods admitted.
func checkPolicy(t *testing.T, kustomization string) {
	t.Helper()
	if err := apply(kustomization); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		rendered := mustKubectl(t, "", "kustomize", kustomization)
		mustKubectl(t, rendered, "delete", "--wait=false", "--ignore-not-found", "-f", "-")
	})
	const ours = "10.96.0.53,10.96.0.10"
	const search = "NAMESPACE.svc.cluster.local,svc.cluster.local,cluster.local"
	as := func(servers string) string { return "None " + servers + " " + search + " ndots:5 timeout:2 attempts:3" }
	const same = "ClusterFirst"
	eventually(t, patience, func() error { // the API server takes a second to know a policy
		if got := admitted(t, "", wanted, ""); got.dns == same {
			return fmt.Errorf("a pod that wants it is as it was")
		}
		return nil
	})

	for _, tt := range []struct {
		name      string
		namespace string // metadata
		pod       string // metadata, and spec
		spec      string
		want      string
	}{
		{"linkerd, by namespace", `annotations: {linkerd.io/inject: enabled}`, ``, ``, as(ours)},
		{"linkerd, by pod", ``, `annotations: {linkerd.io/inject: enabled}`, ``, as(ours)},
		{"linkerd, ingress mode", ``, `annotations: {linkerd.io/inject: ingress}`, ``, as(ours)},
		{"linkerd, but not this pod", `annotations: {linkerd.io/inject: enabled}`, `annotations: {linkerd.io/inject: disabled}`, ``, same},
		{"istio, by namespace", `labels: {istio-injection: enabled}`, ``, ``, as(ours)},
		{"istio, by revision", `labels: {istio.io/rev: stable}`, ``, ``, as(ours)},
		{"istio, by pod", ``, `labels: {sidecar.istio.io/inject: "true"}`, ``, as(ours)},
		{"istio, but not this pod", `labels: {istio-injection: enabled}`, `labels: {sidecar.istio.io/inject: "false"}`, ``, same},
		{"istio, but not this pod, by annotation", `labels: {istio-injection: enabled}`, `annotations: {sidecar.istio.io/inject: "false"}`, ``, same},
		{"istio, whose label goes before the annotation", ``, `labels: {sidecar.istio.io/inject: "true"}, annotations: {sidecar.istio.io/inject: "false"}`, ``, as(ours)},
		{"istio, by a revision of the pod", ``, `labels: {istio.io/rev: stable}`, ``, as(ours)},
		{"istio, but not this namespace", `labels: {istio-injection: disabled}`, `labels: {sidecar.istio.io/inject: "true"}`, ``, same},
		{"ours, by namespace", `labels: {ttlfloor.github.io/dns: enabled}`, ``, ``, as(ours)},
		{"ours, by pod", ``, `labels: {ttlfloor.github.io/dns: enabled}`, ``, as(ours)},
		{"ours forbids it to a pod of a mesh", `annotations: {linkerd.io/inject: enabled}`, `labels: {ttlfloor.github.io/dns: disabled}`, ``, same},
		{"ours forbids it to a namespace of a mesh", `annotations: {linkerd.io/inject: enabled}, labels: {ttlfloor.github.io/dns: disabled}`, ``, ``, same},
		{"the pod's word goes before that of its namespace", `labels: {ttlfloor.github.io/dns: disabled}`, `labels: {ttlfloor.github.io/dns: enabled}`, ``, as(ours)},
		{"nobody wants it", ``, ``, ``, same},
		{"a word that is none", ``, `labels: {ttlfloor.github.io/dns: "yes"}`, ``, same},

		{"dnsPolicy None", ``, wanted, `dnsPolicy: None, dnsConfig: {nameservers: [192.0.2.1]}`, "None 192.0.2.1  "},
		{"dnsPolicy Default", ``, wanted, `dnsPolicy: Default`, "Default"},
		{"dnsPolicy ClusterFirstWithHostNet", ``, wanted, `hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet`, "ClusterFirstWithHostNet"},
		{"hostNetwork", ``, wanted, `hostNetwork: true`, same},
		{"servers of its own", ``, wanted, `dnsConfig: {nameservers: [192.0.2.1]}`, "ClusterFirst 192.0.2.1  "},
		{"search domains of its own", ``, wanted, `dnsConfig: {searches: [example.org]}`, "ClusterFirst  example.org "},
		{"options of its own", ``, wanted, `dnsConfig: {options: [{name: ndots, value: "2"}, {name: edns0}]}`,
			"None " + ours + " " + search + " ndots:2 edns0 timeout:2 attempts:3"},
		{"a dnsConfig that is empty", ``, wanted, `dnsConfig: {}`, as(ours)},
		{"Windows, by system", ``, wanted, `os: {name: windows}`, same},
		{"Windows, by node", ``, wanted, `nodeSelector: {kubernetes.io/os: windows}`, same},
		{"Linux, by system", ``, wanted, `os: {name: linux}`, as(ours)},
		{"the mirror of a static pod", ``, wanted + `, annotations: {kubernetes.io/config.mirror: "1"}`, `nodeName: node`, same},
		{"an init container", ``, wanted, `initContainers: [{name: init, image: none}]`, as(ours)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := admitted(t, tt.namespace, tt.pod, tt.spec)
			if want := strings.ReplaceAll(tt.want, "NAMESPACE", got.namespace); got.dns != want {
				t.Errorf("its DNS is\n%s\nwant\n%s", got.dns, want)
			}
		})
	}

	t.Run("a cluster with other settings", func(t *testing.T) {
		mustKubectl(t, "", "--namespace=ttlfloor", "patch", "configmap", "ttlfloor-dns-settings", "--type=merge", "-p",
			`{"data": {"clusterDomain": "example.internal", "clusterDNS": "169.254.20.10", "server": "fd00:10:96::35", "searches": "a.example,b.example", "options": "ndots:2,edns0"}}`)
		want := "None fd00:10:96::35,169.254.20.10 NAMESPACE.svc.example.internal,svc.example.internal,example.internal,a.example,b.example ndots:2 edns0"
		eventually(t, patience, func() error {
			if got := admitted(t, "", wanted, ""); got.dns != strings.ReplaceAll(want, "NAMESPACE", got.namespace) {
				return fmt.Errorf("its DNS is\n%s\nwant\n%s", got.dns, want)
			}
			return nil
		})
	})
	settings := func(t *testing.T, change string) {
		t.Helper()
		mustKubectl(t, "", "--namespace=ttlfloor", "patch", "configmap", "ttlfloor-dns-settings", "--type=merge", "-p", `{"data": {`+change+`}}`)
	}
	right := `"clusterDomain": "cluster.local", "clusterDNS": "10.96.0.10", "server": "10.96.0.53", "searches": "", "options": "ndots:5,timeout:2,attempts:3", "fallback": "yes"`
	becomes := func(t *testing.T, want string) {
		t.Helper()
		eventually(t, patience, func() error {
			if got := admitted(t, "", wanted, ""); got.dns != strings.ReplaceAll(want, "NAMESPACE", got.namespace) {
				return fmt.Errorf("its DNS is\n%s\nwant\n%s", got.dns, want)
			}
			return nil
		})
	}
	for _, tt := range []struct{ name, change, want string }{
		{"no fallback", `"fallback": "no"`, as("10.96.0.53")},
		{"no server", `"server": ""`, same},
		{"two servers", `"server": "10.96.0.53,10.96.0.54"`, same},
		{"a name for an address", `"clusterDNS": "kube-dns"`, same},
		{"no domain", `"clusterDomain": ""`, same},
		{"blanks", `"searches": "a.example, b.example ", "options": " ndots:5 ,, :7, edns0"`,
			"None " + ours + " " + search + ",a.example,b.example ndots:5 edns0"},
	} {
		t.Run("settings with "+tt.name, func(t *testing.T) {
			settings(t, right)
			becomes(t, as(ours))
			settings(t, tt.change)
			becomes(t, tt.want)
		})
	}
	settings(t, right)
	becomes(t, as(ours))
	t.Run("namespaces that are left alone", func(t *testing.T) {
		for _, namespace := range []string{"kube-system", "ttlfloor"} {
			pod := &core.Pod{ObjectMeta: meta.ObjectMeta{Name: "pod", Labels: map[string]string{"ttlfloor.github.io/dns": "enabled"}}, Spec: strict}
			got, err := plane.admin.CoreV1().Pods(namespace).Create(background, pod, meta.CreateOptions{DryRun: []string{meta.DryRunAll}})
			if err != nil || got.Spec.DNSPolicy != core.DNSClusterFirst {
				t.Errorf("in %s its dnsPolicy is %s (%v)", namespace, got.Spec.DNSPolicy, err)
			}
		}
	})
	t.Run("another policy replaces the dnsConfig", func(t *testing.T) {
		mustKubectl(t, another, "apply", "-f", "-")
		t.Cleanup(func() { mustKubectl(t, another, "delete", "-f", "-") })
		becomes(t, "None "+ours+" "+search+" ndots:2 timeout:2 attempts:3")
	})
	t.Run("no settings", func(t *testing.T) {
		mustKubectl(t, "", "--namespace=ttlfloor", "delete", "configmap", "ttlfloor-dns-settings")
		becomes(t, same)
	})
}

// strict is a pod that every namespace lets in.
var strict = core.PodSpec{
	SecurityContext: &core.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(1)), SeccompProfile: &core.SeccompProfile{Type: core.SeccompProfileTypeRuntimeDefault}},
	Containers: []core.Container{{Name: "pod", Image: "none", SecurityContext: &core.SecurityContext{
		AllowPrivilegeEscalation: new(false), Capabilities: &core.Capabilities{Drop: []core.Capability{"ALL"}},
	}}},
}

// another is a policy that knows nothing of ours, as clusters have them for "ndots".
const another = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: zz-another}
spec:
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  mutations:
  - patchType: JSONPatch
    jsonPatch:
      expression: >-
        [JSONPatch{op: "add", path: "/spec/dnsConfig", value: Object.spec.dnsConfig{
          options: [Object.spec.dnsConfig.options{name: "ndots", value: "2"}]}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: zz-another}
spec: {policyName: zz-another}
`

// wanted is metadata of a pod that asks for the server.
const wanted = `labels: {ttlfloor.github.io/dns: enabled}`

// An admission is what the API server made of a pod.
type admission struct{ namespace, dns string }

var namespaces int

// admitted has the API server admit a pod of a new namespace, and keep it not.
func admitted(t *testing.T, namespace, metadata, spec string) (a admission) {
	t.Helper()
	namespaces++
	a.namespace = fmt.Sprintf("policy-%d-%d", os.Getpid(), namespaces)
	var n core.Namespace
	if err := yaml.Unmarshal([]byte("metadata: {"+namespace+"}"), &n); err != nil {
		t.Fatal(err)
	}
	n.Name = a.namespace
	if _, err := plane.admin.CoreV1().Namespaces().Create(background, &n, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var pod core.Pod
	if err := yaml.Unmarshal([]byte("metadata: {"+metadata+"}\nspec: {"+spec+"}"), &pod); err != nil {
		t.Fatal(err)
	}
	pod.Name, pod.Spec.Containers = "pod", []core.Container{{Name: "pod", Image: "none"}}
	got, err := plane.admin.CoreV1().Pods(a.namespace).Create(background, &pod, meta.CreateOptions{DryRun: []string{meta.DryRunAll}})
	if err != nil {
		t.Fatal(err)
	}
	a.dns = string(got.Spec.DNSPolicy)
	if c := got.Spec.DNSConfig; c != nil {
		a.dns += " " + strings.Join(c.Nameservers, ",") + " " + strings.Join(c.Searches, ",")
		options := ""
		for _, o := range c.Options {
			options += " " + o.Name
			if o.Value != nil {
				options += ":" + *o.Value
			}
		}
		a.dns += max(options, " ")
	}
	return a
}
