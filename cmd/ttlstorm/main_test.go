package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/lab"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

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
	gone := filepath.Join(t.TempDir(), "gone", "x")
	for _, tt := range []struct {
		args  []string
		usage bool
		want  string
	}{
		{[]string{"a.example"}, true, "-server ADDRESS:PORT"},
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
		{[]string{"-bogus"}, true, "-h lists the flags"},
		{[]string{"-server", closed, "a.example"}, false, "is a DNS server running there?"},
		{[]string{"-server", garbage, "a.example"}, false, "is a DNS server running there?"},
		{[]string{"-server", answering, "-png", gone, "a.example"}, false, "cannot write in"},
		{[]string{"-server", answering, "-json", gone, "a.example"}, false, "a directory that exists"},
		{[]string{"compare", "a.example"}, true, "compare has names of its own"},
		{[]string{"compare", "-ttl", "4000"}, true, "0 to 3600"},
		{[]string{"compare", "-floor", "0"}, true, "1 to 3600"},
		{[]string{"compare", "-change", "1ms"}, true, "0s, or 1s"},
		{[]string{"compare", "-treatments", "cache 30; prayer"}, true, `unknown "prayer"; there are nothing; cache 30;`},
		{[]string{"compare", "-clients", "0"}, true, "1 to 10000"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), tt.args, &stdout, &stderr)
			var usage usageError
			if err == nil || errors.As(err, &usage) != tt.usage || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want usage %v and a line with %q", err, tt.usage, tt.want)
			}
			if stdout.Len()+stderr.Len() > 0 {
				t.Errorf("it prints %q %q", &stdout, &stderr)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"compare", "-h"}} {
		var out bytes.Buffer
		if err := run(t.Context(), args, &out, io.Discard); err == nil || !strings.Contains(out.String(), "-clients") {
			t.Errorf("%q: %v, %q", args, err, &out)
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

// TestRun has clients of a server whose TTL is 1 s, and all files.
func TestRun(t *testing.T) {
	server := listen(t, answer)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	var stdout bytes.Buffer
	err := run(t.Context(), []string{
		"-server", server, "-clients", "5", "-for", "3500ms", "-json", file("json"), "-csv", file("csv"),
		"-png", file("png"), "-svg", file("svg"), "A", "a.example", "b.example",
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
	if r.Queries < 30 || r.Queries > 40 || r.MeanTTL != 1 || len(r.Seconds) != 3 || len(r.Errors) != 0 {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(stdout.String(), "mean TTL") {
		t.Errorf("no table: %s", &stdout)
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

// TestErrors has a server that first answers and then misbehaves: what clients
// get is counted.
func TestErrors(t *testing.T) {
	for name, misbehave := range map[string]func(q *dns.Msg) []byte{
		"SERVFAIL": func(q *dns.Msg) []byte {
			b, _ := new(dns.Msg).SetRcode(q, dns.RcodeServerFailure).Pack()
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
			if err := run(t.Context(), []string{"-server", server, "-clients", "1", "-for", "2s", "A", "a.example"}, &stdout, io.Discard); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(stdout.String(), name+" ") {
				t.Errorf("not counted as %s:\n%s", name, &stdout)
			}
		})
	}
}

// TestInterrupt ends a run before its time, with the table so far.
func TestInterrupt(t *testing.T) {
	server := listen(t, answer)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(1500*time.Millisecond, cancel)
	var stdout bytes.Buffer
	if err := run(ctx, []string{"-server", server, "-for", "1h", "A", "a.example"}, &stdout, io.Discard); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(stdout.String(), "queries") {
		t.Errorf("no table: %q", &stdout)
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

// TestStory has the defaults of compare, in virtual time: the herd stays, chance
// thins it out, and the schedule ends it.
func TestStory(t *testing.T) {
	var o options
	o.flags(flag.NewFlagSet("", flag.PanicOnError), compareLength)
	m, err := o.check()
	if err != nil {
		t.Fatal(err)
	}
	for _, ttl := range []uint32{defaultTTL, 0} {
		treatments, err := chooseTreatments("nothing; "+compared, defaultFloor)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, treatment := range treatments {
			var res lab.Result
			synctest.Test(t, func(*testing.T) {
				res, err = lab.Do(lab.Run{
					Clients: o.clients, Names: []string{linkerd[0].name, linkerd[1].name}, Model: m, Start: o.start, Length: o.length,
					Treatment: treatment, Source: &storm.Source{TTL: ttl}, RoundTrip: 25 * time.Millisecond,
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
			t.Errorf("TTL %d: %q, want %q", ttl, got, want)
		}
	}
}

// TestAgrees runs compare over real sockets, and the same in virtual time.
func TestAgrees(t *testing.T) {
	const clients, ttl, floor, length = 40, 5, 5, 20 * time.Second
	file := filepath.Join(t.TempDir(), "json")
	err := run(t.Context(), []string{
		"compare", "-clients", "40", "-for", "20s", "-ttl", "5", "-floor", "5",
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
	o := options{model: "linkerd-unpatched", clients: clients, length: length, rate: 1}
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
		if off := float64(r.Queries)/float64(virtual.Queries) - 1; math.Abs(off) > 0.1 {
			t.Errorf("%s: %d queries over sockets, %d in virtual time", r.Name, r.Queries, virtual.Queries)
		}
	}
}
