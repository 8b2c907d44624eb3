//go:build linux

package find

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hostile is a name that would color a terminal, and is markup.
const hostile = `\027[31m<b>red.example.`

// TestBroken has find read each kind of file whole, cut, broken in the middle, and broken
// from the start.
func TestBroken(t *testing.T) {
	for kind, whole := range kinds(t, hostile) {
		dir := t.TempDir()
		n := len(whole)
		middle := whole[:n/2] + strings.Repeat("\xff\x1b", 40) + whole[n/2+80:]
		write(t, dir, map[string]string{"whole": whole, "cut": whole[:n*9/10+1], "middle": middle, "start": "\x1b" + whole[1:12], "header": whole[:11], "empty": ""})
		for _, c := range []struct {
			file   string
			status int
			clear  bool   // the herd shows all the same
			says   string // on standard error
		}{
			{"whole", 0, true, ""},
			{"cut", 0, true, `"cut" ends in the middle`},
			{"middle", 0, false, `"middle"`},
			{"start", 1, false, `"start"`},
			{"header", 1, false, `"header"`},
			{"empty", 1, false, "it is empty; accepted are lines of the log plugin"},
		} {
			t.Run(kind+", "+c.file, func(t *testing.T) {
				o := storm(t, dir, "", "find", "-html", c.file+".html", "-json", c.file+".json", c.file)
				if o.status != c.status || !strings.Contains(o.stderr, c.says) || (o.stderr == "") != (c.says == "") {
					t.Errorf("status %d and %q, want %d and %q", o.status, o.stderr, c.status, c.says)
				}
				if c.status != 0 {
					oneLine(t, o)
				}
				html, _ := os.ReadFile(filepath.Join(dir, c.file+".html"))
				json, _ := os.ReadFile(filepath.Join(dir, c.file+".json"))
				for _, text := range []string{o.stdout, o.stderr, string(json), string(html)} {
					printable(t, text)
				}
				if there := len(html) > 0 && len(json) > 0; there != (c.status == 0) {
					t.Errorf("%d octets of HTML, %d of JSON", len(html), len(json))
				}
				if !c.clear {
					return
				}
				o.stdout = string(json)
				if r := reported(t, o); len(r.Findings) != 1 || r.Findings[0].Clients != crowd || r.Findings[0].Name != hostile {
					t.Errorf("got %+v, want a herd of %d at %s", r, crowd, hostile)
				}
				if strings.Contains(string(html), "<b>") {
					t.Error("the name is markup")
				}
			})
		}
	}
}

// printable fails where a text has control characters, or is not UTF-8.
func printable(t *testing.T, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == '\ufffd' }); i >= 0 {
		t.Errorf("%q is in the text", text[max(0, i-40):min(len(text), i+40)])
	}
}

// oneLine fails where what is wrong takes more than a line.
func oneLine(t *testing.T, o outcome) {
	t.Helper()
	if !strings.HasPrefix(o.stderr, "ttlstorm: ") || strings.Count(o.stderr, "\n") != 1 {
		t.Errorf("want one line, not %q", o.stderr)
	}
}

