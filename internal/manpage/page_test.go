package main

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	spaces     = regexp.MustCompile(`\s+`)
	overstrike = regexp.MustCompile(`.\x08`)
)

const page7 = "../../man/coredns-ttlfloor.7"

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPage fails when the page is not that of the README.
func TestPage(t *testing.T) {
	want, err := convert(read(t, "../../README.md"))
	if err != nil {
		t.Fatal("README.md:", err)
	}
	if read(t, page7) != want {
		t.Errorf("%s is stale: run make man", page7)
	}
}

// groff returns what a terminal shows of a page, with a blank for any white
// space. Each of groff's warnings is an error.
func groff(t *testing.T, page string) string {
	t.Helper()
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skip("needs groff, of the Debian package groff-base")
	}
	cmd := exec.CommandContext(t.Context(), "groff", "-t", "-man", "-ww", "-Tutf8", "-rLL=90n", "-P-c")
	// A terminal has no pages, but groff has, and warns of a table that comes to
	// lie at the end of one.
	cmd.Stdin = strings.NewReader(".pl 9999v\n" + page)
	var warnings strings.Builder
	cmd.Stderr = &warnings
	out, err := cmd.Output()
	if err != nil || warnings.Len() > 0 {
		t.Errorf("groff: %v %s", err, &warnings)
	}
	return spaces.ReplaceAllString(overstrike.ReplaceAllString(string(out), ""), " ")
}

// TestGroff has groff read the page. It looks for what the README shows as it is,
// its headings and blocks, and for what is of Markdown.
func TestGroff(t *testing.T) {
	shown := groff(t, read(t, page7))
	looked := 0
	sections := strings.Split(read(t, "../../README.md"), "\n## ")
	before := slices.IndexFunc(sections, func(s string) bool { return strings.HasPrefix(s, first+"\n") })
	for _, section := range sections[before:] {
		heading, text, _ := strings.Cut(section, "\n")
		wanted := []string{strings.ToUpper(strings.NewReplacer("*", "", "`", "").Replace(heading))}
		for i, part := range strings.Split(text, "\n~~~") {
			if _, block, ok := strings.Cut(part, "\n"); ok && i%2 == 1 {
				wanted = append(wanted, block)
			}
		}
		for _, want := range wanted {
			if want = strings.Join(strings.Fields(want), " "); !strings.Contains(shown, want) {
				t.Errorf("the page does not show %q", want)
			}
			looked++
		}
	}
	if looked < 10 {
		t.Errorf("%d headings and blocks were looked for, want 10 at least", looked)
	}
	for _, markdown := range []string{"Quick start", "Build it in", "**", "~~~", "]("} {
		if strings.Contains(shown, markdown) {
			t.Errorf("the page shows %q", markdown)
		}
	}
}

// TestGroffAnywhere has each form further and further down a page.
func TestGroffAnywhere(t *testing.T) {
	const forms = "a λ, [b](https://b.example/c-d) and `^c\\.`\n\n" +
		"* item\n\n" +
		"~~~ txt\n.d\n~~~\n\n" +
		"| e | f |\n|---|---|\n| 1 | a cell of so many words that it takes two lines at least, which are set apart |\n"
	for lines := range 70 { // a page of a terminal has 66
		page, err := convert("## Description\n\n" + strings.Repeat("z\n\n", lines) + forms)
		if err != nil {
			t.Fatal(err)
		}
		shown := groff(t, page)
		for _, want := range []string{" a λ, b ⟨https://b.example/c-d⟩ and ^c\\. ", " • item ", " .d ", " e f ", " 1 a cell of "} {
			if !strings.Contains(shown, want) {
				t.Errorf("%d lines down the page does not show %q:\n%s", lines, want, shown)
			}
		}
		if t.Failed() {
			return
		}
	}
}

