package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// right is one verb for one resource.
type right struct{ group, resource, verb string }

// rights returns those of the manifests' ClusterRole.
func rights(t *testing.T) []right {
	t.Helper()
	role, err := plane.admin.RbacV1().ClusterRoles().Get(background, "system:coredns", meta.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []right
	for _, rule := range role.Rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					all = append(all, right{group, resource, verb})
				}
			}
		}
	}
	return all
}

// accessWith makes a ServiceAccount that has some rights, and returns its
// kubeconfig.
func accessWith(t *testing.T, name string, some []right) string {
	t.Helper()
	role := rbac.ClusterRole{ObjectMeta: meta.ObjectMeta{Name: name}}
	for _, r := range some {
		role.Rules = append(role.Rules, rbac.PolicyRule{APIGroups: []string{r.group}, Resources: []string{r.resource}, Verbs: []string{r.verb}})
	}
	_, err := plane.admin.CoreV1().ServiceAccounts("kube-system").Create(background, &core.ServiceAccount{ObjectMeta: meta.ObjectMeta{Name: name}}, meta.CreateOptions{})
	if err == nil {
		_, err = plane.admin.RbacV1().ClusterRoles().Create(background, &role, meta.CreateOptions{})
	}
	if err == nil {
		_, err = plane.admin.RbacV1().ClusterRoleBindings().Create(background, &rbac.ClusterRoleBinding{
			ObjectMeta: meta.ObjectMeta{Name: name},
			RoleRef:    rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: name},
			Subjects:   []rbac.Subject{{Kind: "ServiceAccount", Namespace: "kube-system", Name: name}},
		}, meta.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return access(t, name, plane.port)
}

// TestRights starts a pod with the rights of the manifests, with which nothing is
// forbidden, and pods that lack some of them: the log says what is missing.
//
// client-go lists by way of a watch where it can, so list is needed only with an
// API server that has this switched off, as that of 1.33 has. A pod that may not
// watch lists again and again, and is ready: readiness does not tell, the log does.
func TestRights(t *testing.T) {
	corefile := deployment(t).corefile(t)
	all := rights(t)
	if len(all) == 0 {
		t.Fatal("the manifests give no rights")
	}
	for _, env := range []string{"", listFirst} {
		t.Run("all "+env, func(t *testing.T) {
			t.Parallel()
			p := startPod(t, coreDNSProgram, corefile, access(t, deployment(t).serviceAccount, plane.port), env)
			p.waitReady(t)
			insideTheRule(t, ask(t, p.dns, policy, dns.TypeSRV))
			for _, bad := range []string{"forbidden", "[ERROR]", "[WARNING]"} {
				// On a machine that is busy it may take longer than the plugin waits.
				out := strings.ReplaceAll(p.Output.String(), "[WARNING] plugin/kubernetes: starting server with unsynced", "")
				if strings.Contains(out, bad) {
					t.Errorf("it says %q:\n%s", bad, out)
				}
			}
		})
	}
	type test struct {
		name    string
		without []right
		env     string
		says    string
		ready   bool
	}
	var tests []test
	for _, r := range all {
		says := fmt.Sprintf("cannot %s resource %q", r.verb, r.resource)
		tests = append(tests, test{r.verb + " " + r.resource, []right{r}, listFirst, says, r.verb == "watch"})
		if r.verb == "list" {
			both := []right{r, {r.group, r.resource, "watch"}}
			tests = append(tests, test{r.resource, both, "", says, false})
		}
	}
	for i, c := range tests {
		t.Run("without "+c.name, func(t *testing.T) {
			t.Parallel()
			rest := slices.DeleteFunc(slices.Clone(all), func(r right) bool { return slices.Contains(c.without, r) })
			p := startPod(t, coreDNSProgram, corefile, accessWith(t, fmt.Sprintf("lacks-%d", i), rest), c.env)
			p.waitFor(t, c.says, 1)
			eventually(t, patience, func() error { // it waits five seconds for the API server
				_, err := exchange(p.dns, "www.example.org.", dns.TypeA)
				return err
			})
			if c.ready {
				p.waitReady(t)
			}
			code, body, err := p.readyStatus()
			for line := range strings.Lines(p.Output.String()) {
				if strings.Contains(line, c.says) {
					t.Logf("ready: %d %q; an operator sees: %s", code, body, line)
					break
				}
			}
			m := ask(t, p.dns, policy, dns.TypeSRV)
			if want := map[bool]int{true: http.StatusOK, false: http.StatusServiceUnavailable}[c.ready]; err != nil || code != want {
				t.Errorf("ready: %d, %v, want %d", code, err, want)
			}
			if c.ready != (m.Rcode == dns.RcodeSuccess) {
				t.Errorf("ready is %v, and the answer is %s", c.ready, dns.RcodeToString[m.Rcode])
			}
		})
	}
}

// listFirst has client-go list as it does with an older API server.
const listFirst = "KUBE_FEATURE_WatchListClient=false"
