//go:build unix

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// put writes text to a file that -json names.
func put(t *testing.T, path, text string) error {
	t.Helper()
	out, err := (&files{json: path}).open(io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer out.close()
	return out.files[0].put([]byte(text))
}

// content is what a file has.
func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPut has files that there are, and are not, and what they are after a report.
func TestPut(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	for name, mode := range map[string]os.FileMode{"private": 0o600, "shared": 0o664, "target": 0o640, "short": 0o644} {
		if err := os.WriteFile(file(name), []byte(strings.Repeat("what was there before ", 10)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("target", file("link")); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"private": 0o600, "shared": 0o664, "link": 0o640, "short": 0o644, "new": 0o644 &^ umask()} {
		old, err := os.Open(file(name)) // who reads it
		if err == nil {
			defer func() { _ = old.Close() }()
		}
		if err := put(t, file(name), "report"); err != nil {
			t.Fatal(name, err)
		}
		info, err := os.Stat(file(name))
		if err != nil || info.Mode().Perm() != mode || content(t, file(name)) != "report" {
			t.Errorf("%s: %v, %v, %q, want %v", name, info.Mode(), err, content(t, file(name)), mode)
		}
		if old != nil {
			if b, err := io.ReadAll(old); err != nil || !strings.HasPrefix(string(b), "what was there") {
				t.Errorf("%s: who reads it gets %q, %v", name, b, err)
			}
		}
	}
	if to, err := os.Readlink(file("link")); err != nil || to != "target" || content(t, file("target")) != "report" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	if all, _ := filepath.Glob(file("*")); len(all) != 6 {
		t.Errorf("there are %q", all)
	}
	if all, _ := filepath.Glob(file(".*")); len(all) > 0 {
		t.Errorf("%q are left behind", all)
	}
}

// umask is that of the process.
func umask() os.FileMode {
	mask := syscall.Umask(0)
	syscall.Umask(mask)
	return os.FileMode(mask)
}
