//go:build linux

// Package cell runs a program where it reaches nothing but this machine's loopback, and
// where nothing of it is left when it ends: in namespaces of its own for the network, for
// mounts, and for processes.
package cell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Server is where the name server is that a client in a cell is to ask.
const Server = "127.0.0.1"

// inside is set for the process that Run starts.
const inside = "TTLFLOOR_CELL"

// Run runs this program again, with other arguments, as the first process of a cell. What
// it writes goes to stdout and stderr. All processes of the cell end with it.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	dir, err := os.MkdirTemp("", "cell-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o755); err != nil { // #nosec G302 -- programs that drop their rights read it
		return err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...) // #nosec G204 -- itself
	cmd.Env = append(os.Environ(), inside+"="+dir)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cell: %w", err)
	}
	return nil
}

// Inside tells whether this process is the first of a cell, and where it can write.
func Inside() (dir string, ok bool) {
	dir = os.Getenv(inside)
	return dir, dir != "" && os.Getpid() == 1
}

// Enter makes the cell: loopback is up, every address is one of this machine, so that a
// query that goes astray can be seen, and the resolver of the system asks Server.
func Enter(dir string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("proc: %w", err)
	}
	if err := syscall.Mount("run", "/run", "tmpfs", 0, "mode=755"); err != nil { // sockets of the machine's own daemons
		return fmt.Errorf("run: %w", err)
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"route", "add", "local", "default", "dev", "lo"},
		{"-6", "route", "add", "local", "default", "dev", "lo"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil { // #nosec G204 -- from above
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
	}
	for name, text := range map[string]string{
		"/etc/resolv.conf":   "nameserver " + Server + "\noptions timeout:2 attempts:2\n",
		"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
		"/etc/hosts":         "127.0.0.1 localhost\n",
	} {
		if err := cover(dir, name, text); err != nil {
			return err
		}
	}
	return nil
}

// cover puts another file over one of the system, for this cell alone.
func cover(dir, name, text string) error {
	target, err := filepath.EvalSymlinks(name)
	if errors.Is(err, os.ErrNotExist) {
		target, err = placed(name)
	}
	if target == "" && err == nil {
		return nil // who needs it brings it
	}
	if err != nil {
		return err
	}
	path := filepath.Join(dir, filepath.Base(name))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { // #nosec G306 -- as that of the system
		return err
	}
	if err := syscall.Mount(path, target, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount over %s: %w", target, err)
	}
	return nil
}

// placed makes the file in /run that a name leads to, as where a daemon writes resolv.conf.
func placed(name string) (target string, err error) {
	target, err = os.Readlink(name)
	if err != nil {
		return "", nil
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(name), target)
	}
	if !strings.HasPrefix(target, "/run/") {
		return "", nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil { // #nosec G301 -- as that of the system
		return "", err
	}
	return target, os.WriteFile(target, nil, 0o644) // #nosec G306 -- as that of the system
}
