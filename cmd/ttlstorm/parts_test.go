package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPodsInOneFile has a herd that is spread over three pods, whose logs stand behind each
// other in one file, as "kubectl logs -l" writes them.
func TestPodsInOneFile(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	writeLog(t, log, 50_000)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var pods [3]bytes.Buffer
	for i := range pods {
		pods[i].WriteString("CoreDNS-1.15.0\n")
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		pods[n%3].WriteString(line)
		n++
	}
	var names []string
	var whole []byte
	for i := range pods {
		name := filepath.Join(dir, string(rune('a'+i)))
		if err := os.WriteFile(name, pods[i].Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
		whole = append(whole, pods[i].Bytes()...)
	}
	if err := os.WriteFile(log, append(whole, "2026"...), 0o600); err != nil {
		t.Fatal(err)
	}
	find := func(names ...string) (string, string) {
		var out, errs bytes.Buffer
		if err := run(t.Context(), append([]string{"find"}, names...), &out, &errs); err != nil {
			t.Fatal(err)
		}
		return out.String(), errs.String()
	}
	want, _ := find(names...)
	if !strings.Contains(want, "1,000 clients come every 3") {
		t.Errorf("no herd in\n%s", want)
	}
	got, said := find(log)
	if got != want {
		t.Errorf("one file gives\n%s\nand three give\n%s", got, want)
	}
	for _, want := range []string{"passed over 4 of something else, of which the first begins with \"CoreDNS-1.15.0\"", "ends in the middle", "went back 2 times; its 3 parts"} {
		if strings.Count(said, want) != 1 {
			t.Errorf("%q is not there once in %q", want, said)
		}
	}
	if n := strings.Count(said, "\n"); n != 3 {
		t.Errorf("%d lines about one file: %s", n, said)
	}
}

// TestPodWithoutMessages has a file of two pods, of which one logged no queries.
func TestPodWithoutMessages(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	writeLog(t, log, 20_000)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	const idle = "2023-11-14T22:00:00Z [INFO] Reloading complete\n"
	for what, b := range map[string]string{"before": "2023-11-15T00:00:00Z [INFO] Reloading\n" + string(text), "behind": string(text) + idle} {
		if err := os.WriteFile(log, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		if err := run(t.Context(), []string{"find", log}, &out, &errs); err != nil {
			t.Fatal(what, err)
		}
		if !strings.Contains(out.String(), "1 finding") || strings.Count(errs.String(), "\n") != 2 || !strings.Contains(errs.String(), "passed over 1 of") {
			t.Errorf("%s: %s%s", what, &out, &errs)
		}
	}
}
