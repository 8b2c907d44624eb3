package main

import (
	"fmt"
	"regexp"
	"strings"
)

// spans are what the README has inside its lines, in the order in which they
// are looked for: code, which holds nothing else; what a user fills in; names
// of plugins and terms; links.
var spans = regexp.MustCompile("`([^`]+)`" +
	`|\*\*([^*]+)\*\*` +
	`|\*([^*\s](?:[^*]*[^*\s])?)\*` +
	`|\[([^\]]+)\]\(([^)]+)\)`)

// left is what is Markdown still where no span was found.
var left = regexp.MustCompile("`|!\\[|\\]\\(|\\*\\*|<[a-z/]")

// inline converts a text. By the custom of man(7), what is typed as it stands
// is bold, and what is filled in is in italics.
func inline(text string) (string, error) {
	var b strings.Builder
	plain := func(s string) error {
		if m := left.FindString(s); m != "" {
			return fmt.Errorf("%q in %q is Markdown that the man page does not know: "+
				"`code`, *names*, **VALUES** and [links](to) are accepted", m, s)
		}
		b.WriteString(escape(s))
		return nil
	}
	for {
		m := spans.FindStringSubmatchIndex(text)
		if m == nil {
			err := plain(text)
			return b.String(), err
		}
		before := text[:m[0]]
		if m[8] >= 0 && strings.HasSuffix(before, "!") {
			before += "[" // a picture
		}
		if err := plain(before); err != nil {
			return "", err
		}
		group := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return text[m[2*i]:m[2*i+1]]
		}
		switch {
		case m[2] >= 0:
			b.WriteString(`\fB` + literal(group(1)) + `\fR`)
		case m[4] >= 0:
			b.WriteString(`\fI` + escape(group(2)) + `\fR`)
		case m[6] >= 0:
			b.WriteString(`\fI` + escape(group(3)) + `\fR`)
		default:
			b.WriteString(escape(group(4)))
			// A page has no files beside it: of those only the name is of use.
			if to := group(5); strings.Contains(to, "://") {
				b.WriteString(` \(la` + literal(to) + `\(ra`)
			}
		}
		text = text[m[1]:]
	}
}

// escape writes text for roff.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r > '~':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// literal writes what is typed as it stands, so that what is copied out of the
// page has ASCII's own hyphens, carets, quotes and tildes.
func literal(s string) string {
	return strings.NewReplacer("-", `\-`, "^", `\(ha`, "~", `\(ti`, "'", `\(aq`, "`", `\(ga`).Replace(escape(s))
}
