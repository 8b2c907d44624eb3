package program

// Libraries, which a small program uses.

var _ = register(&Program{
	Name: "go", Title: "Go's own resolver", Packages: []string{}, Version: []string{"go", "version"},
	Install: build("go"),
	Start:   func(c *Cell) (Use, error) { return driver(c, c.Installed+"/driver") },
})
