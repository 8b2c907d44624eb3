package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what find says of the logs in testdata")

// TestKubectlLogs has what find says of logs as kubectl gives them: of a CoreDNS with a herd
// of 24 and a storm of two, with times; the same from two pods with their names in front; and
// without times.
func TestKubectlLogs(t *testing.T) {
	logs, err := filepath.Glob("testdata/kubectl/*.log")
	if err != nil || len(logs) != 3 {
		t.Fatal(logs, err)
	}
	for _, path := range logs {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var out, errs bytes.Buffer
			if err := execute(t.Context(), []string{"find", path}, strings.NewReader(""), &out, &errs); err != nil {
				t.Fatal(err)
			}
			got := out.String() + errs.String()
			golden := strings.TrimSuffix(path, ".log") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil { // #nosec G306 -- a text for all
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden) // #nosec G304 -- of testdata
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("it says\n%s\nwant, as in %s\n%s", got, golden, want)
			}
		})
	}
}
