package e2e

import (
	"regexp"
	"strings"
	"testing"
)

// place is where a Corefile of the manifests is run in a test: all that is
// changed in it.
type place struct {
	dns, health, ready, metrics int // ports of loopback
	upstream                    string
	kubeconfig                  string
}

// newPlace returns one whose ports are free.
func newPlace(upstream, kubeconfig string) place {
	return place{freePort(), freePort(), freePort(), freePort(), upstream, kubeconfig}
}

// move changes the addresses and ports of a Corefile to those of a place, and
// gives the plugin kubernetes its access. All other lines stay as they are.
func (p place) move(corefile string) string {
	var out []string
	depth := 0
	for line := range strings.SplitSeq(strings.TrimRight(corefile, "\n"), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			out = append(out, line)
			continue
		}
		opens := fields[len(fields)-1] == "{"
		snippet := strings.HasPrefix(fields[0], "(")
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		head := fields
		if opens {
			head = fields[:len(fields)-1]
		}
		set := func(words ...string) {
			line = indent + strings.Join(words, " ")
			if opens {
				line += " {"
			}
		}
		after := ""
		switch {
		case depth == 0 && opens && !snippet:
			keys := make([]string, len(head))
			for i, key := range head {
				keys[i] = serverPort.ReplaceAllString(key, "") + local(p.dns)[len("127.0.0.1"):]
			}
			set(keys...)
			after = "    bind 127.0.0.1"
		case depth == 1 && head[0] == "bind":
			line = "" // the server block has one by now
		case depth == 1 && head[0] == "health":
			set("health", local(p.health))
		case depth == 1 && head[0] == "ready":
			set("ready", local(p.ready))
		case depth == 1 && head[0] == "prometheus":
			set("prometheus", local(p.metrics))
		case depth == 1 && head[0] == "forward":
			set("forward", head[1], p.upstream)
		case depth == 1 && head[0] == "kubernetes":
			opens = true // from now on
			set(head...)
			after = indent + "    kubeconfig " + p.kubeconfig
			if fields[len(fields)-1] != "{" {
				after += "\n" + indent + "}"
				depth-- // it is closed at once
			}
		}
		out = append(out, line)
		if after != "" {
			out = append(out, after)
		}
		if opens {
			depth++
		}
		if fields[0] == "}" {
			depth--
		}
	}
	return strings.Join(out, "\n") + "\n"
}

var serverPort = regexp.MustCompile(`:\d+$`)

// withoutRules takes ttlfloor out of a Corefile, as one does who goes back to
// stock CoreDNS.
func withoutRules(corefile string) string {
	var out []string
	inside := false
	for line := range strings.SplitSeq(corefile, "\n") {
		fields := strings.Fields(line)
		switch {
		case inside:
			inside = len(fields) == 0 || fields[0] != "}"
		case len(fields) > 0 && fields[0] == "ttlfloor":
			inside = fields[len(fields)-1] == "{"
		default:
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// change replaces a text that has to be in a Corefile, once.
func change(t *testing.T, corefile, from, to string) string {
	t.Helper()
	if strings.Count(corefile, from) != 1 {
		t.Fatalf("want %q once in the Corefile:\n%s", from, corefile)
	}
	return strings.Replace(corefile, from, to, 1)
}

// quickly lets a Corefile be looked at every two seconds, the shortest that
// reload allows, in place of every thirty.
func quickly(t *testing.T, corefile string) string {
	t.Helper()
	return change(t, corefile, "\n    reload\n", "\n    reload 2s 1s\n")
}

func TestMove(t *testing.T) {
	p := place{dns: 1053, health: 1080, ready: 1081, metrics: 1091, upstream: "127.0.0.1:1054", kubeconfig: "/k"}
	for _, c := range []struct{ name, from, to string }{
		{"a server block", ".:53 {\n    errors\n    reload\n}", ".:1053 {\n    bind 127.0.0.1\n    errors\n    reload\n}"},
		{"its own address", "a.example b.example:54 {\n    bind 169.254.20.10\n}", "a.example:1053 b.example:1053 {\n    bind 127.0.0.1\n\n}"},
		{"the servers beside it", ". {\n    health {\n        lameduck 5s\n    }\n    ready\n    prometheus :9153\n}",
			".:1053 {\n    bind 127.0.0.1\n    health 127.0.0.1:1080 {\n        lameduck 5s\n    }\n    ready 127.0.0.1:1081\n    prometheus 127.0.0.1:1091\n}"},
		{"what it asks", ". {\n    forward . /etc/resolv.conf {\n        max_concurrent 1000\n    }\n    kubernetes cluster.local\n    cache 30\n}",
			".:1053 {\n    bind 127.0.0.1\n    forward . 127.0.0.1:1054 {\n        max_concurrent 1000\n    }\n    kubernetes cluster.local {\n        kubeconfig /k\n    }\n    cache 30\n}"},
		{"the rules stay", ". {\n    ttlfloor 30s a.example {\n        max 5m\n    }\n    # forward . 9.9.9.9\n    kubernetes cluster.local {\n        ttl 30\n    }\n}",
			".:1053 {\n    bind 127.0.0.1\n    ttlfloor 30s a.example {\n        max 5m\n    }\n    # forward . 9.9.9.9\n    kubernetes cluster.local {\n        kubeconfig /k\n        ttl 30\n    }\n}"},
	} {
		if got := p.move(c.from); got != c.to+"\n" {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.to)
		}
	}
}
