package find

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// Text writes a report for people.
func (r *Report) Text(w io.Writer) error { return text.Execute(w, r) }

var text = template.Must(template.New("text").Funcs(funcs).Parse(`{{count .Queries "query" "queries"}}{{if lt .Untimed .Queries}} in {{took .Length}}{{end}}{{if .Answers}}, {{count .Answers "answer" "answers"}} seen{{end}}. {{with .Findings}}{{count (len .) "finding" "findings"}}, the most harmful first:{{else}}{{none .}}{{end}}
{{range $i, $n := first .Findings}}
{{add $i 1}}. {{.Kind.Title}} at {{.Type}} {{.Name}}
   {{headline $n}}
   {{.Why}}{{with .Ended}}; that was until {{took .}} before the end{{end}}{{with .If}}
   a rule helps only if {{.}}{{end}}
{{- if .TTLs}}
   TTLs of its answers: {{index .TTLs 0}} to {{index .TTLs 1}}{{end}}
   clients: {{list .Examples}}{{if gt .Clients (len .Examples)}} and {{sub .Clients (len .Examples)}} more{{end}}
{{- with others .Others}}
   beside them: {{.}}{{end}}
{{- with .Predict}}
   with {{.Floor}}s{{if $n.If}}, if so{{end}}: {{rate $n.Rate}} -> {{rate .Rate}} queries a second, {{$n.Second}} -> {{.Second}} in the busiest; a removed endpoint may be used for {{.Before}} -> {{.Stale}} s{{if gt .Rate $n.Rate}}; it takes more queries, since a TTL above FLOOR can only be lowered{{end}}
{{- end}}{{if $n.Skipped}}
   not run through the rule, as -replays says{{end}}
{{end}}
{{- with more .Findings}}
{{.}}
{{end}}
{{- with .Rules}}
For the server block of these names:
{{range .}}
{{indent .Line}}   # {{numbers .Findings}}{{with .If}}, if {{.}}{{end}}{{if .Wider}}; wider than the name, which no Corefile can hold{{end}}
{{end}}{{end}}
{{- if .Busiest}}
Asked most, and by whom:
{{range .Busiest}}  {{count .Queries "query" "queries"}}{{if .Busiest}}, {{.Busiest}} in the busiest second{{end}}: {{.Type}} {{.Name}}{{with others .Clients}}
    {{.}}{{end}}
{{end}}{{end}}
{{- with .Untold}}
What this input cannot tell:
{{range .}}  - {{.}}
{{end}}{{end}}`))

var funcs = map[string]any{
	"add":      func(a, b int) int { return a + b },
	"sub":      func(a, b int) int { return a - b },
	"took":     took,
	"count":    count,
	"indent":   func(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") },
	"headline": headline,
	"none": func(r *Report) string {
		if r.Untimed == r.Queries {
			return "When they came is not known, so nothing can be found."
		}
		none := fmt.Sprintf("No storm, and no herd of %d clients or more.", herdClients)
		if len(r.Busiest) > 0 && 2*r.Busiest[0].Queries > r.Queries && r.Queries >= 1000 {
			none += fmt.Sprintf(" Yet %s has %.0f %% of the queries.", r.Busiest[0].Name, 100*float64(r.Busiest[0].Queries)/float64(r.Queries))
		}
		return none
	},
	"rate":     rate,
	"first":    func(all []Finding) []Finding { return all[:min(len(all), textMost)] },
	"more":     more,
	"numbers":  numbers,
	"sentence": func(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." },
	"others":   others,
	"percent":  func(share float64) string { return fmt.Sprintf("%.3g %%", 100*share) },
	"list": func(addrs []netip.Addr) string {
		out := make([]string, 0, len(addrs))
		for _, a := range addrs {
			out = append(out, a.String())
		}
		return strings.Join(out, ", ")
	},
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// headline says in a line what a finding is.
func headline(n Finding) string {
	all := fmt.Sprintf("%s queries, %.3g %% of all", grouped(n.Queries), 100*n.Share)
	who := grouped(n.Clients) + " clients"
	if n.Estimate {
		who = "about " + who
	}
	if n.Followers > n.Clients {
		who += " of " + grouped(n.Followers) + " with that period"
	}
	if n.Behind < n.Clients {
		who += " behind " + count(n.Behind, "address", "addresses")
	}
	if n.Kind == Often {
		return fmt.Sprintf("%s; from %s, %.0f queries a second", all, count(n.Behind, "address", "addresses"), n.Rate)
	}
	if n.Kind == Storm {
		again := "ask again at once"
		if n.Clients == 1 {
			who, again = "1 client", "asks again at once"
		}
		if n.Period > 0 {
			again += ", in bursts every " + took(n.Period)
		}
		return fmt.Sprintf("%s; %s %s, %.0f queries a second", all, who, again, n.Rate)
	}
	follow := "come every"
	if n.Known {
		follow = "follow TTLs, and come every"
	}
	if n.Kind == Short {
		return fmt.Sprintf("%s; %s %s %s, %.0f queries a second", all, who, follow, took(n.Period), n.Rate)
	}
	return fmt.Sprintf("%s; %s %s %s, %s queries in the busiest second of the clock, which is %.1f times the mean, and %s in the busiest wherever it begins; dispersion %.1f (by chance 1)",
		all, who, follow, took(n.Period), grouped(n.Second), n.Ratio, grouped(n.Offset), n.Disperse)
}

const (
	textMost = 20 // findings in the text
	listMost = 8  // numbers in a list of those
)

// more says where the findings are that the text does not show.
func more(all []Finding) string {
	if len(all) <= textMost {
		return ""
	}
	return count(len(all)-textMost, "finding", "findings") + " more; -html and -json have all of them."
}

// numbers lists findings by their place.
func numbers(findings []int) string {
	first := findings[:min(len(findings), listMost)]
	out := make([]string, 0, len(first))
	for _, i := range first {
		out = append(out, strconv.Itoa(i+1))
	}
	s := strings.Join(out, ", ")
	if rest := len(findings) - listMost; rest > 0 {
		s += fmt.Sprintf(" and %d more", rest)
	}
	return s
}

// others says what clients do.
func others(o Habits) string {
	var parts []string
	for _, p := range o.Regular {
		s := fmt.Sprintf("%s every %s", grouped(p.Clients), took(p.Period))
		if p.Known {
			s += " as TTLs say"
		}
		parts = append(parts, s)
	}
	if o.AtOnce > 0 {
		parts = append(parts, grouped(o.AtOnce)+" again at once")
	}
	if o.Once > 0 {
		parts = append(parts, grouped(o.Once)+" asked once")
	}
	if o.Left > 0 {
		parts = append(parts, grouped(o.Left)+" left")
	}
	if o.Rest > 0 {
		parts = append(parts, grouped(o.Rest)+" at no regular time")
	}
	return strings.Join(parts, ", ")
}

// rate writes queries a second.
func rate(r float64) string {
	if r < 1 {
		return fmt.Sprintf("%.2f", r)
	}
	return fmt.Sprintf("%.1f", r)
}

// took writes a length of time, in no more detail than it deserves.
func took(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	s := d.Round(time.Second).String()
	for _, none := range []string{"m0s", "h0m"} { // minutes alone, hours alone
		if strings.HasSuffix(s, none) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// grouped writes a number with commas.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
