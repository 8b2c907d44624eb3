//go:build linux

// Package find runs "ttlstorm find" as its user does: on what a CoreDNS gives that real
// clients ask. It is about Linux, where each client can have an address of its own on
// loopback, and whose packets show there to root.
package find

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// patience is how long a test waits for what has to come, however slow the machine is.
const patience = time.Minute

// tool is the program that is tested.
var tool string

// TestMain builds the tool. In a process that a test has started it is a CoreDNS.
func TestMain(m *testing.M) {
	if corefile := os.Getenv(serving); corefile != "" {
		if err := serve(corefile); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ttlfloor-find-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	tool = filepath.Join(dir, "ttlstorm")
	if out, err := exec.Command("go", "build", "-C", "../../cmd/ttlstorm", "-o", tool, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building ttlstorm: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
