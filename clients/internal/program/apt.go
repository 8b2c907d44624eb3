package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
)

// policy is the file that Debian's packages ask before they start a service (invoke-rc.d(8)).
const policy = "/usr/sbin/policy-rc.d"

// apt installs packages of Debian, starts none of their services, and upgrades none that are
// there.
func apt(ctx context.Context, log io.Writer, packages ...string) error {
	if installed(ctx, packages) {
		return nil
	}
	allow, err := noServices()
	if err != nil {
		return err
	}
	defer allow()
	get := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-o", "DPkg::Lock::Timeout=120", "-qq"}, args...)...) // #nosec G204 -- from the code
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = log, log
		return cmd.Run()
	}
	if err := update(func() error { return get("update") }); err != nil { // lists may be missing, or old
		return fmt.Errorf("apt-get update: %w", err)
	}
	if err := get(append([]string{"install", "-y", "--no-upgrade", "--no-install-recommends"}, packages...)...); err != nil {
		return fmt.Errorf("apt-get install %v: %w", packages, err)
	}
	return nil
}

// updated is whether the lists of packages are new.
var updated bool

// update calls what gets new lists, once.
func update(get func() error) error {
	if updated {
		return nil
	}
	err := get()
	updated = err == nil
	return err
}

// installed tells whether packages are.
func installed(ctx context.Context, packages []string) bool {
	query := exec.CommandContext(ctx, "dpkg-query", append([]string{"--show", "--showformat", "${db:Status-Status}\n"}, packages...)...) // #nosec G204 -- from the code
	out, err := query.Output()
	return err == nil && strings.Count(string(out), "installed\n") >= len(packages) && !strings.Contains(string(out), "not-installed")
}

// noServices keeps services from being started. allow takes that back. A policy that is there
// stays.
func noServices() (allow func(), err error) {
	f, err := os.OpenFile(policy, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755) // #nosec G302 -- a program
	if errors.Is(err, fs.ErrExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	allow = func() { _ = os.Remove(policy) }
	if _, err = f.WriteString("#!/bin/sh\nexit 101\n"); err == nil {
		err = f.Chmod(0o755) // #nosec G302 -- a program
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		allow()
		return nil, err
	}
	return allow, nil
}
