package program

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Libraries of C and of Rust, which a small program uses.

var _ = register(&Program{
	Name: "glibc", Title: "glibc's `getaddrinfo`", Packages: []string{"gcc", "libc6-dev"}, Version: []string{"ldd", "--version"},
	Install: compile("getaddrinfo", "-pthread"),
	Start: func(c *Cell) (Use, error) {
		if err := c.ownRun(); err != nil { // the machine may have an nscd
			return nil, err
		}
		return driver(c, c.Installed+"/driver")
	},
})

var _ = register(&Program{
	Name: "nscd", Title: "glibc's `getaddrinfo` with nscd", Packages: []string{"gcc", "libc6-dev", "nscd"}, Version: []string{"nscd", "--version"},
	Install: compile("getaddrinfo", "-pthread"),
	Start: func(c *Cell) (Use, error) {
		if err := c.ownRun("/run/nscd"); err != nil {
			return nil, err
		}
		if err := c.empty("/var/cache/nscd"); err != nil { // it keeps what it has there
			return nil, err
		}
		if _, err := c.Run("nscd", "-F"); err != nil {
			return nil, err
		}
		if err := c.exists("/run/nscd/socket"); err != nil {
			return nil, err
		}
		return driver(c, c.Installed+"/driver")
	},
})

var _ = register(&Program{
	Name: "c-ares", Title: "c-ares", Packages: []string{"gcc", "libc6-dev", "libc-ares-dev"}, Version: []string{"{dir}/driver", "--version"},
	Install: compile("c-ares", "-lcares"),
	Start:   func(c *Cell) (Use, error) { return driver(c, c.Installed+"/driver") },
})

var _ = register(&Program{
	Name: "hickory-0.25", Title: "hickory-resolver 0.25", Packages: []string{"gcc", "libc6-dev"}, Tools: rust, SRV: true, Version: crate("hickory-resolver"),
	Install: cargo("hickory-0.25"),
	Start:   func(c *Cell) (Use, error) { return driver(c, c.Installed+cargoDriver) },
})

var _ = register(&Program{
	Name: "hickory-0.26", Title: "hickory-resolver 0.26", Packages: []string{"gcc", "libc6-dev"}, Tools: rust, SRV: true, Version: crate("hickory-resolver"),
	Install: cargo("hickory-0.26"),
	Start:   func(c *Cell) (Use, error) { return driver(c, c.Installed+cargoDriver) },
})

// compile returns what compiles the C program of a folder of programs/, as DIR/driver.
func compile(folder string, flags ...string) func(ctx context.Context, dir string) error {
	return func(ctx context.Context, dir string) error {
		args := slices.Concat([]string{"gcc", "-O2", "-Wall", "-Wextra", "-o", filepath.Join(dir, "driver"), "main.c"}, flags)
		return run(ctx, filepath.Join("programs", folder), args...)
	}
}

// rust is Debian's newest, for where there is none.
var rust = map[string]string{"cargo": "cargo-web"}

// cargoDriver is where cargo puts the driver.
const cargoDriver = "/target/release/driver"

// cargo returns what builds the Rust program of a folder of programs/.
func cargo(folder string) func(ctx context.Context, dir string) error {
	return func(ctx context.Context, dir string) error {
		return run(ctx, filepath.Join("programs", folder), "cargo", "build", "--release", "--locked", "--target-dir", filepath.Join(dir, "target"))
	}
}

// crate is what prints the version of a crate in the driver, which has the paths of its
// sources.
func crate(name string) []string {
	return []string{"grep", "--text", "--only-matching", "--max-count=1", name + "-[0-9.]*", "{dir}" + cargoDriver}
}

// ownRun gives the cell a /run of its own, with some directories.
func (c *Cell) ownRun(dirs ...string) error {
	if err := c.empty("/run"); err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil { // #nosec G301 -- as that of the system
			return err
		}
	}
	return nil
}

// empty hides what a directory of the machine has from the cell.
func (c *Cell) empty(dir string) error {
	return run(c.Context, "", "mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", dir)
}

// exists waits until there is a file.
func (c *Cell) exists(path string) error {
	for range 200 {
		_, err := os.Stat(path)
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		select {
		case <-c.Context.Done():
			return c.Context.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return errors.New("there is no " + path)
}
