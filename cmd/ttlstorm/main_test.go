package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/lab"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

// run runs the tool with nothing on standard input.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return execute(ctx, args, strings.NewReader(""), stdout, stderr)
}

// listen answers every packet that comes with what respond makes of it, and
// returns its address.
func listen(t *testing.T, respond func(query []byte) []byte) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if out := respond(buf[:n]); out != nil {
				_, _ = conn.WriteTo(out, from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

// TestRefuses has every mistake that can be made, and what is said to it: in
// one line, with exit status 2 for usage and 1 for failure.
func TestRefuses(t *testing.T) {
	closed := func() string {
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := conn.LocalAddr().String()
		_ = conn.Close()
		return addr
	}()
	garbage := listen(t, func([]byte) []byte { return []byte("\x00\x01garbage") })
	answering := listen(t, answer)
	dir := t.TempDir()
	gone, file, link := filepath.Join(dir, "gone", "x"), filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("as it was"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("target", link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args  []string
		usage bool
		want  string
	}{
		{nil, true, "no server; give -server ADDRESS:PORT"},
		{[]string{"a.example"}, true, `"a.example" is no command, and there is no server to ask for it; give -server ADDRESS:PORT`},
		{[]string{"comprae"}, true, `"comprae" is no command`},
		{[]string{"-server", answering}, true, "no names; give some"},
		{[]string{"-server", answering, "SRV"}, true, "no names; give some"},
		{[]string{"-server", answering, "a..b"}, true, `"a..b" is not a domain name`},
		{[]string{"-server", "localhost:53", "a.example"}, true, "not an address and port such as"},
		{[]string{"-server", "192.0.2.1:53", "a.example"}, true, "-remote says that you may"},
		{[]string{"-server", answering, "-model", "linked", "a.example"}, true, `unknown model "linked"; there are linkerd-unpatched, linkerd`},
		{[]string{"-server", answering, "-clients", "0", "a.example"}, true, "1 to 10000"},
		{[]string{"-server", answering, "-clients", "1000000", "a.example"}, true, "1 to 10000"},
		{[]string{"-server", answering, "-clients", "many", "a.example"}, true, `invalid value "many"`},
		{[]string{"-server", answering, "-for", "1s", "a.example"}, true, "2s to 24h"},
		{[]string{"-server", answering, "-for", "48h", "a.example"}, true, "2s to 24h"},
		{[]string{"-server", answering, "-start", "-1s", "a.example"}, true, "-start -1s: it can be"},
		{[]string{"-server", answering, "-rate", "0", "a.example"}, true, "1 to 100000 queries"},
		{[]string{"-server", answering, "-others", "-1", "a.example"}, true, "-others -1: it can be 0 to the 20000"},
		{[]string{"-server", answering, "-others", "20001", "a.example"}, true, "0 to the 20000 queries a second of -rate"},
		{[]string{"-server", answering, "-others", "101", "-rate", "100", "a.example"}, true, "0 to the 100"},
		{[]string{"-server", answering, "-others", "0.5", "a.example"}, true, `invalid value "0.5"`},
		{[]string{"compare", "-others", "-400"}, true, "-others -400: it can be"},
		{[]string{"-bogus"}, true, "-h lists the flags"},
		{[]string{"-server", closed, "a.example"}, false, "is a DNS server running there?"},
		{[]string{"-server", garbage, "a.example"}, false, "is a DNS server running there?"},
		{[]string{"-server", answering, "-png", gone, "a.example"}, false, "cannot be written"},
		{[]string{"-server", answering, "-json", gone, "a.example"}, false, "a directory that exists"},
		{[]string{"-server", answering, "-json", dir, "a.example"}, false, "cannot be written"},
		{[]string{"-server", answering, "-csv", dir, "a.example"}, false, "cannot be written"},
		{[]string{"-server", answering, "-png", filepath.Join(file, "x"), "a.example"}, false, "cannot be written"},
		{[]string{"-server", answering, "-svg", filepath.Join(dir, "new") + "/", "a.example"}, false, "cannot be written"},
		{[]string{"compare", "-json", dir}, false, "cannot be written"},
		{[]string{"-server", closed, "-json", file, "-csv", filepath.Join(dir, "new"), "-png", link, "a.example"}, false, "is a DNS server running there?"},
		{[]string{"-server", answering, "-json", "-", "-csv", "-", "a.example"}, true, "-csv -: -json has the same file"},
		{[]string{"-server", answering, "-json", file, "-svg", dir + "/../" + filepath.Base(dir) + "/file", "a.example"}, true, "-json has the same file"},
		{[]string{"-server", answering, "-json", "-csv", file, "a.example"}, true, "-json -csv: a file has no dash in front"},
		{[]string{"-server", answering, "a.example", "-bogus"}, true, "-h lists the flags"},
		{[]string{"-server", answering, "a.example", "-clients", "0"}, true, "1 to 10000"},
		{[]string{"a.example", "-server", "192.0.2.1:53", "b.example"}, true, "-remote says that you may"},
		{[]string{"-server", answering, "SRV", "A", "a.example"}, true, `"SRV" has no name`},
		{[]string{"-server", answering, "a.example", "SRV", "A"}, true, `"A" has no name`},
		{[]string{"-server", answering, "A", "a.example", "SRV"}, true, `"SRV" has no name`},
		{[]string{"-server", answering, "@127.0.0.1", "a.example"}, true, `"@127.0.0.1" is not a domain name`},
		{[]string{"-server", answering, "a.example", "+short"}, true, `"+short" is not a domain name`},
		{[]string{"-server", answering, "a.example", "CH"}, true, `"CH" is not a domain name`},
		{[]string{"-server", answering, "a.example", "-"}, true, `"-" is not a domain name`},
		{[]string{"-server", answering, "SRV a.example"}, true, `"SRV a.example" is not a domain name`},
		{[]string{"-server", answering, "127.0.0.1:53", "a.example"}, true, `"127.0.0.1:53" is not a domain name`},
		{[]string{"-server", answering, ""}, true, `"" is not a domain name`},
		{[]string{"-server", answering, "compare"}, true, `"compare" goes before the flags`},
		{[]string{"-clients", "5", "compare", "-ttl", "0"}, true, `"compare" goes before the flags`},
		{[]string{"run", "-server", answering, "compare"}, true, `"compare" goes before the flags`},
		{[]string{"-server", answering, "a.example", "-clients"}, true, "flag needs an argument: -clients"},
		{[]string{"-server", answering, "-proto", "quic", "a.example"}, true, `unknown "quic"; there are udp, tcp, tls, https`},
		{[]string{"-server", answering, "-tls-name", "dns.example", "a.example"}, true, "-proto udp has no certificate"},
		{[]string{"-server", answering, "-proto", "tcp", "-insecure", "a.example"}, true, "-proto tcp has no certificate"},
		{[]string{"-server", answering, "-proto", "tls", "-tls-name", "a/b", "a.example"}, true, `-tls-name "a/b": not a name`},
		{[]string{"-server", answering, "-bufsize", "511", "a.example"}, true, "-bufsize 511: it can be 0, or 512 to 65535"},
		{[]string{"-server", answering, "-bufsize", "65536", "a.example"}, true, "0, or 512 to 65535"},
		{[]string{"-server", closed, "-proto", "tcp", "a.example"}, false, "does not answer over tcp"},
		{[]string{"-server", answering, "-names", gone}, true, "cannot be read"},
		{[]string{"-server", answering, "-names", dir}, true, "is a directory"},
		{[]string{"-server", answering, "-names", "-"}, true, "-names - has no names"},
		{[]string{"models", "linked"}, true, `unknown model "linked"; there are linkerd-unpatched, linkerd`},
		{[]string{"version", "1"}, true, `"1": version takes no arguments`},
		{[]string{"help", "nothing"}, true, `'nothing'; ttlstorm -h lists the commands`},
		{[]string{"completion", "tcsh"}, true, `'tcsh'; ttlstorm -h lists the commands`},
		{[]string{"compare", "-bogus"}, true, "-bogus; -h lists the flags"},
		{[]string{"compare", "-html", dir}, false, "cannot be written"},
		{[]string{"compare", "a.example"}, true, "compare has names of its own"},
		{[]string{"compare", "a.example", "-clients", "5"}, true, "compare has names of its own"},
		{[]string{"compare", "-ttl", "4000"}, true, "0 to 3600"},
		{[]string{"compare", "-floor", "0"}, true, "1 to 3600"},
		{[]string{"compare", "-change", "1ms"}, true, "0s, or 1s"},
		{[]string{"compare", "-treatments", "cache 30; prayer"}, true, `unknown "prayer"; there are nothing; cache 30;`},
		{[]string{"compare", "-clients", "0"}, true, "1 to 10000"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), tt.args, &stdout, &stderr)
			if want := map[bool]int{true: 2, false: 1}[tt.usage]; status(err) != want || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want usage %v and a line with %q", err, tt.usage, tt.want)
			}
			if stdout.Len()+stderr.Len() > 0 {
				t.Errorf("it prints %q %q", &stdout, &stderr)
			}
			text, err := os.ReadFile(file)
			if left, _ := filepath.Glob(filepath.Join(dir, "*")); err != nil || string(text) != "as it was" || !slices.Equal(left, []string{file, link}) {
				t.Errorf("it leaves %q and %q", text, left)
			}
		})
	}
}

