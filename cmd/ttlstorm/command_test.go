package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/client"
)

// TestHelp asks for help in every way, and in any place.
func TestHelp(t *testing.T) {
	for args, want := range map[string]string{
		"-h": "COMMANDS:", "--help": "COMMANDS:", "help": "COMMANDS:",
		"run -h": "-server ADDRESS:PORT", "a.example -h": "-tls-name NAME", "-clients 5 a.example --help": "-names FILE", "help run": "-others",
		"compare -h": "-treatments", "help compare": "-change", "-h compare": "-floor", "compare a.example -clients 5 -h": "-ttl",
		"models -h": "-json", "version -h": "ttlstorm version", "completion -h": "source <(ttlstorm completion bash)",
	} {
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), strings.Fields(args), &stdout, &stderr)
		if err != nil || !strings.Contains(stdout.String(), want) || stderr.Len() > 0 || strings.Contains(stdout.String(), " --") {
			t.Errorf("%q: %v, %q %q, want %q, and flags with one dash", args, err, &stdout, &stderr, want)
		}
	}
}

// TestFlagsEverywhere has flags with one dash and with two, with an equals sign, before
// and behind the names, with the command and without.
func TestFlagsEverywhere(t *testing.T) {
	for _, args := range []string{
		"-server 127.0.0.1:1 -clients 0 a.example", "--server 127.0.0.1:1 a.example --clients=0", "a.example -server=127.0.0.1:1 -clients=0",
		"run a.example -server 127.0.0.1:1 b.example --clients 0", "run -clients 0 a.example",
	} {
		err := run(t.Context(), strings.Fields(args), nil, nil)
		if err == nil || err.Error() != "-clients 0: there can be 1 to 10000" {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// TestVersion names what the tool is built with.
func TestVersion(t *testing.T) {
	for args, want := range map[string]string{"version": "CoreDNS ", "-version": "ttlstorm version ", "--version": "ttlstorm version "} {
		var out bytes.Buffer
		if err := run(t.Context(), []string{args}, &out, nil); err != nil || !strings.Contains(out.String(), want) || !strings.HasPrefix(out.String(), "ttlstorm ") {
			t.Errorf("%s: %v, %q", args, err, &out)
		}
	}
}

// TestComplete asks as the scripts do.
func TestComplete(t *testing.T) {
	for args, want := range map[string]string{
		"":                    "find run compare models version completion",
		"-cl":                 "-clients",
		"run --cl":            "--clients",
		"a.example -tls":      "-tls-name",
		"compare -tr":         "-treatments",
		"compare a -server":   "",
		"run -proto":          "udp tcp tls https",
		"models --js":         "--json",
		"run -model":          strings.Join(modelNames(), " "),
		"compare --model":     strings.Join(modelNames(), " "),
		"completion":          "bash zsh fish pwsh help",
		"run -server x -j -c": "-clients -csv",
	} {
		var out, stderr bytes.Buffer
		err := run(t.Context(), append(strings.Fields(args), completeFlag), &out, &stderr)
		var got []string
		for line := range strings.Lines(out.String()) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), ":")
			got = append(got, word)
		}
		slices.Sort(got)
		wanted := strings.Fields(want)
		slices.Sort(wanted)
		if err != nil || stderr.Len() > 0 || !slices.Equal(got, wanted) {
			t.Errorf("%q: %v, %q, %q, want %q", args, err, got, &stderr, want)
		}
	}
}

// TestScripts has a script for each shell, which bash can read.
func TestScripts(t *testing.T) {
	for shell, want := range map[string]string{"bash": "complete -o", "zsh": "#compdef ttlstorm", "fish": "complete -c ttlstorm"} {
		var out bytes.Buffer
		if err := run(t.Context(), []string{"completion", shell}, &out, nil); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %v, %q", shell, err, &out)
		}
		if bash, err := exec.LookPath("bash"); shell == "bash" && err == nil {
			c := exec.CommandContext(t.Context(), bash, "-n")
			c.Stdin = &out
			if said, err := c.CombinedOutput(); err != nil || len(said) > 0 {
				t.Errorf("bash: %v, %q", err, said)
			}
		}
	}
}

// TestModelsExplained explains each model, in lines and as JSON.
func TestModelsExplained(t *testing.T) {
	var text, asJSON, one bytes.Buffer
	for out, args := range map[*bytes.Buffer][]string{&text: {"models"}, &asJSON: {"models", "--json"}, &one: {"models", "stub"}} {
		if err := run(t.Context(), args, out, nil); err != nil {
			t.Fatal(err)
		}
	}
	var models []client.Model
	if err := json.Unmarshal(asJSON.Bytes(), &models); err != nil || len(models) != len(client.Models) {
		t.Fatalf("%v, %s", err, &asJSON)
	}
	for i, m := range client.Models {
		got := models[i]
		for _, part := range []string{m.Name, m.Doc, m.Asks, m.TTL, m.Failure, m.Source} {
			if part == "" || !strings.Contains(text.String(), part) {
				t.Errorf("%s: no %q in\n%s", m.Name, part, &text)
			}
		}
		if got.Name != m.Name || got.TTL != m.TTL || got.Source != m.Source || got.Assumed != m.Assumed {
			t.Errorf("%+v, want %+v", got, m)
		}
	}
	if got := one.String(); !strings.HasPrefix(got, "stub: ") || strings.Contains(got, "envoy") {
		t.Errorf("of one: %q", got)
	}
}
