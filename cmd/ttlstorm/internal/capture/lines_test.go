package capture

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const line = `10.1.2.3:41234 - 29008 "A IN example.org. udp 41 false 4096" NOERROR qr,rd,ra,ad 68 0.037990251s`

// TestLines has lines, each with the message that it becomes, or none.
func TestLines(t *testing.T) {
	const stamp = "2026-03-01T10:00:00.500000000Z"
	began := at(t, "2026-03-01T10:00:00.462009749Z") // 37.990251 ms before
	m := func(change ...func(*Message)) *Message {
		m := &Message{Client: addr("10.1.2.3"), Name: "example.org.", Type: dns.TypeA, TTL: -1}
		for _, c := range change {
			c(m)
		}
		return m
	}
	timed := func(m *Message) { m.At = began }
	name := func(s string) func(*Message) { return func(m *Message) { m.Name = s } }
	for what, tc := range map[string]struct {
		line string
		want *Message
	}{
		"default":                       {line, m()},
		"with its level":                {"[INFO] " + line, m()},
		"kubectl, timestamps":           {stamp + " [INFO] " + line, m(timed)},
		"kubectl, prefix":               {"[pod/coredns-7d/coredns] [INFO] " + line, m()},
		"kubectl, both":                 {"[pod/coredns-7d/coredns] " + stamp + " [INFO] " + line, m(timed)},
		"kubectl, the other way round":  {stamp + " [pod/coredns-7d/coredns] [INFO] " + line, m(timed)},
		"kubectl, without level":        {"[pod/coredns-7d/coredns] " + stamp + " " + line, m(timed)},
		"an offset":                     {"2026-03-01T11:00:00.5+01:00 [INFO] " + line, m(timed)},
		"CRI":                           {stamp + " stdout F [INFO] " + line, m(timed)},
		"CRI, stderr":                   {stamp + " stderr F [INFO] " + line, m(timed)},
		"CRI, a part":                   {stamp + " stdout P 10.1.2.3:41234 - 29008 \"A IN exam", nil},
		"old CoreDNS under kubectl":     {stamp + " 2026-03-01T10:00:00.999Z [INFO] " + line, m(timed)},
		"Docker":                        {fmt.Sprintf(`{"log":%q,"stream":"stdout","time":%q}`, "[INFO] "+line+"\n", stamp), m(timed)},
		"journal, without a time":       {"node coredns[815]: [INFO] " + line, m()},
		"Windows":                       {line + "\r", m()},
		"IPv6":                          {strings.Replace(line, "10.1.2.3", "[2001:db8::1]", 1), m(func(m *Message) { m.Client = addr("2001:db8::1") })},
		"IPv4 in IPv6":                  {strings.Replace(line, "10.1.2.3", "[::ffff:10.1.2.3]", 1), m()},
		"IPv6 with a zone":              {strings.Replace(line, "10.1.2.3", "[fe80::1%eth0]", 1), m(func(m *Message) { m.Client = addr("fe80::1") })},
		"no such address":               {strings.Replace(line, "10.1.2.3", "10.1.2.300", 1), nil},
		"five octets":                   {strings.Replace(line, "10.1.2.3", "10.1.2.3.4", 1), nil},
		"combined":                      {line + ` "0"`, m()},
		"combined, NOTIFY":              {line + ` "4"`, nil},
		"combined, more":                {line + ` "0" x`, nil},
		"NXDOMAIN":                      {strings.Replace(line, "NOERROR", "NXDOMAIN", 1), m(func(m *Message) { m.Rcode = dns.RcodeNameError })},
		"an rcode without name":         {strings.Replace(line, "NOERROR", "3841", 1), m(func(m *Message) { m.Rcode = 3841 })},
		"no response":                   {strings.Replace(line, "NOERROR qr,rd,ra,ad", "- -", 1), m(func(m *Message) { m.Rcode = -1 })},
		"no flags":                      {strings.Replace(line, "qr,rd,ra,ad", "", 1), m()},
		"the root":                      {strings.Replace(line, "example.org.", ".", 1), m(name("."))},
		"upper case":                    {strings.Replace(line, "example.org.", "Example.ORG.", 1), m()},
		"a blank and quotes":            {strings.Replace(line, "example.org.", `a\ b\"c\".example.org.`, 1), m(name(`a\ b\"c\".example.org.`))},
		"octets that are not printable": {strings.Replace(line, "example.org.", `a\010\032\255.example.org.`, 1), m(name(`a\010\032\255.example.org.`))},
		"a backslash before the blank":  {strings.Replace(line, "example.org.", `a\\.`, 1), m(name(`a\\.`))},
		"a type without name":           {strings.Replace(line, `"A `, `"TYPE65280 `, 1), m(func(m *Message) { m.Type = 65280 })},
		"a type out of range":           {strings.Replace(line, `"A `, `"TYPE65536 `, 1), nil},
		"no question":                   {strings.Replace(line, "A IN example.org.", "  .", 1), nil},
		"CHAOS":                         {strings.Replace(line, " IN ", " CH ", 1), nil},
		"no whole name":                 {strings.Replace(line, "example.org.", "example.org", 1), nil},
		"a short duration":              {stamp + " " + strings.Replace(line, "0.037990251s", "0.037990251000000001s", 1), m(timed)},
		"a duration of many digits":     {stamp + " " + strings.Replace(line, "0.037990251s", "9999999999s", 1), nil},
		"another clock":                 {"yesterday [INFO] " + line, m()},
		"a broken clock":                {"2026-13-01T10:00:00Z [INFO] " + line, m()},
		"another level":                 {"[ERROR] plugin/errors: 2 example.org. A: read udp 10.0.0.1:53: i/o timeout", nil},
		"another message":               {"[INFO] Reloading complete", nil},
		"banner":                        {"CoreDNS-1.15.0", nil},
		"nothing":                       {"[INFO] ", nil},
		"cut":                           {line[:60], nil},
		"JSON": {`{"time":"2026-03-01T10:00:00.5Z","level":"INFO","msg":"any","plugin":"log","client_ip":"10.1.2.3","client_port":40212,` +
			`"qname":"example.org.","qtype":"A","qclass":"IN","opcode":0,"rcode":"NOERROR","duration_seconds":0.037990251}`, m(timed)},
		"JSON, IPv6 and no response": {`{"plugin":"log","client_ip":"2001:db8::1","qname":"a\\ b.","qtype":"A","qclass":"IN","rcode":null}`,
			m(name(`a\ b.`), func(m *Message) { m.Client, m.Rcode = addr("2001:db8::1"), -1 })},
		"JSON in Docker's": {fmt.Sprintf(`{"log":%q,"time":%q}`, `{"time":"2026-03-01T10:00:01Z","plugin":"log","client_ip":"10.1.2.3","qname":"example.org.","qtype":"A",`+
			`"qclass":"IN","rcode":"NOERROR","duration_seconds":0.037990251}`+"\n", stamp), m(timed)},
		"JSON, NOTIFY":         {`{"plugin":"log","client_ip":"10.1.2.3","qname":"a.","qtype":"SOA","qclass":"IN","opcode":4}`, nil},
		"JSON, another plugin": {`{"plugin":"errors","client_ip":"10.1.2.3","qname":"a.","qtype":"A","qclass":"IN"}`, nil},
		"JSON, cut":            {`{"plugin":"log","client_ip":"10.`, nil},
	} {
		t.Run(what, func(t *testing.T) {
			// One that is understood comes after, so that there is no error.
			got, c := read(t, []byte(tc.line+"\n"+line+"\n"), Options{})
			want := []Message{*m()}
			if tc.want != nil {
				want = []Message{*tc.want, *m()}
			} else if c.Ignored != 1 {
				t.Errorf("%d are ignored, want 1", c.Ignored)
			}
			same(t, got, want)
		})
	}
}

