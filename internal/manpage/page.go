package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// header opens the page. Its first line has man run tbl; there is no date, so
// that the page changes only with the README; words are not broken, since most
// of the long ones are names.
const header = `'\" t
.\" Generated from README.md by internal/manpage. Do not edit: run "make man".
.TH "COREDNS\-TTLFLOOR" 7 "" "ttlfloor" "CoreDNS Plugins"
.nh
.ad l
`

// first is the section that the page begins with. What the README has before it is for those
// who do not have the server yet.
const first = "Name"

// convert returns the man page of a README.
func convert(readme string) (string, error) {
	p := page{lines: strings.Split(readme, "\n")}
	p.out.WriteString(header)
	p.at = max(slices.Index(p.lines, "## "+first), 0)
	for p.at < len(p.lines) {
		begin := p.at
		if err := p.block(); err != nil {
			return "", fmt.Errorf("%d: %w", begin+1, err)
		}
	}
	return p.out.String(), nil
}

// page is a man page in the making, and the lines that it is made of.
type page struct {
	out     strings.Builder
	lines   []string
	at      int    // of lines, the next one
	section string // its heading
}

var (
	listItem = regexp.MustCompile(`^(?:\*|[0-9]+\.) +`)
	unknown  = regexp.MustCompile(`^(?:>|<|!\[|#### |---|\t| {4}|\+ |- |` + "```" + `)`)
)

// block converts the block that begins at the next line.
func (p *page) block() error {
	line := p.lines[p.at]
	switch {
	case line == "":
		p.at++
	case strings.HasPrefix(line, "# "):
		p.at++ // the title is in the header
	case strings.HasPrefix(line, "## "):
		p.section = line[len("## "):]
		p.at++
		p.request(".SH", strings.ToUpper(p.section))
	case strings.HasPrefix(line, "### "):
		p.request(".SS", line[len("### "):])
		p.at++
	case strings.HasPrefix(line, "~~~"):
		return p.fence()
	case strings.HasPrefix(line, "|"):
		return p.table()
	case listItem.MatchString(line):
		return p.item()
	case unknown.MatchString(line):
		return fmt.Errorf("%q is Markdown that the man page does not know: "+
			"headings, paragraphs, lists, tables and blocks between ~~~ are accepted", line)
	case p.section == "Name":
		return p.name()
	default:
		return p.paragraph()
	}
	return nil
}

// request writes a heading, which is in one font.
func (p *page) request(name, argument string) {
	argument = strings.NewReplacer("`", "", "*", "").Replace(argument)
	fmt.Fprintf(&p.out, "%s \"%s\"\n", name, strings.ReplaceAll(escape(argument), `"`, `\(dq`))
}

// take returns the lines up to the first one that is none of the block's.
func (p *page) take(ours func(line string) bool) []string {
	begin := p.at
	for p.at++; p.at < len(p.lines) && ours(p.lines[p.at]); {
		p.at++
	}
	return p.lines[begin:p.at]
}

// text writes lines that roff fills. The breaks of lines
// stay where the README has them, so that a change of the README is a small change of the page.
func (p *page) text(lines []string) error {
	s, err := inline(strings.Join(lines, "\n"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(s + "\n") {
		p.out.WriteString(guard(line))
	}
	return nil
}

// continues reports whether a line goes on with the paragraph or list item
// above it.
func continues(line string) bool {
	return line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "~~~") &&
		!strings.HasPrefix(line, "|") && !listItem.MatchString(line)
}

func (p *page) paragraph() error {
	p.out.WriteString(".PP\n")
	return p.text(p.take(continues))
}

// name writes the line that apropos and whatis read, which may have no fonts
// and has its own dash.
func (p *page) name() error {
	name, what, ok := strings.Cut(strings.Join(p.take(continues), " "), " - ")
	if !ok {
		return errors.New(`the name has no " - " before what it does`)
	}
	p.out.WriteString(strings.Trim(name, "*") + ` \- ` + escape(what) + "\n")
	return nil
}

func (p *page) item() error {
	tag := strings.TrimSpace(listItem.FindString(p.lines[p.at]))
	if tag == "*" {
		tag = `\(bu`
	}
	fmt.Fprintf(&p.out, ".IP %s 4\n", tag)
	lines := slices.Clone(p.take(continues))
	lines[0] = listItem.ReplaceAllString(lines[0], "")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], " ")
	}
	return p.text(lines)
}

func (p *page) fence() error {
	lines := p.take(func(line string) bool { return line != "~~~" })
	if p.at == len(p.lines) {
		return errors.New("a block that ~~~ does not end")
	}
	p.at++
	p.out.WriteString(".PP\n.RS 4\n.nf\n")
	for _, line := range lines[1:] {
		p.out.WriteString(guard(literal(line) + "\n"))
	}
	p.out.WriteString(".fi\n.RE\n")
	return nil
}

// guard keeps roff from taking a line of text for a request.
func guard(line string) string {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}
