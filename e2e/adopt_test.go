package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestAdopt follows docs/adopt.md: it runs the commands of the steps that have some, as
// they stand, and those that go back. There is no kubelet here, so that what a pod logs
// is a file, and nobody waits for it.
func TestAdopt(t *testing.T) {
	steps := strings.Split(read(t, "../docs/adopt.md"), "\n## ")
	if len(steps) != 6 {
		t.Fatalf("%d steps in docs/adopt.md, want 5", len(steps)-1)
	}
	sh := newShell(t)
	rollback(t)

	t.Run("find", func(t *testing.T) {
		for _, pod := range []string{"coredns-a", "coredns-b"} {
			makePod(t, pod)
		}
		run, back := commands(t, steps[1])
		out := sh.run(t, run)
		for _, want := range []string{"1. herd at SRV " + policy, " 80 clients come every 5s", "ttlfloor 30s " + strings.TrimSuffix(policy, ".")} {
			if !strings.Contains(out, want) {
				t.Errorf("find does not say %q:\n%s", want, out)
			}
		}
		if got := corefileOf(t, "coredns"); !strings.Contains(got, "\n    log\n") {
			t.Errorf("log is not in the Corefile:\n%s", got)
		}
		sh.run(t, back)
		if got := corefileOf(t, "coredns"); got != before.corefile {
			t.Errorf("after the way back the Corefile is\n%s\nwant\n%s", got, before.corefile)
		}
	})
	reinstall(t)
	t.Run("one server", func(t *testing.T) {
		run, back := commands(t, steps[3])
		ours, all := deployment(t).corefile(t), theDeployment(t)
		if err := os.WriteFile(filepath.Join(sh.dir, "Corefile.canary"), []byte(ours), 0o600); err != nil {
			t.Fatal(err)
		}
		sh.run(t, run)
		canary, err := plane.admin.AppsV1().Deployments("kube-system").Get(background, "coredns-canary", meta.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		service, err := plane.admin.CoreV1().Services("kube-system").Get(background, "kube-dns", meta.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		labels := canary.Spec.Template.Labels
		if *canary.Spec.Replicas != 1 || !contains(labels, service.Spec.Selector) {
			t.Errorf("%d servers with the labels %v, want one that the Service selects by %v", *canary.Spec.Replicas, labels, service.Spec.Selector)
		}
		if maps.Equal(canary.Spec.Selector.MatchLabels, all.Spec.Selector.MatchLabels) {
			t.Errorf("both Deployments select %v", all.Spec.Selector.MatchLabels)
		}
		if got := canary.Spec.Template.Spec.Volumes[0].ConfigMap.Name; got != "coredns-canary" {
			t.Errorf("the canary mounts %q", got)
		}
		if m := ask(t, startReady(t, coreDNSProgram, corefileOf(t, "coredns-canary")).dns, policy, dns.TypeSRV); len(m.Answer) == 0 || m.Answer[0].Header().Ttl < floor {
			t.Errorf("the canary answers\n%v", m)
		}
		sh.run(t, back)
		if _, err := plane.admin.AppsV1().Deployments("kube-system").Get(background, "coredns-canary", meta.GetOptions{}); !errors.IsNotFound(err) {
			t.Errorf("the canary is still there: %v", err)
		}
		if _, err := plane.admin.CoreV1().ConfigMaps("kube-system").Get(background, "coredns-canary", meta.GetOptions{}); !errors.IsNotFound(err) {
			t.Errorf("its ConfigMap is still there: %v", err)
		}
		if !equality.Semantic.DeepEqual(theDeployment(t).Spec, all.Spec) {
			t.Error("the Deployment of all servers has changed")
		}
	})
}

var (
	shellBlock = regexp.MustCompile(`(?ms)^~~~ sh\n(.*?)^~~~$`)
	wayBack    = regexp.MustCompile(`(?s)\*\*Back\.\*\*(.*)`)
	inline     = regexp.MustCompile("(?s)^ `([^`]+)`")
)

// commands are those of a step of the page, and those of its way back, which may be a
// block or stand in the line.
func commands(t *testing.T, step string) (run, back string) {
	t.Helper()
	last := wayBack.FindStringSubmatch(step)
	if last == nil {
		t.Fatalf("no way back in\n%s", step)
	}
	for _, m := range shellBlock.FindAllStringSubmatch(strings.TrimSuffix(step, last[0]), -1) {
		run += m[1]
	}
	if m := inline.FindStringSubmatch(last[1]); m != nil {
		back = m[1]
	} else if m := shellBlock.FindStringSubmatch(last[1]); m != nil {
		back = m[1]
	}
	if run == "" || back == "" {
		t.Fatalf("no commands in\n%s", step)
	}
	return run, back
}

// shell runs commands of documents in a directory.
type shell struct {
	dir string
	env []string
}

// newShell makes one whose PATH has the programs of the test, and in which an editor adds
// log to a Corefile.
func newShell(t *testing.T) shell {
	t.Helper()
	dir, bin := t.TempDir(), t.TempDir()
	for name, script := range map[string]string{
		// kubectl has to take the command, and shows nothing of a pod without a node.
		"kubectl": `case " $* " in
*" logs "*)
    ` + kubectlProgram + ` "$@" || exit
    case " $* " in *" -l k8s-app=kube-dns "*" --tail=-1 "*) ;; *) exit 1 ;; esac
    case " $* " in *" --timestamps "*) cat "$LOGS"/* ;; *) sed 's/^[^ ]* //' "$LOGS"/* ;; esac ;;
*) exec ` + kubectlProgram + ` "$@" ;;
esac`,
		"ttlstorm": `exec ` + stormProgram + ` "$@"`,
		"sleep":    `:`,
		"editor":   `sed -i 's/^\( *\)errors$/&\n\1log/' "$1"`,
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil { // #nosec G306 -- programs
			t.Fatal(err)
		}
	}
	logs := t.TempDir()
	for i, pod := range []string{"coredns-a", "coredns-b"} {
		if err := os.WriteFile(filepath.Join(logs, pod), []byte(herdOf(40, 100+50*i)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return shell{dir, append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+plane.kubeconfig, "KUBE_EDITOR=editor", "LOGS="+logs)}
}

// run runs commands and returns what they write to standard output.
func (s shell) run(t *testing.T, script string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", script)
	cmd.Dir, cmd.Env = s.dir, s.env
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, errs.String())
	}
	return out.String()
}

// herdOf is the log of a server that so many clients ask every 5 s, in step.
func herdOf(clients, first int) string {
	var b strings.Builder
	for round := range 12 {
		for i := range clients {
			at := time.Date(2026, 3, 29, 0, 30, 5*round, 1_000_000*i, time.UTC)
			fmt.Fprintf(&b, "%s [INFO] 10.42.0.%d:40000 - 1 \"SRV IN %s udp 60 false 512\" NOERROR qr,aa,rd 200 0.000100000s\n", at.Format(time.RFC3339Nano), first+i, policy)
		}
	}
	return b.String()
}

// makePod makes a pod of CoreDNS that no node runs, for as long as the test.
func makePod(t *testing.T, name string) {
	t.Helper()
	pods := plane.admin.CoreV1().Pods("kube-system")
	_, err := pods.Create(background, &core.Pod{
		ObjectMeta: meta.ObjectMeta{Name: name, Labels: map[string]string{"k8s-app": "kube-dns"}},
		Spec:       core.PodSpec{Containers: []core.Container{{Name: "coredns", Image: "coredns"}}},
	}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pods.Delete(background, name, meta.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
			t.Error(err)
		}
	})
}

// corefileOf returns the Corefile of a ConfigMap.
func corefileOf(t *testing.T, configMap string) string {
	t.Helper()
	return mustKubectl(t, "", "--namespace=kube-system", "get", "configmap", configMap, "-o", "jsonpath={.data.Corefile}")
}
