package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v3"
)

// versionCommand says what was built of what.
func versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "show the version, and those of what it is built with",
		Action: func(_ context.Context, c *cli.Command) error {
			if c.NArg() > 0 {
				return usagef("%q: version takes no arguments", c.Args().First())
			}
			_, err := fmt.Fprintf(c.Root().Writer, "ttlstorm %s\nCoreDNS %s\n%s %s/%s\n",
				version(), moduleVersion("github.com/coredns/coredns"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// unknown is a version that the build does not tell.
const unknown = "(unknown)"

// version is that of the tool, with the commit where it was built out of a clone.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	return info.Main.Version
}

// moduleVersion is that of a module that the tool is built with.
func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return unknown
}
