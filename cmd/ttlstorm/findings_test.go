package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

// TestFindings has what users found wrong at some time, by what is right.
func TestFindings(t *testing.T) {
	server := listen(t, answer)
	dir := t.TempDir()
	null, file := filepath.Join(dir, "null"), filepath.Join(dir, "json")
	if err := os.Symlink(os.DevNull, null); err != nil { // the device itself would be lost where this fails
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), []string{"a.example", "A", "-server", server, "-csv", null, "-clients", "1", "-for", "2s", "-json", file}, &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	var reports []storm.Report
	if text, err := os.ReadFile(file); err != nil || json.Unmarshal(text, &reports) != nil || len(reports) != 1 {
		t.Fatalf("%v, %s", err, text)
	}

	t.Run("-csv /dev/null writes to the device and does not replace it", func(t *testing.T) {
		if link, err := os.Readlink(null); err != nil || link != os.DevNull {
			t.Errorf("the link leads to %q, %v", link, err)
		}
		if info, err := os.Stat(null); err != nil || info.Mode()&os.ModeDevice == 0 {
			t.Errorf("it is no device any more: %v, %v", info, err)
		}
	})
	t.Run("flags behind the names are flags", func(t *testing.T) {
		if got := reports[0].Run; len(got.Names) != 1 || got.Clients != 1 || got.Server != server {
			t.Errorf("%+v", got)
		}
	})
	t.Run("NAME TYPE is TYPE NAME, as dig has it", func(t *testing.T) {
		if got := reports[0].Run.Names[0]; got != "A a.example." {
			t.Errorf("%q", got)
		}
	})
	t.Run("the table of a server that was there has no lines for what only its owner can measure", func(t *testing.T) {
		if got := stdout.String(); strings.Contains(got, "upstream") || strings.Contains(got, "stale") || !strings.Contains(got, "longest gap") {
			t.Errorf("the table is\n%s", got)
		}
	})
	t.Run("- is standard output, and the table on standard error then", func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), []string{"-server", server, "A", "a.example", "-clients", "1", "-for", "2s", "-json", "-"}, &stdout, &stderr)
		if err != nil || !json.Valid(stdout.Bytes()) || !strings.Contains(stderr.String(), "mean TTL") {
			t.Errorf("%v, %q, %q", err, &stdout, &stderr)
		}
	})
	t.Run("a run without an answer fails, and has no mean TTL", func(t *testing.T) {
		refusing := listen(t, func(b []byte) []byte {
			q := new(dns.Msg)
			if q.Unpack(b) != nil {
				return nil
			}
			out, _ := new(dns.Msg).SetRcode(q, dns.RcodeRefused).Pack()
			return out
		})
		var stdout bytes.Buffer
		err := run(t.Context(), []string{"-server", refusing, "A", "a.example", "-clients", "1", "-for", "2s"}, &stdout, io.Discard)
		if got := cells(stdout.String())["mean TTL"]; status(err) != 1 || got != none {
			t.Errorf("%v, mean TTL %q", err, got)
		}
	})
	t.Run("-json DIR fails before the run", func(t *testing.T) {
		var asked atomic.Int64
		server := listen(t, func(q []byte) []byte {
			asked.Add(1)
			return answer(q)
		})
		err := run(t.Context(), []string{"-server", server, "A", "a.example", "-json", dir}, io.Discard, io.Discard)
		if status(err) != 1 || asked.Load() != 0 {
			t.Errorf("%v after %d queries", err, asked.Load())
		}
	})
	t.Run("compare -ttl 0 measures a storm by how many queries there are, and by nothing that it looks good in", func(t *testing.T) {
		var stdout bytes.Buffer
		err := run(t.Context(), []string{"compare", "-ttl", "0", "-for", "2s", "-clients", "5", "-treatments", "nothing; ttlfloor, scheduled", "-json", file}, &stdout, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(stdout.String()) {
			head, cells, _ := strings.Cut(line, "  ")
			if measured := strings.Fields(cells); (strings.Contains(head, "over the mean") || head == "dispersion") && (len(measured) < 2 || measured[0] != "storm" || measured[1] == "storm") {
				t.Errorf("%q", line)
			}
		}
		got := stdout.String()
		if !strings.Contains(got, "a second (storm)") || !strings.Contains(got, "a second (no storm)") {
			t.Errorf("nobody says which is the storm:\n%s", got)
		}
		text, _ := os.ReadFile(file)
		if err := json.Unmarshal(text, &reports); err != nil || reports[0].Queries < 10*reports[1].Queries {
			t.Errorf("%v, %d queries in the storm, and %d without", err, reports[0].Queries, reports[1].Queries)
		}
	})
}

// none stands for what was not measured.
const none = "-"
