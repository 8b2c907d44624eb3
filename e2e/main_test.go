package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// background is for calls to the API server that have a timeout of their own.
var background = context.Background()

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "ttlfloor-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	plane, err = startControlPlane(dir)
	if plane != nil {
		defer plane.stop()
	}
	if err == nil {
		err = install()
	}
	if err == nil {
		err = makeWorkloads()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		if plane != nil {
			plane.show()
		}
		return 1
	}
	code := m.Run()
	if code != 0 {
		plane.show()
	}
	return code
}