// TestLinesOfOthers has lines in between, and says what the first is.
func TestLinesOfOthers(t *testing.T) {
	long := strings.Repeat("x", 3*longestLine)
	got, c := read(t, []byte("\x1b[31mpanic\n\tat main\n"+line+"\n\n"+long+"\n"+line+"\n"+line), Options{})
	if len(got) != 3 || c.Ignored != 3 || c.FirstIgnored != `"\x1b[31mpanic"` || c.Truncated || c.Format != "text" {
		t.Errorf("%d messages, %+v", len(got), c)
	}
}

// TestLastLine tells a log that ends in the middle of a line.
func TestLastLine(t *testing.T) {
	for end, truncated := range map[string]bool{"": false, "\n": false, "\n" + line: false, "\n" + line[:50]: true, "\n[ERROR] x\n": false} {
		if _, c := read(t, []byte(line+end), Options{}); c.Truncated != truncated {
			t.Errorf("%q: truncated is %v: %s", end, c.Truncated, c.Why)
		}
	}
}

// TestStockLinesDoNotAllocate holds for those with names that came lately.
func TestStockLinesDoNotAllocate(t *testing.T) {
	in, err := newInput(Options{}, func(*Message) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"[INFO] " + line, "2026-03-01T10:00:00.5Z [INFO] " + strings.Replace(line, "10.1.2.3", "[2001:db8::1]", 1),
		"Nov 26 10:00:00.123456 host coredns[1]: [INFO] " + line, "\x1b[36mcoredns-1  | \x1b[0m2026-03-01T10:00:00.5Z [INFO] " + line,
	} {
		b := []byte(s)
		if n := testing.AllocsPerRun(100, func() {
			if !in.line(b) {
				t.Error("no message")
			}
		}); n > 0 {
			t.Errorf("%v allocations for %q", n, s)
		}
	}
}

