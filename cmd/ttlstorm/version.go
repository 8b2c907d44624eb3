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
				versionOf(), moduleVersion("github.com/coredns/coredns"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// unknown is a version that the build does not tell.
const unknown = "(unknown)"

// version is what a release is built with. Other builds know it from their module, with
// the commit where they are of a clone.
var version string

// versionOf is the version of the tool.
func versionOf() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return unknown
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
