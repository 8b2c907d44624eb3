package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"
)

// commands are those of the tool. Each has a file of its own.
func commands() []*cli.Command {
	return []*cli.Command{findCommand(), runCommand(), compareCommand(), modelsCommand(), versionCommand()}
}

// assumed is the command that arguments without one are of.
const assumed = "run"

// The categories that help lists flags under.
const (
	filesCategory    = "Files: what is written. A file that is - is standard output; the table then goes to standard error"
	loadCategory     = "Load: how the server is asked"
	protocolCategory = "Protocol"
	treatedCategory  = "Comparison: what is compared"
)

// completeFlag is what completion scripts of the library put behind the arguments.
const completeFlag = "--generate-shell-completion"

func init() {
	// One dash is what the documents have; two do as well.
	stringify := cli.FlagStringer
	cli.FlagStringer = func(f cli.Flag) string { return strings.Replace(stringify(f), "--", "-", 1) }
}

// tool is the program with all of its commands.
func tool(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	root := &cli.Command{
		Name: "ttlstorm", Usage: "ask a DNS server as programs do that follow TTLs, and show what comes of it",
		UsageText: "ttlstorm [COMMAND] [flags] [arguments]",
		Description: `Each client resolves a name, waits until the TTL has run out, and resolves it again.
What comes of that is shown as a table, as figures and as pictures.

   ttlstorm find coredns.log
   ttlstorm run -server 127.0.0.1:1053 -clients 500 -for 2m SRV dst.linkerd.svc.cluster.local
   ttlstorm compare -png storm.png

"ttlstorm help COMMAND" lists the flags of a command. They may stand anywhere behind it, with one
dash or two. Without a command it is "run". "ttlstorm completion -h" says how a shell completes
commands, flags and models.

The exit status is 2 for a mistake in the arguments, and 1 for any other failure.`,
		Version: versionOf(), Commands: commands(), EnableShellCompletion: true,
		ConfigureShellCompletionCommand: func(c *cli.Command) { c.Hidden = false },
		Reader:                          stdin, Writer: stdout, ErrWriter: stderr,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // main exits
	}
	root.ShellComplete, root.OnUsageError = complete, misused
	for _, c := range root.Commands {
		c.HideHelpCommand, c.ShellComplete, c.OnUsageError = true, complete, misused
	}
	return root
}

// execute runs the tool with arguments. What is wrong with them is a usageError.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	t := tool(stdin, stdout, stderr)
	args = helped(withCommand(t, args))
	err := t.Run(ctx, append([]string{t.Name}, args...))
	if unknown, ok := errors.AsType[cli.ExitCoder](err); ok { // of help and completion
		return usagef("%v; ttlstorm -h lists the commands", unknown)
	}
	return err
}

// withCommand returns arguments that have a command in front, or ask for help.
func withCommand(t *cli.Command, args []string) []string {
	if len(args) > 0 && (isCommand(t, args[0]) || slices.Contains([]string{
		"-h", "--h", "-help", "--help", "-v", "--v", "-version", "--version", completeFlag,
	}, args[0])) {
		return args
	}
	return append([]string{assumed}, args...)
}

// helped returns arguments that ask for the help of a command where -h is anywhere behind
// it. The library would take a name in front of it for a command.
func helped(args []string) []string {
	for _, arg := range args[1:] {
		switch arg {
		case "--":
			return args
		case "-h", "--h", "-help", "--help":
			return []string{"help", args[0]}
		}
	}
	return args
}

// isCommand tells whether a word is a command of the tool, those of the library included.
func isCommand(t *cli.Command, word string) bool {
	return word == "help" || word == "completion" || t.Root().Command(word) != nil
}

// misused says what is wrong with the flags of a command.
func misused(_ context.Context, c *cli.Command, err error, _ bool) error {
	if err := misplaced(c); err != nil {
		return err
	}
	return usagef("%v; -h lists the flags", err)
}

// misplaced refuses a command where only names can be.
func misplaced(c *cli.Command) error {
	for _, word := range c.Args().Slice() {
		if isCommand(c, word) {
			return usagef(`%q goes before the flags; the name is "%s."`, word, word)
		}
	}
	return nil
}

// values are those of flags that have few.
var values = map[string]func() []string{
	"model": modelNames, "proto": func() []string { return protocols }, "treatments": treatmentNames,
}

// complete writes what may come next, a line each: the values of a flag, flags with the
// dashes that were begun with, or commands.
func complete(_ context.Context, c *cli.Command) {
	w, last := c.Root().Writer, ""
	if args := c.Args().Slice(); len(args) > 0 {
		last = args[len(args)-1]
	}
	name := strings.TrimLeft(last, "-")
	if of := values[name]; of != nil && name != last {
		for _, v := range of() {
			_, _ = fmt.Fprintln(w, v)
		}
		return
	}
	if dashes := last[:len(last)-len(name)]; dashes != "" {
		for _, f := range c.VisibleFlags() {
			if n := f.Names()[0]; strings.HasPrefix(n, name) {
				_, _ = fmt.Fprintln(w, dashes+n)
			}
		}
		return
	}
	for _, sub := range c.VisibleCommands() {
		_, _ = fmt.Fprintf(w, "%s:%s\n", sub.Name, sub.Usage)
	}
}
