package program

import "path/filepath"

var _ = register(&Program{
	Name: "python-getaddrinfo", Title: "Python `socket.getaddrinfo`, which is that of glibc",
	Packages: []string{"python3-minimal"}, Version: []string{"/usr/bin/python3", "--version"},
	Install: copied("python", "driver.py"),
	Start: func(c *Cell) (Use, error) {
		return driver(c, "/usr/bin/python3", filepath.Join(c.Installed, "driver.py"))
	},
})
