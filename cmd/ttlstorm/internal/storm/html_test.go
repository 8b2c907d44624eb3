package storm

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"
)

// played is a report of a scene, with clients that come every so often.
func played(name, scene string, ttl uint32, every time.Duration) Report {
	const length = 20 * time.Second
	r := NewRecord(length)
	for at := time.Duration(0); at < length; at += every {
		r.Query(at)
		if at > 0 {
			r.Gap(every)
		}
	}
	rep := r.Report(name, length, 0)
	rep.Run = &Params{
		Version: "v1.2.3", Server: "127.0.0.1:53", Protocol: "tls", TLSName: "dns.example", Insecure: true, BufSize: 1232, DO: true,
		Names: []string{"SRV a.example.", "b.example."}, Model: "linkerd", Clients: 7, Others: 3, Length: length, Rate: 20, Seed: 42,
	}
	if scene != "" {
		rep.Run.Compare = &Comparison{Scene: scene, TTL: ttl, Floor: 8, Change: time.Minute}
	}
	return rep
}

// TestHTML has a page that needs nothing else, with all that was run and came of it, and
// nothing of what it shows as markup.
func TestHTML(t *testing.T) {
	const evil = `<script>alert("1")</script>'&\x1b`
	reports := []Report{
		played("nothing", "The storm", 0, 5*time.Millisecond), played("ttlfloor", "The storm", 0, 10*time.Second), played(evil, "The herd "+evil, 6, 10*time.Second),
	}
	reports[2].Name += "\x1b]"
	reports[2].Run.Names, reports[2].Errors = []string{evil + ".", "a\x1b[31m."}, map[string]int{evil: 1}
	reports[2].Others = &Others{Seconds: []int{40, 50}}
	var page bytes.Buffer
	if err := HTML(&page, reports); err != nil {
		t.Fatal(err)
	}
	got := page.String()
	for _, want := range []string{
		"<h2>The storm</h2>", "4000 queries in 20 s, 200 a second (storm)", "2 queries in 20 s, 0 a second (no storm)", "fill:#B2182B", "fill:#2166AC", "fill:#C9C9C9", ">with others<",
		"prefers-color-scheme: dark", "TTL 0, an endpoint changes every 1m0s", "<dd>42</dd>", "<dd>v1.2.3</dd>", "7, which start within 0s, beside 3 queries a second of others",
		"tls, certificate of dns.example, certificate not verified, EDNS with 1232 octets and DO", "&lt;script&gt;", `a\x1b[31m.`, `<th scope="row">queries</th><td>4000</td><td>2</td>`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if bad := regexp.MustCompile(`<script|\x1b|(src|href)=|url\(|@import|https?:`).FindString(got); bad != "" {
		t.Errorf("%q in the page", bad)
	}
	if open, closed := strings.Count(got, "<svg"), strings.Count(got, "</svg>"); open != 2 || closed != 2 {
		t.Errorf("%d pictures are begun and %d ended, want one for each scene", open, closed)
	}
	var text bytes.Buffer
	if err := Text(&text, reports); err != nil || strings.ContainsRune(text.String(), '\x1b') || strings.Count(text.String(), "The storm") != 1 {
		t.Errorf("%v, %q", err, &text)
	}
	page.Reset()
	if err := HTML(&page, []Report{{}, {Name: "x", Length: time.Second}}); err != nil || !strings.Contains(page.String(), "no queries") {
		t.Errorf("of nothing: %v, %s", err, &page)
	}
}

// TestTitle has what came of the first treatment of each scene and of its last.
func TestTitle(t *testing.T) {
	a, b, c := played("nothing", "The storm", 0, 5*time.Millisecond), played("cache 30", "The storm", 0, time.Second), played("ttlfloor", "The storm", 0, 10*time.Second)
	alone := played("127.0.0.1:53", "The herd", 6, 10*time.Second)
	want := "7 clients with 2 names each:\nstorm with \"nothing\", no storm with \"ttlfloor\"\nspread with \"127.0.0.1:53\""
	if got := title([]Report{a, b, c, alone}); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var picture bytes.Buffer
	if err := Draw(&picture, "svg", []Report{a, c}); err != nil || !strings.Contains(picture.String(), ">storm with &#34;nothing&#34;, no storm with &#34;ttlfloor&#34;<") {
		t.Errorf("%v, %s", err, &picture)
	}
}

// TestParams says what was run in JSON's words and in those of the table. Of many names
// the table has the first ones.
func TestParams(t *testing.T) {
	live := played("127.0.0.1:53", "", 0, time.Second)
	var text bytes.Buffer
	if err := Text(&text, []Report{live}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"server    127.0.0.1:53\n", "names     SRV a.example., b.example.\n", "model     linkerd\n", "length    20s\n", "seed      42\n", "ttlstorm  v1.2.3\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
	live.Run.Names = strings.Fields(strings.Repeat("a. ", 100))
	if got := live.Run.pairs()[2].Value; got != "a., a., a., a., a. and 95 more" {
		t.Errorf("names are %q", got)
	}
}

// TestLatency has percentiles within a thousandth, whatever is counted.
func TestLatency(t *testing.T) {
	r := NewRecord(time.Second)
	if got := r.Report("", time.Second, 0).Latency; got != (Latency{}) {
		t.Errorf("of nothing: %+v", got)
	}
	for ms := 1000; ms > 0; ms-- {
		r.Latency(time.Duration(ms) * time.Millisecond)
	}
	got := r.Report("", time.Second, 0).Latency
	near := func(d, want time.Duration) bool { return d >= want && d <= want+want/500 }
	if got.N != 1000 || !near(got.P50, 500*time.Millisecond) || !near(got.P90, 900*time.Millisecond) || !near(got.P99, 990*time.Millisecond) || !near(got.Max, time.Second) {
		t.Errorf("%+v", got)
	}
	r.Latency(0)
	r.Latency(-time.Second)
	r.Latency(time.Hour)
	if got = r.Report("", time.Second, 0).Latency; got.N != 1003 || !near(got.Max, latencyMost) {
		t.Errorf("beyond its range: %+v", got)
	}
}

// TestFinding has the line that a run comes to: its number and a word for it.
func TestFinding(t *testing.T) {
	long := Report{Queries: 9, Length: 2 * time.Minute, Seconds: make([]int, 120), Settled: -1, Generation: 10 * time.Second, Last: Span{Mean: 1, SecondRatio: 30}}
	uneven, even, half, none := long, long, long, long
	uneven.Last.SecondRatio = 2.04
	even.Settled, even.Last.SecondRatio = 1.5, 1.1
	half.Seconds, half.Length = make([]int, 70), 70*time.Second
	none.Last = Span{}
	again := even // a herd once more
	again.Last = Span{Mean: 10, Second: 13, SecondRatio: 1.3}
	young := half
	young.Length = 69 * time.Second
	for want, r := range map[string]Report{
		"busiest second of the last minute: 30.00 times the mean (herd)":            long,
		"busiest second of the last minute: 2.04 times the mean (uneven)":           uneven,
		"busiest second of the last minute: 1.10 times the mean (spread)":           even,
		"busiest second of the last minute: 1.30 times the mean (uneven)":           again,
		"busiest second of the last 35 s: 30.00 times the mean (herd)":              half,
		"busiest second of the last 35 s: 30.00 times the mean (too short to tell)": young,
		"9 queries in 120 s, none in the last minute":                               none,
		"4000 queries in 20 s, 200 a second (storm)":                                played("", "", 0, 5*time.Millisecond),
		"2 queries in 20 s, 0 a second (no storm)":                                  played("", "a scene", 0, 10*time.Second),
		"no queries": {},
	} {
		if got := r.finding(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
