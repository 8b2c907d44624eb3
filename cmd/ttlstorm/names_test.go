package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

// TestReadNames has what a file of names can hold.
func TestReadNames(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"a.example\n", "a.example."},
		{"# the control plane\n\n SRV a.example # of it\r\nb.example\tA\nIN c.example", "SRV a.example. b.example. c.example."},
		{"a.example A", "A a.example."},
		{"", "no names; a line has [TYPE] NAME or NAME [TYPE]"},
		{"# none\n", "no names"},
		{"a.example\nb..c\n", `file, line 2: "b..c" is not a domain name`},
		{"a.example b.example\n", `line 1: "b.example." is another name; a line has one`},
		{"SRV\n", "line 1: no names"},
		{"a.example\x1b[31m\n\x00\nä\\032\n", `a.example\027[31m. \000. \195\164\ .`},
		{"a.example\n" + strings.Repeat("a", longestLine) + "\n", "line 2: longer than 4096 octets"},
		{strings.Repeat("a.example\n", maxNames+1), "line 10001: more than 10000 names"},
	} {
		got, err := readNames("file", strings.NewReader(tt.text))
		if err != nil {
			if status(err) != 2 || !strings.Contains(err.Error(), tt.want) || strings.ContainsAny(err.Error(), "\n\x1b\x00") {
				t.Errorf("%.40q: %q, want %q", tt.text, err, tt.want)
			}
			continue
		}
		var names []string
		for _, q := range got {
			names = append(names, q.String())
		}
		if want := strings.Replace(tt.want, "b.example.", "A b.example.", strings.Count(tt.text, "\tA")); strings.Join(names, " ") != want {
			t.Errorf("%.40q: %q, want %q", tt.text, names, want)
		}
	}
	if got, err := readNames("file", strings.NewReader(strings.Repeat("a.example\n", maxNames))); len(got) != maxNames || err != nil {
		t.Errorf("%d names, %v", len(got), err)
	}
}

// TestNamesOfFile asks for names of a file, of standard input, and of arguments in front.
func TestNamesOfFile(t *testing.T) {
	server := listen(t, answer)
	dir := t.TempDir()
	list, file := filepath.Join(dir, "names"), filepath.Join(dir, "json")
	if err := os.WriteFile(list, []byte("A b.example\nc.example A # the last\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, names := range []string{list, "-"} {
		var out bytes.Buffer
		text, _ := os.ReadFile(list)
		args := []string{"-server", server, "-clients", "1", "-for", "2s", "A", "a.example", "-names", names, "-json", file}
		if err := execute(t.Context(), args, bytes.NewReader(text), &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		var reports []storm.Report
		text, _ = os.ReadFile(file)
		if err := json.Unmarshal(text, &reports); err != nil {
			t.Fatal(err)
		}
		const want = "A a.example., A b.example., A c.example."
		if got := strings.Join(reports[0].Run.Names, ", "); got != want || !strings.Contains(out.String(), want) {
			t.Errorf("-names %s: %s, want %s in\n%s", names, got, want, &out)
		}
	}
	text := strings.Repeat("a.example\n", maxNames)
	err := execute(t.Context(), []string{"-server", server, "-names", "-", "-clients", fmt.Sprint(maxResolvers/maxNames + 1)}, strings.NewReader(text), io.Discard, io.Discard)
	if status(err) != 2 || !strings.Contains(err.Error(), "10000 names for each of 101 clients: there can be 1000000 in all") {
		t.Errorf("error %v, want one that says how many there can be", err)
	}
	if err := execute(t.Context(), []string{"-server", server, "-names", "-", "a.example"}, strings.NewReader(text), io.Discard, io.Discard); status(err) != 2 || !strings.Contains(err.Error(), "10001 names: there can be 1 to 10000") {
		t.Errorf("error %v, want one that says how many there can be", err)
	}
}
