package main

import (
	"os"
	"os/exec"
	"regexp"
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

// TestGroff has groff read the page, with all of its warnings, and looks for
// what must not be lost on the way.
func TestGroff(t *testing.T) {
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skip("needs groff, of the Debian package groff-base")
	}
	cmd := exec.CommandContext(t.Context(), "groff", "-t", "-man", "-ww", "-Tutf8", "-rLL=90n", "-P-c", page7)
	var warnings strings.Builder
	cmd.Stderr = &warnings
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err, warnings.String())
	}
	if warnings.Len() > 0 {
		t.Errorf("groff warns: %s", warnings.String())
	}
	shown := spaces.ReplaceAllString(overstrike.ReplaceAllString(string(out), ""), " ")
	for _, want := range []string{
		"NAME ttlfloor - raises zero",
		"jitter LOW [HIGH] [scheduled|random]",
		"scheduled 30.00 1.87",
		"match ^www\\.",
		"L = λW",
		"⟨https://github.com/linkerd/linkerd2/issues/13508⟩",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	for _, markdown := range []string{"**", "~~~", "](", "Quick start"} {
		if strings.Contains(shown, markdown) {
			t.Errorf("the page shows %q", markdown)
		}
	}
}

func TestConvert(t *testing.T) {
	for _, tc := range []struct{ name, readme, want string }{
		{"no title", "# ttlfloor\n", ""},
		{"section", "## See Also\n", ".SH \"SEE ALSO\"\n"},
		{"heading in one font", "## Why not *rewrite* `ttl`?\n", ".SH \"WHY NOT REWRITE TTL?\"\n"},
		{"subsection", "### A \"b\"\n", ".SS \"A \\(dqb\\(dq\"\n"},
		{"sections that are cut", "## Quick start\n\n~~~ sh\nmake\n~~~\n\n## Bugs\n", ".SH \"BUGS\"\n"},
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
