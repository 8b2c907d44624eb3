package program

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Clients of Node.js.

var _ = register(&Program{
	Name: "node", Title: "Node.js `dns.resolve4`",
	Packages: []string{"nodejs"}, Version: []string{"node", "--version"},
	Install: copied("node", "driver.mjs"),
	Start:   func(c *Cell) (Use, error) { return driver(c, "node", filepath.Join(c.Installed, "driver.mjs")) },
})

// cacheableLookup is the version that package-lock.json has.
const cacheableLookup = "7.0.0"

var _ = register(&Program{
	Name: "node-cacheable-lookup", Title: "cacheable-lookup for Node.js",
	Packages: []string{"nodejs"}, Tools: map[string]string{"npm": "npm"}, Version: []string{"node", "--print", "require('{dir}/" + cacheableLookup + "/node_modules/cacheable-lookup/package.json').version"},
	Install: func(ctx context.Context, dir string) error {
		dir = filepath.Join(dir, cacheableLookup)
		if err := copied("cacheable-lookup", "driver.mjs", "package.json", "package-lock.json")(ctx, dir); err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json")); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return run(ctx, dir, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	},
	Start: func(c *Cell) (Use, error) {
		return driver(c, "node", filepath.Join(c.Installed, cacheableLookup, "driver.mjs"))
	},
})

// copied returns what copies files of a folder of programs/.
func copied(folder string, names ...string) func(ctx context.Context, dir string) error {
	return func(_ context.Context, dir string) error {
		if err := os.MkdirAll(dir, 0o755); err != nil { // #nosec G301 -- programs that drop their rights read it
			return err
		}
		for _, name := range names {
			b, err := os.ReadFile(filepath.Join("programs", folder, name)) // #nosec G304 -- from the code
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil { // #nosec G306 G703 -- names are from the code, and programs that drop their rights read it
				return err
			}
		}
		return nil
	}
}