func TestConvert(t *testing.T) {
	for _, tc := range []struct{ name, readme, want string }{
		{"no title", "# ttlfloor\n", ""},
		{"section", "## See Also\n", ".SH \"SEE ALSO\"\n"},
		{"heading in one font", "## Why not *rewrite* `ttl`?\n", ".SH \"WHY NOT REWRITE TTL?\"\n"},
		{"subsection", "### A \"b\"\n", ".SS \"A \\(dqb\\(dq\"\n"},
		{"what is before the name", "# x\n\n![y](y.svg)\n\n## Quick start\n\n~~~ sh\nmake\n~~~\n\n## Name\n\nx - y\n\n## Bugs\n", ".SH \"NAME\"\nx \\- y\n.SH \"BUGS\"\n"},
		{"name", "## Name\n\n*x* - does a-b\nand c.\n", ".SH \"NAME\"\nx \\- does a-b and c.\n"},
		{"paragraphs", "a\nb\n\nc\n", ".PP\na\nb\n.PP\nc\n"},
		{"fonts", "*a* **B** `c-d`\n", ".PP\n\\fIa\\fR \\fIB\\fR \\fBc\\-d\\fR\n"},
		{"code holds nothing else", "`a*b*`\n", ".PP\n\\fBa*b*\\fR\n"},
		{"a product is no emphasis", "2 * 3 * 4\n", ".PP\n2 * 3 * 4\n"},
		{"link", "[a](https://b.example/c-d)\n", ".PP\na \\(lahttps://b.example/c\\-d\\(ra\n"},
		{"link to a file", "[docs/a.md](docs/a.md)\n", ".PP\ndocs/a.md\n"},
		{"span over two lines", "*a\nb*\n", ".PP\n\\fIa\nb\\fR\n"},
		{"no request", ".a\n'b\n", ".PP\n\\&.a\n\\&'b\n"},
		{"escapes", "a\\b λ\n", ".PP\na\\eb \\[u03BB]\n"},
		{"list", "* a\n  b\n* c\n", ".IP \\(bu 4\na\nb\n.IP \\(bu 4\nc\n"},
		{"numbers", "1. a\n2. b\n", ".IP 1. 4\na\n.IP 2. 4\nb\n"},
		{"block", "~~~ txt\n.a ^b\n\n  c\\\n~~~\n", ".PP\n.RS 4\n.nf\n\\&.a \\(hab\n\n  c\\e\n.fi\n.RE\n"},
		{"table", "| a | b |\n|---|--:|\n| `c` | .d \\| e |\n", ".PP\n.TS\nlb lb\nl l.\na\tb\n\\fBc\\fR\t\\&.d | e\n.TE\n"},
		{
			"wide table", "| a | |\n|---|---|\n| c | " + strings.Repeat("d ", 21) + "|\n",
			".PP\n.TS\nlb lbx\nl lx.\na\t\nc\tT{\n" + strings.TrimSpace(strings.Repeat("d ", 21)) + "\nT}\n.TE\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := convert(tc.readme)
			if err != nil {
				t.Fatal(err)
			}
			if got = strings.TrimPrefix(got, header); got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
		})
	}
}

func TestConvertRefuses(t *testing.T) {
	for _, tc := range []struct{ name, readme, want string }{
		{"picture", "a\n\n![b](c.svg)\n", `3: "![b](c.svg)" is Markdown that`},
		{"picture in a line", "a ![b](c.svg)\n", `"![" in`},
		{"HTML", "a <b>\n", `"<b" in`},
		{"quotation", "> a\n", `1: "> a" is Markdown that`},
		{"other fence", "```\na\n```\n", `headings, paragraphs, lists, tables and blocks between ~~~ are accepted`},
		{"indented block", "a\n\n    b\n", `3: "    b" is Markdown that`},
		{"code without end", "a `b\n", "\"`\" in"},
		{"block without end", "~~~\na\n", "a block that ~~~ does not end"},
		{"name without dash", "## Name\n\nx\n", `the name has no " - "`},
		{"table without rule", "| a |\n| b |\n", `"| a |" is no table`},
		{"row of another length", "| a |\n|---|\n| b | c |\n", "has 2 cells, its head 1"},
		{"row without end", "| a |\n|---|\n| b\n", "does not end with a bar"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := convert(tc.readme)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want one with %q", err, tc.want)
			}
		})
	}
}