// TestManyNames reads names that never come again, and keeps none of them.
func TestManyNames(t *testing.T) {
	const n = 100_000
	r, w := io.Pipe()
	go func() {
		var b bytes.Buffer
		for i := range n {
			fmt.Fprintf(&b, "%s\n", strings.Replace(line, "example", strings.Repeat("x", 60)+"."+fmt.Sprintf("%060d", i), 1))
			if b.Len() > 100_000 {
				_, _ = b.WriteTo(w)
			}
		}
		_, _ = b.WriteTo(w)
		_ = w.Close()
	}()
	var seen int
	var before, after runtime.MemStats
	use := func(m *runtime.MemStats) {
		runtime.GC()
		runtime.ReadMemStats(m)
	}
	c, err := Read(t.Context(), "names", r, Options{}, func(m *Message) {
		if want := fmt.Sprintf("%060d.org.", seen); !strings.HasSuffix(m.Name, want) {
			t.Errorf("name %q, want the end %q", m.Name, want)
		}
		switch seen++; seen {
		case n / 4:
			use(&before)
		case n:
			use(&after)
		}
	})
	if err != nil || c.Messages != n {
		t.Fatal(c, err)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d octets more after %d names", grown, n)
	}
}

// TestFormats has lines in formats of a Corefile.
func TestFormats(t *testing.T) {
	want := Message{Client: addr("10.1.2.3"), Name: `a\ b\"c.example.`, Type: dns.TypeSRV, Rcode: 3, TTL: -1}
	with := func(change func(*Message)) Message {
		m := want
		change(&m)
		return m
	}
	unknown := func(m *Message) { m.Rcode = -1 }
	for format, tc := range map[string]struct {
		line string
		want Message
	}{
		`"{remote} {name} {type}"`:           {`10.1.2.3 a\ b\"c.example. SRV`, with(unknown)},
		`{name} {type}`:                      {`a\ b\"c.example. SRV`, with(func(m *Message) { m.Rcode, m.Client = -1, Message{}.Client })},
		`{type} {name} from {remote}:{port}`: {`SRV a\ b\"c.example. from [::1]:53`, with(func(m *Message) { m.Rcode, m.Client = -1, addr("::1") })},
		`{/kubernetes/client-pod} {remote} {name} {type} {rcode} {>rflags} {duration}`: {`any thing 10.1.2.3 a\ b\"c.example. SRV NXDOMAIN  0.1s`, want},
		`{\"q\":\"{name}\",\"t\":\"{type}\",\"c\":\"{remote}\",\"r\":\"{rcode}\"}`:     {`{"q":"a\ b\"c.example.","t":"SRV","c":"10.1.2.3","r":"NXDOMAIN"}`, want},
		`{common} {/x/y} {nothing}`: {`10.1.2.3:5 - 1 "SRV IN a\ b\"c.example. udp 1 true 1232" NXDOMAIN qr 1 0.1s v w {nothing}`, want},
		`{combined} tail`:           {`10.1.2.3:5 - 1 "SRV IN a\ b\"c.example. udp 1 true 1232" NXDOMAIN qr 1 0.1s "0" tail`, want},
		`[{when}] {remote} {name} {type} {rcode} {duration}`: {`[01/Mar/2026:11:00:00 +0100] 10.1.2.3 a\ b\"c.example. SRV NXDOMAIN 0.25s`,
			with(func(m *Message) { m.At = at(t, "2026-03-01T09:59:59.75Z") })},
		`} { {name} {/m/l}({type}) .* {remote} {remote}`: {`} { a\ b\"c.example. any(SRV) .* 10.1.2.3 10.1.2.3`, with(unknown)},
		`{name}:{type}:{class}:{proto}:{size}:{>do}:{>bufsize}:{>id}:{>opcode}:{rsize}:{local}:{port}:{remote}`: {
			`a\ b\"c.example.:SRV:IN:tcp:3:true:512:9:0:4:[::1]:53:10.1.2.3`, with(unknown)},
	} {
		t.Run(format, func(t *testing.T) {
			other := strings.Replace(line, "10.1.2.3", "10.9.9.9", 1) // the default format is still read
			got, c := read(t, []byte("[INFO] "+tc.line+"\nnothing\n"+other+"\n"), Options{LogFormat: format})
			same(t, got, []Message{tc.want, {Client: addr("10.9.9.9"), Name: "example.org.", Type: dns.TypeA, TTL: -1}})
			if c.Ignored != 1 {
				t.Errorf("%d are ignored, want 1", c.Ignored)
			}
		})
	}
	if got, _ := read(t, []byte("[INFO] a. A CH\n[INFO] a. A IN\n"), Options{LogFormat: "{name} {type} {class}"}); len(got) != 1 {
		t.Errorf("%d messages of the class IN, want 1", len(got))
	}
}

