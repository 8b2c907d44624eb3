package program

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// build returns what builds the Go program of a folder of programs/, as DIR/driver.
func build(folder string) func(ctx context.Context, dir string) error {
	return func(ctx context.Context, dir string) error {
		return run(ctx, filepath.Join("programs", folder), "go", "build", "-o", filepath.Join(dir, "driver"), ".")
	}
}

// run runs a command of an installation.
func run(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) // #nosec G204 -- from the code
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%v: %w", args, err)
	}
	return nil
}
