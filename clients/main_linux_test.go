package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ttlfloor/ttlfloor/clients/internal/atlas"
	"github.com/ttlfloor/ttlfloor/clients/internal/cell"
	"github.com/ttlfloor/ttlfloor/clients/internal/program"
)

// mark is what processes that programs of this test leave behind have as an argument.
const mark = "3727.3727"

// fakes are programs that go wrong, one that does not, and what is said of each.
var fakes = []struct {
	program.Program
	says string
}{
	{program.Program{Name: "fake-does-not-start", Start: func(*program.Cell) (program.Use, error) {
		return nil, errors.New("no such option")
	}}, "fake-does-not-start does not start: no such option"},
	{program.Program{Name: "fake-hangs", Start: func(_ *program.Cell) (program.Use, error) {
		time.Sleep(time.Hour) // it is killed before that
		return nil, nil
	}}, "killed"},
	{program.Program{Name: "fake-ends", Start: func(_ *program.Cell) (program.Use, error) {
		os.Exit(3)
		return nil, nil
	}}, "exit status 3"},
	{program.Program{Name: "fake-has-no-version", Version: []string{"true"}}, "its version is not known"},
	{program.Program{Name: "fake-asks-others", Start: func(_ *program.Cell) (program.Use, error) {
		conn, err := net.Dial("udp", "192.0.2.1:53")
		if err != nil {
			return nil, err
		}
		_, err = conn.Write([]byte("query"))
		return nothing, err
	}}, "it asks others than the server: [192.0.2.1]"},
	{program.Program{Name: "fake-leaves-a-process", Start: func(*program.Cell) (program.Use, error) {
		return something, exec.Command("sh", "-c", "setsid sleep "+mark+" > /dev/null 2>&1 &").Run() // a daemon, whose parent is gone
	}}, ""},
	{program.Program{Name: "fake-ends-later", Start: func(c *program.Cell) (program.Use, error) {
		_, err := c.Run("sh", "-c", "sleep 1; exit 4")
		return something, err
	}}, "sh ended: exit status 4"},
	{program.Program{Name: "fake-answers-nothing", Start: func(*program.Cell) (program.Use, error) {
		return nothing, nil
	}}, "no use of it had an answer: nothing"},
	{program.Program{Name: "fake-asks", Start: func(_ *program.Cell) (program.Use, error) {
		return func(ctx context.Context, name string) (string, int, error) {
			addrs, err := net.DefaultResolver.LookupHost(ctx, name)
			if err != nil {
				return "", -1, err
			}
			return addrs[0], -1, nil
		}, nil
	}}, ""},
}

func something(context.Context, string) (string, int, error) { return "127.1.0.1", -1, nil }

func nothing(context.Context, string) (string, int, error) { return "", -1, errors.New("nothing") }

func TestMain(m *testing.M) {
	for i := range fakes {
		p := &fakes[i].Program
		if p.Version == nil {
			p.Version = []string{"echo", "1.0"}
		}
		program.All = append(program.All, p)
	}
	atlas.Alone, atlas.Used, startup = 2*time.Second, 2*time.Second, 4*time.Second
	if _, ok := cell.Inside(); ok {
		os.Exit(execute())
	}
	os.Exit(m.Run())
}

// TestFaults has programs that go wrong. What is said of each names it, and none is in the
// way of the others, nor leaves a process behind.
func TestFaults(t *testing.T) {
	for i := range fakes {
		f := &fakes[i]
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			o := options{repeats: 1}
			e := o.entry(t.Context(), &f.Program, newGate(1))
			if f.says == "" && e.Error != "" || !strings.Contains(e.Error, f.says) {
				t.Errorf("it says %q, want %q", e.Error, f.says)
			}
			if strings.Contains(e.Error, "\n") {
				t.Errorf("%q is more than a line", e.Error)
			}
			if f.Name == "fake-asks" && (e.Conclusion.Waits["ttl5"] != "each use" || e.Version != "1.0") {
				t.Errorf("%+v", e)
			}
		})
	}
	t.Cleanup(func() {
		all, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil || len(all) == 0 {
			t.Fatal(all, err)
		}
		for _, path := range all {
			if b, _ := os.ReadFile(path); strings.Contains(string(b), mark) { // #nosec G304 -- a process
				t.Errorf("%s is left: %q", path, b)
			}
		}
	})
}

// TestCommands has what is refused, and how it is said.
func TestCommands(t *testing.T) {
	for _, args := range [][]string{{"measure", "no-such-client"}, {"install", "no-such-client"}, {"check", "no-such-client"}} {
		err := command().Run(t.Context(), append([]string{"clients"}, args...))
		if err == nil || !strings.Contains(err.Error(), `client "no-such-client": there is none; accepted are`) {
			t.Errorf("%v: %v", args, err)
		}
	}
	if err := command().Run(t.Context(), []string{"clients", "cell", "measure", "go", ""}); err == nil {
		t.Error("a cell can be entered from outside")
	}
}

// TestByName has a program by its name, and all of its settings by a part of that.
func TestByName(t *testing.T) {
	for name, want := range map[string]int{"nginx": 1, "nginx-valid": 1, "envoy": 5, "hickory": 2, "envoy-": 0, "": 0, "n": 0} {
		if found, err := program.ByName(name); len(found) != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d programs, want %d: %v", name, len(found), want, err)
		}
	}
}

// TestInstalls has one that cannot be installed named, and the others installed.
func TestInstalls(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	made := ""
	program.All = append(program.All,
		&program.Program{Name: "fake-cannot-be-had", Install: func(context.Context, string) error { return exec.ErrNotFound }},
		&program.Program{Name: "fake-can-be-had", Install: func(_ context.Context, dir string) error {
			made = dir
			return nil
		}})
	err := command().Run(t.Context(), []string{"clients", "install", "fake-cannot-be-had", "fake-can-be-had"})
	if err == nil || !strings.Contains(err.Error(), "fake-cannot-be-had: ") {
		t.Errorf("%v", err)
	}
	if info, err := os.Stat(made); err != nil || !info.IsDir() {
		t.Errorf("%v", err)
	}
}