// TestFormatsRefused has formats that cannot be read.
func TestFormatsRefused(t *testing.T) {
	for format, want := range map[string]string{
		"{remote} {name}": "no {type} in it", "{remote} {type}": "no {name} in it", "plain": "no {name} in it",
		strings.Repeat("x", 5000): "4096",
	} {
		if err := (Options{LogFormat: format}).Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", format, err, want)
		}
		if _, err := Read(t.Context(), "x", strings.NewReader(line), Options{LogFormat: format}, func(*Message) {}); err == nil {
			t.Errorf("%.20q is read", format)
		}
	}
	for _, format := range []string{"", "{common}", "{combined}", `"{common}"`, combined} {
		if err := (Options{LogFormat: format}).Check(); err != nil {
			t.Errorf("%q: %v", format, err)
		}
	}
}

// TestDurations reads those that CoreDNS prints.
func TestDurations(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0s": 0, "0.000123s": 123 * time.Microsecond, "1.5s": 1500 * time.Millisecond, "12s": 12 * time.Second, "0.0000000009s": 0, "-": 0,
	} {
		if got, ok := durationOf([]byte(s)); !ok || got != want {
			t.Errorf("%q is %v, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "s", "1", ".5s", "-1s", "1e3s", "1.x2s", "1234567890s"} {
		if got, ok := durationOf([]byte(s)); ok {
			t.Errorf("%q is %v", s, got)
		}
	}
}

// TestTook has how long the server took, of lines in several formats, with times and without.
func TestTook(t *testing.T) {
	for _, line := range []string{
		`[INFO] 10.1.2.3:4000 - 1 "A IN example.org. udp 41 false 512" NOERROR qr 99 0.002500000s`,
		`2026-11-26T09:00:00.5Z [INFO] 10.1.2.3:4000 - 1 "A IN example.org. udp 41 false 512" NOERROR qr 99 0.0025s`,
		`2026-11-26T09:00:00Z [INFO] 10.1.2.3:4000 - 1 "A IN example.org. udp 41 false 512" NOERROR qr 99 0.0025s`,
		`{"time":"2026-11-26T09:00:00.5Z","plugin":"log","client_ip":"10.1.2.3","qname":"example.org.","qtype":"A","qclass":"IN","rcode":"NOERROR","duration_seconds":0.0025}`,
	} {
		got, _ := read(t, []byte(line+"\n"), Options{})
		if len(got) != 1 || got[0].Took != 2500*time.Microsecond {
			t.Errorf("%s: %+v", line, got)
		}
	}
}