// TestInputs has what else a user gives find.
func TestInputs(t *testing.T) {
	const minute = 12 // rounds
	one, two := logged("192.0.2.1", herd, 30, 2*minute), logged("192.0.2.101", herd, 30, 2*minute)
	var between strings.Builder
	for line := range strings.Lines(one) {
		between.WriteString("2026-03-29T00:30:00Z {\"level\":\"info\",\"msg\":\"\\u001b[2J\"}\n\x1b[31mpanic: \xff\n\n" + line)
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"one.log": one, "two.log": two, "both.log": one + two, "twice.log": one + one, "between.log": between.String(), "\x1b[31m.log": one[:len(one)-9],
		"empty.log": "", "kept.html": "kept",
	})
	must(t, os.Symlink("one.log", filepath.Join(dir, "link.log")), os.Mkdir(filepath.Join(dir, "logs"), 0o700))
	for _, c := range []struct {
		name    string
		args    string // files are in the directory
		status  int
		says    string // on standard error, or in the report
		clients int    // of the herd that is found
	}{
		{"one server", "one.log", 0, "", 30},
		{"two servers as two files", "one.log two.log", 0, "", 60},
		{"two servers as one file", "both.log", 0, `"both.log": the clock went back once; its 2 parts are read side by side`, 60},
		{"a clock that runs back", "twice.log", 0, `"twice.log": the clock went back`, 30},
		{"lines of other programs between", "between.log", 0, "something else", 30},
		{"an empty file beside another", "empty.log one.log", 0, `"empty.log": no message in it`, 30},
		{"a file with a name that colors", "\x1b[31m.log", 0, `"\x1b[31m.log" ends in the middle`, 30},
		{"standard input, and JSON to standard output", "-", 0, "", 30},

		{"nothing", "", 2, "nothing to read; name files", 0},
		{"a file twice", "one.log one.log", 2, `"one.log" is there twice`, 0},
		{"a file twice, by another path", "one.log ./one.log", 2, `"./one.log" is there twice`, 0},
		{"a file twice, by a link", "one.log link.log", 2, `"link.log" is there twice`, 0},
		{"standard input twice", "- -", 2, `"-" is there twice`, 0},
		{"an output that is an input", "-html one.log one.log", 2, `"one.log" is to be read and to be written`, 0},
		{"an output that is an input, by another path", "-html ./one.log one.log", 2, `"one.log" is to be read and to be written`, 0},
		{"an output that is an input, by a link", "-html link.log one.log", 2, `"one.log" is to be read and to be written`, 0},
		{"one output for two", "-html both.html -json ./both.html one.log", 2, "each needs one of its own", 0},
		{"no socket", "-listen nowhere", 2, `-listen "nowhere": it can be unix:PATH or tcp:ADDRESS:PORT`, 0},
		{"a command behind the flags", "-floor 5 run", 2, `the name is "run."`, 0},

		{"no such file", "three.log", 1, `"three.log": cannot be read (no such file or directory); name files`, 0},
		{"no such file, and a name that colors", "\x1b[32m.log", 1, `"\x1b[32m.log": cannot be read`, 0},
		{"a directory", "logs", 1, `"logs": it is a directory; name the files in it`, 0},
		{"an empty file, and a page that is there", "-html kept.html empty.log", 1, `"empty.log": no message in it: it is empty`, 0},
		{"a full disk", "-json /dev/full one.log", 1, "-json: write /dev/full: no space left on device", 0},
		{"no such directory for an output", "-html kept.html -json none/x.json one.log", 1, "name a file in a directory that exists", 0},
		{"no such directory for a socket", "-listen unix:none/s", 1, "name a path where nothing is", 0},
		{"a file where the socket is to be", "-listen unix:one.log", 1, "name a path where nothing is", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := contents(t, dir)
			args := strings.Fields(c.args)
			if c.status == 0 {
				args = append(args, "-json", "-")
			}
			o := storm(t, dir, one, append([]string{"find"}, args...)...)
			if all := o.stdout + o.stderr; o.status != c.status || !strings.Contains(all, c.says) {
				t.Errorf("status %d and\n%s\nwant %d and %q", o.status, all, c.status, c.says)
			}
			printable(t, o.stdout+o.stderr)
			if after := contents(t, dir); !maps.Equal(before, after) {
				t.Errorf("files were changed: there are %d, and were %d", len(after), len(before))
			}
			if c.status != 0 {
				oneLine(t, o)
				return
			}
			if r := reported(t, o); len(r.Findings) != 1 || r.Findings[0].Clients != c.clients {
				t.Errorf("got %+v, want a herd of %d", r.Findings, c.clients)
			}
		})
	}
	t.Run("a full disk for one of two outputs", func(t *testing.T) {
		o := storm(t, dir, "", "find", "-json", "/dev/full", "-html", "page.html", "one.log")
		if page := contents(t, dir)["page.html"]; o.status != 1 || !strings.HasSuffix(page, "</html>\n") {
			t.Errorf("status %d; the page that there is room for is %d octets long", o.status, len(page))
		}
		oneLine(t, o)
	})
	t.Run("two files with nothing in them", func(t *testing.T) {
		if o := storm(t, dir, "", "find", "empty.log", "logs"); o.status != 1 || strings.Count(o.stderr, "ttlstorm: ") != 2 || strings.Count(o.stderr, "\n") != 2 {
			t.Errorf("status %d and %q, want 1 and a line for each", o.status, o.stderr)
		}
	})
}

// contents are the files of a directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if !e.IsDir() {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			must(t, err)
			all[e.Name()] = string(b)
		}
	}
	return all
}

// TestInterrupt stops find where it would read on for ever. It tells what there is.
func TestInterrupt(t *testing.T) {
	t.Run("a socket that nobody has come to", func(t *testing.T) {
		_, wait := listen(t)
		if o := wait(os.Interrupt); o.status != 0 || !strings.HasPrefix(o.stdout, "0 queries") || o.stderr != "" {
			t.Errorf("%+v", o)
		}
	})
	t.Run("a socket whose client is gone in the middle", func(t *testing.T) {
		socket, wait := listen(t)
		taps := kinds(t, hostile)["dnstap"]
		send(t, socket, taps[:len(taps)*9/10+1])
		o := wait(os.Interrupt)
		if want := fmt.Sprintf("%d clients come every 5s", crowd); o.status != 0 || !strings.Contains(o.stdout, want) || !strings.Contains(o.stderr, "ends in the middle") {
			t.Errorf("%+v, want %q", o, want)
		}
		printable(t, o.stdout+o.stderr)
	})
	t.Run("a socket that somebody else comes to", func(t *testing.T) {
		socket, wait := listen(t)
		send(t, socket, "GET / HTTP/1.1\r\nHost: \x1b[31m\r\n\r\n")
		if o := wait(os.Interrupt); o.status != 0 || !strings.HasPrefix(o.stdout, "0 queries") || !strings.Contains(o.stderr, "not frame streams") {
			t.Errorf("%+v", o)
		}
	})
	t.Run("standard input that goes on", func(t *testing.T) {
		r, w, err := os.Pipe()
		must(t, err)
		defer func() { _ = w.Close() }()
		wait := background(t, "", r, "find", "-")
		must(t, r.Close())
		for range 40 { // far more than is on its way in a pipe and in buffers
			_, err := w.WriteString(logged("192.0.2.1", herd, crowd, 20))
			must(t, err)
		}
		if o := wait(os.Interrupt); o.status != 0 || !strings.Contains(o.stdout, " queries in ") || strings.HasPrefix(o.stdout, "0 ") {
			t.Errorf("%+v", o)
		}
	})
}

// listen starts a find that listens.
func listen(t *testing.T) (socket string, wait func(os.Signal) outcome) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	wait = background(t, "", nil, "find", "-listen", "unix:"+socket)
	listens(t, socket)
	return socket, wait
}