// TestQuestions has names and types in every order.
func TestQuestions(t *testing.T) {
	for args, want := range map[string]string{
		"a.example":                       "a.example. 0",
		"SRV a.example":                   "a.example. 33",
		"a.example SRV":                   "a.example. 33",
		"a.example srv":                   "a.example. 33",
		"a.example TYPE65":                "a.example. 65",
		"a.example IN SRV":                "a.example. 33",
		"IN SRV a.example":                "a.example. 33",
		"SRV a.example b.example":         "a.example. 33, b.example. 33",
		"a.example b.example SRV":         "a.example. 33, b.example. 33",
		"SRV a.example A b.example c":     "a.example. 33, b.example. 1, c. 1",
		"a.example b.example SRV c A":     "a.example. 33, b.example. 33, c. 1",
		"a.example SRV b.example":         "a.example. 33, b.example. 0",
		"srv.example A":                   "srv.example. 1",
		"a. SRV":                          "a. 33",
		"_mysql._tcp.example. in. SRV x.": "_mysql._tcp.example. 33, in. 33, x. 0",
	} {
		got, err := parseQuestions(strings.Fields(args))
		var parts []string
		for _, q := range got {
			parts = append(parts, fmt.Sprintf("%s %d", q.name, q.qtype))
		}
		if err != nil || strings.Join(parts, ", ") != want {
			t.Errorf("%s: %v, %v, want %s", args, parts, err, want)
		}
	}
}

