//go:build linux

// Package nodecache tests the cache on every node, deploy/node-cache, with real
// servers: its Corefile as it stands, the interface that it binds to, and the
// servers of the cluster behind it. For that the tests run in a network namespace
// of their own, where port 53 and 169.254.20.10 are free.
package nodecache

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	_ "github.com/ttlfloor/ttlfloor" // so that results are not kept over a change of it
)

// inside is the environment variable that tells the tests that they are in the
// namespace; its value is the directory of the programs.
const inside = "NODECACHE_PROGRAMS"

// missing is why the tests can't run, or "".
var missing string

func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			panic(fmt.Sprintf("%v: %s", err, out))
		}
		os.Exit(m.Run())
	}
	if _, err := exec.LookPath("ip"); err != nil {
		missing = "needs ip, of the Debian package iproute2"
		os.Exit(m.Run())
	}
	code, err := enter()
	if err != nil {
		missing = "needs root, or user namespaces: " + err.Error()
		code = m.Run()
	}
	os.Exit(code)
}

// enter builds the programs, runs the tests again in a new network namespace, and
// returns their exit code, or why there is no namespace. Inside there is no network
// to get modules from, which is why the programs are built here.
func enter() (code int, err error) {
	dir, err := os.MkdirTemp("", "nodecache")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	build := exec.Command("go", "build", "-C", "../..", "-o", dir, "./cmd/coredns", "./cmd/nodeif")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v: %s", err, out))
	}

	tests := exec.Command("/proc/self/exe", os.Args[1:]...)
	tests.Env = append(os.Environ(), inside+"="+dir)
	tests.Stdin, tests.Stdout, tests.Stderr = os.Stdin, os.Stdout, os.Stderr
	tests.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		tests.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		tests.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		tests.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: gid, Size: 1}}
	}
	runtime.LockOSThread() // whose end would be the death of the parent
	if err := tests.Start(); err != nil {
		return 0, err
	}
	var exit *exec.ExitError
	if err := tests.Wait(); err != nil && !errors.As(err, &exit) {
		panic(err)
	}
	return tests.ProcessState.ExitCode(), nil
}

// program returns the path of cmd/NAME, which is built.
func program(t *testing.T, name string) string {
	t.Helper()
	if missing != "" {
		t.Skip(missing)
	}
	// go test keeps a result as long as no file that was read changes.
	sources, err := filepath.Glob("../../cmd/" + name + "/*.go")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no sources of %s: %v", name, err)
	}
	for _, source := range sources {
		if _, err := os.ReadFile(source); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(os.Getenv(inside), name)
}
