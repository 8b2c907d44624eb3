package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"
)

// The most names that there can be, and the most resolvers: names times clients. A
// resolver is a goroutine with a timer, and takes about resolverSize octets.
const (
	maxNames     = 10_000
	maxResolvers = 1_000_000
	resolverSize = 10 << 10
)

// longestLine is that of a file of names, in octets: a name with each of its octets
// escaped, and a comment.
const longestLine = 4096

// namesOf reads a file of names, or standard input where it is "-".
func namesOf(path string, stdin io.Reader) ([]question, error) {
	if path == "-" {
		return readNames("-names -", stdin)
	}
	f, err := os.Open(path) // #nosec G304 -- named by the user
	if err != nil {
		return nil, usagef("-names %s: cannot be read (%v)", path, errors.Unwrap(err))
	}
	defer func() { _ = f.Close() }()
	return readNames("-names "+path, f)
}

// readNames reads [TYPE] NAME or NAME [TYPE] out of each line. What is behind a # is a
// comment. It stops at the first line that is too many.
func readNames(what string, r io.Reader) (out []question, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, longestLine), longestLine)
	n := 0
	for lines.Scan() {
		n++
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		q, err := parseQuestions(words)
		switch {
		case err != nil:
			return nil, usagef("%s, line %d: %v", what, n, err)
		case len(q) > 1:
			return nil, usagef("%s, line %d: %q is another name; a line has one", what, n, q[1].name)
		case len(out) == maxNames:
			return nil, usagef("%s, line %d: more than %d names", what, n, maxNames)
		}
		out = append(out, q...)
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, usagef("%s, line %d: longer than %d octets; a line has [TYPE] NAME or NAME [TYPE]", what, n+1, longestLine)
	case err != nil:
		return nil, usagef("%s: %v; a file has [TYPE] NAME or NAME [TYPE] in each line", what, err)
	case len(out) == 0:
		return nil, usagef("%s has no names; a line has [TYPE] NAME or NAME [TYPE]", what)
	}
	return out, nil
}