// answer gives every question an A record with TTL 1.
func answer(query []byte) []byte {
	q := new(dns.Msg)
	if q.Unpack(query) != nil {
		return nil
	}
	m := new(dns.Msg).SetReply(q)
	rr, _ := dns.NewRR(q.Question[0].Name + " 1 A 192.0.2.1")
	m.Answer = append(m.Answer, rr)
	b, _ := m.Pack()
	return b
}

// TestRun has clients of a server whose TTL is 1 s, all files, and flags behind the
// names. What a server does behind its answers is not measured.
func TestRun(t *testing.T) {
	var seen atomic.Int64
	server := listen(t, func(query []byte) []byte {
		seen.Add(1)
		return answer(query)
	})
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	var stdout bytes.Buffer
	err := run(t.Context(), []string{
		"-server", server, "-clients", "5", "-for", "3500ms", "-json", file("json"), "-csv", file("csv"),
		"A", "a.example", "-png", file("png"), "b.example", "-svg", file("svg"),
	}, &stdout, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(file("json"))
	var reports []storm.Report
	if err := json.Unmarshal(text, &reports); err != nil || len(reports) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	r := reports[0]
	const resolvers = 5 * 2
	// In 3.5 seconds none asks more than four times; a slow machine has them ask less often.
	if r.Queries < 1 || r.Queries > 4*resolvers || r.MeanTTL != 1 || len(r.Seconds) != 3 || len(r.Errors) != 0 {
		t.Errorf("%+v", r)
	}
	if got := cells(stdout.String()); got["upstream"]+got["stale p50, p99, max"] != "" || got["mean TTL"] != "1.0" {
		t.Errorf("the table is %q", got)
	}
	for _, key := range []string{"upstream_queries", "stale"} {
		if bytes.Contains(text, []byte(key)) {
			t.Errorf("%s, which is not measured, is in %s", key, text)
		}
	}
	// The server has seen one more, before the run, and may have missed one of each at its end.
	if n := int(seen.Load()) - 1; n > r.Queries || n < r.Queries-resolvers {
		t.Errorf("%d queries are reported, and the server has seen %d", r.Queries, n)
	}
	for name, head := range map[string]string{"csv": "second,127.0.0.1:", "png": "\x89PNG", "svg": "<?xml"} {
		got, err := os.ReadFile(file(name))
		if err != nil || !bytes.HasPrefix(got, []byte(head)) {
			t.Errorf("%s: %v, %.40q", name, err, got)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 4 {
		t.Errorf("files are left over: %v", left)
	}
}

// cells are those of a table with one report, by their heads.
func cells(table string) map[string]string {
	out := make(map[string]string)
	for line := range strings.Lines(table) {
		if head, cell, ok := strings.Cut(line, "  "); ok {
			out[head] = strings.TrimSpace(cell)
		}
	}
	return out
}

// TestFiles has what a file can be: the run writes to a device, through a link and
// over what was there, and standard output has nothing else where it is the file.
func TestFiles(t *testing.T) {
	server := listen(t, answer)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	// The device itself would be lost to the machine where this fails.
	for link, to := range map[string]string{"null": os.DevNull, "new": "target"} {
		if err := os.Symlink(to, file(link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file("old"), bytes.Repeat([]byte("old "), 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), []string{
		"-server", server, "-clients", "1", "-for", "2s", "A", "a.example",
		"-csv", "-", "-json", file("old"), "-png", file("null"), "-svg", file("new"),
	}, &stdout, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	if got := stdout.String(); !strings.HasPrefix(got, "second,127.0.0.1:") || strings.Count(got, "\n") != 3 {
		t.Errorf("standard output has %q, want two seconds", got)
	}
	if !strings.Contains(stderr.String(), "mean TTL") {
		t.Errorf("the table is not on standard error: %q", &stderr)
	}
	text, _ := os.ReadFile(file("old"))
	if info, err := os.Stat(file("old")); err != nil || info.Mode().Perm() != 0o600 || !json.Valid(text) {
		t.Errorf("%v, %.40q", info, text)
	}
	if text, _ := os.ReadFile(file("target")); !bytes.HasPrefix(text, []byte("<?xml")) {
		t.Errorf("the link leads to %.40q", text)
	}
	for _, link := range []string{"null", "new"} {
		if info, err := os.Lstat(file(link)); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s is no link any more: %v, %v", link, info, err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 4 {
		t.Errorf("files are left over: %v", left)
	}
}

// TestErrors has a server that first answers and then misbehaves: what clients
// get is counted, and a run without an answer fails, after its table.
func TestErrors(t *testing.T) {
	for name, misbehave := range map[string]func(q *dns.Msg) []byte{
		"SERVFAIL": func(q *dns.Msg) []byte {
			b, _ := new(dns.Msg).SetRcode(q, dns.RcodeServerFailure).Pack()
			return b
		},
		"NXDOMAIN": func(q *dns.Msg) []byte {
			b, _ := new(dns.Msg).SetRcode(q, dns.RcodeNameError).Pack()
			return b
		},
		"wrong answer": func(q *dns.Msg) []byte { // a record whose name points nowhere
			b, _ := new(dns.Msg).SetReply(q).Pack()
			b[7] = 1
			return append(b, 0xff, 0xff, 0, 1, 0, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			probed := false
			server := listen(t, func(b []byte) []byte {
				if !probed {
					probed = true
					return answer(b)
				}
				q := new(dns.Msg)
				if q.Unpack(b) != nil {
					return nil
				}
				return misbehave(q)
			})
			var stdout bytes.Buffer
			file := filepath.Join(t.TempDir(), "json")
			err := run(t.Context(), []string{"-server", server, "-clients", "1", "-for", "2s", "-json", file, "A", "a.example"}, &stdout, io.Discard)
			if status(err) != 1 || !strings.Contains(err.Error(), "had an answer") || !strings.Contains(err.Error(), name+" ") {
				t.Errorf("error %v, want one that says that there was no answer but %s", err, name)
			}
			if got := cells(stdout.String()); !strings.Contains(got["errors"], name+" ") || got["mean TTL"] != "-" {
				t.Errorf("not counted as %s:\n%s", name, &stdout)
			}
			if text, _ := os.ReadFile(file); !json.Valid(text) {
				t.Errorf("the file has %q", text)
			}
		})
	}
}

// span returns the least and the greatest TTL that was handed out.
func span(ttls map[uint32]int) (least, most uint32) {
	all := slices.Sorted(maps.Keys(ttls))
	if len(all) == 0 {
		return 0, 0
	}
	return all[0], all[len(all)-1]
}

// TestInterrupt ends a run before its time, with the table so far.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	server := listen(t, func(query []byte) []byte {
		// One to find out whether there is a server, one of each client, and one of a client
		// that is back, which has had an answer.
		if asked++; asked == 4 {
			cancel()
		}
		return answer(query)
	})
	var stdout bytes.Buffer
	if err := run(ctx, []string{"-server", server, "-clients", "2", "-for", "1h", "A", "a.example"}, &stdout, io.Discard); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(stdout.String(), "queries") {
		t.Errorf("no table: %q", &stdout)
	}
}

// TestStory has the scene that flags choose, and -others 400, in virtual time: the herd
// stays, chance thins it out, and the schedule ends it.
func TestStory(t *testing.T) {
	o := newLoad(oneLength)
	m, err := o.check()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		ttl    uint32
		others []lab.Others
	}{{ttl: oneTTL}, {}, {oneTTL, []lab.Others{{Rate: 400}}}} {
		treatments, err := chooseTreatments("nothing; "+oneTreatments, oneFloor)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, treatment := range treatments {
			var res lab.Result
			synctest.Test(t, func(*testing.T) {
				res, err = lab.Do(lab.Run{
					Clients: o.clients, Names: []string{linkerd[0].name, linkerd[1].name}, Model: m, Start: o.start, Length: o.length,
					Treatment: treatment, Source: &storm.Source{TTL: tt.ttl}, RoundTrip: 25 * time.Millisecond, Others: tt.others,
				})
			})
			if err != nil {
				t.Fatal(err)
			}
			var table bytes.Buffer
			if err := storm.Text(&table, []storm.Report{res.Report}); err != nil {
				t.Fatal(err)
			}
			settled := cells(table.String())["settled after"]
			if res.Settled >= 0 && res.Last.SecondRatio < 1.15 {
				settled = "settled"
			}
			got = append(got, settled)
		}
		if want := []string{"never", "never", "never", "settled"}; !slices.Equal(got, want) {
			t.Errorf("TTL %d beside %v: %q, want %q", tt.ttl, tt.others, got, want)
		}
	}
}

// TestAgrees runs compare over real sockets, and the same in virtual time. How many
// queries there are depends on the machine: one that is slow has clients late,
// and those that come when an entry of the cache has a second left come back in a
// second. So it is shown, and what is judged is what holds on any machine: every query
// is accounted for, no client comes back before its TTL has run out, and the TTLs are
// those of virtual time.
func TestAgrees(t *testing.T) {
	const clients, ttl, floor, length = 40, 5, 5, 16 * time.Second
	file := filepath.Join(t.TempDir(), "json")
	err := run(t.Context(), []string{
		"compare", "-clients", "40", "-for", "16s", "-ttl", "5", "-floor", "5",
		"-treatments", "cache 30; ttlfloor, scheduled", "-json", file,
	}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(file)
	var reports []storm.Report
	if err := json.Unmarshal(text, &reports); err != nil {
		t.Fatal(err)
	}
	o := newLoad(length)
	m, err := o.check()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		treatments, err := chooseTreatments(r.Name, floor)
		if err != nil {
			t.Fatal(err)
		}
		var virtual lab.Result
		synctest.Test(t, func(*testing.T) {
			virtual, err = lab.Do(lab.Run{
				Clients: clients, Names: []string{linkerd[0].name, linkerd[1].name}, Model: m, Start: 20 * time.Millisecond, Length: length,
				Treatment: treatments[0], Source: &storm.Source{TTL: ttl, Change: 45 * time.Second}, RoundTrip: time.Millisecond,
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		answered, failed, waits := 0, 0, 0
		for ttl, n := range r.TTLs {
			answered += n
			waits += int(ttl) * n
		}
		for _, n := range r.Errors {
			failed += n
		}
		t.Logf("%s: %d queries over sockets, %d in virtual time; what failed: %v", r.Name, r.Queries, virtual.Queries, r.Errors)

		const resolvers = clients * 2 // names
		// One on the way at the end for each. A lookup that failed has two more behind
		// it, one of which finds nothing.
		if open := r.Queries - answered; open < 0 || open > resolvers+3*failed {
			t.Errorf("%s: %d queries, %d answered, %d failed", r.Name, r.Queries, answered, failed)
		}
		least, most := span(r.TTLs)
		if most := resolvers * (int(length/time.Second) + int(most)); answered == 0 || waits > most {
			t.Errorf("%s: %d answers were good for %d seconds in all, and clients waited for %d at most", r.Name, answered, waits, most)
		}
		lo, hi := span(virtual.TTLs)
		if !strings.HasPrefix(r.Name, "ttlfloor") {
			lo = 0 // late clients see more of the cache's countdown
		}
		if least < lo || most > hi {
			t.Errorf("%s: TTLs from %d to %d, want %d to %d", r.Name, least, most, lo, hi)
		}
	}
}
