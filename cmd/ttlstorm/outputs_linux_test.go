package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestPutFull has a device and a disk that are full. What was in a file before stays.
func TestPutFull(t *testing.T) {
	const full = "TTLSTORM_TEST_FULL"
	if path := os.Getenv(full); path != "" { // a file can have so much, in this process
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 4096, Max: 4096}); err != nil {
			t.Fatal(err)
		}
		err := put(t, path, strings.Repeat("report ", 10_000))
		if !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want one about %s", err, path)
		}
		return
	}
	if err := put(t, "/dev/full", "report"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v, want %v", err, syscall.ENOSPC)
	}
	for what, there := range map[string]bool{"a file": true, "a new file": false} {
		dir := t.TempDir()
		path := filepath.Join(dir, "file")
		if there {
			if err := os.WriteFile(path, []byte("what was there before"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPutFull$")
		child.Env = append(os.Environ(), full+"="+path)
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
		if all, _ := os.ReadDir(dir); len(all) > 1 || len(all) == 1 != there {
			t.Errorf("%s: there are %v after it", what, all)
		}
		if there && content(t, path) != "what was there before" {
			t.Errorf("%s has %.40q", what, content(t, path))
		}
	}
}

// TestPutInPlace has files that no other can take the place of: in a directory that cannot
// be written, and as a mount of its own, as in a container.
func TestPutInPlace(t *testing.T) {
	t.Run("a directory that cannot be written", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "file")
		if err := os.WriteFile(path, []byte("what was there before"), 0o600); err != nil {
			t.Fatal(err)
		}
		for path, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o555, path: 0o666} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
		defer func() { _ = os.Chmod(dir, 0o700) }() // #nosec G302 -- a directory
		if os.Geteuid() == 0 {                      // who can write everywhere
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			const nobody = 65534
			if err := syscall.Setfsuid(nobody); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = syscall.Setfsuid(0) }()
		}
		if err := put(t, path, "report"); err != nil || content(t, path) != "report" {
			t.Errorf("%v, %q", err, content(t, path))
		}
	})
	t.Run("a mount", func(t *testing.T) {
		dir := t.TempDir()
		path, other := filepath.Join(dir, "file"), filepath.Join(dir, "other")
		for _, p := range []string{path, other} {
			if err := os.WriteFile(p, []byte("what was there before"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := syscall.Mount(other, path, "", syscall.MS_BIND, ""); err != nil {
			t.Skip("there are no mounts for this user: ", err)
		}
		defer func() { _ = syscall.Unmount(path, 0) }()
		if err := put(t, path, "report"); err != nil || content(t, other) != "report" {
			t.Errorf("%v, %q", err, content(t, other))
		}
		if all, _ := os.ReadDir(dir); len(all) != 2 {
			t.Errorf("%v are left behind", all)
		}
	})
}
