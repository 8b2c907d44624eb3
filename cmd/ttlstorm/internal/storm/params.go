package storm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Params are what a run was told, so that it can be done again. Their JSON leaves out
// what the run did not have.
type Params struct {
	Version  string        `json:"ttlstorm_version"`
	Began    time.Time     `json:"began"`
	Server   string        `json:"server"`
	Protocol string        `json:"protocol"` // udp, tcp, tls or https
	TLSName  string        `json:"tls_name,omitempty"`
	Insecure bool          `json:"insecure,omitempty"`
	BufSize  uint16        `json:"edns_bufsize,omitempty"` // 0 without EDNS
	DO       bool          `json:"edns_do,omitempty"`
	Names    []string      `json:"names"` // as [TYPE] NAME
	Model    string        `json:"model"`
	Clients  int           `json:"clients"`
	Others   int           `json:"others_per_second,omitempty"`
	Length   time.Duration `json:"for_ns"` // asked for; that of a Report is what it took
	Start    time.Duration `json:"start_ns"`
	Rate     int           `json:"most_queries_per_second"`
	Seed     uint64        `json:"seed"`
	Compare  *Comparison   `json:"compare,omitempty"` // nil of a server that was there before
}

// Comparison is what a run has in common with those that it is compared with.
type Comparison struct {
	Scene  string        `json:"scene"`
	TTL    uint32        `json:"source_ttl_seconds"`
	Floor  int           `json:"floor_seconds"`
	Change time.Duration `json:"change_ns"` // between changes of the endpoints; 0 is never
}

// label is the name as it is shown.
func (r Report) label() string { return printable(r.Name) }

// scene is the title that runs are compared under, or empty.
func (r Report) scene() string {
	if r.Run == nil || r.Run.Compare == nil {
		return ""
	}
	return r.Run.Compare.Scene
}

// scenes are reports in a row that have one title.
func scenes(reports []Report) (out [][]Report) {
	for i, r := range reports {
		if i == 0 || r.scene() != reports[i-1].scene() {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], r)
	}
	return out
}

// pair is a parameter and its value.
type pair struct{ Key, Value string }

// shown is how many names are told but in JSON, which has all.
const shown = 5

// pairs say what a run was told, for people.
func (p *Params) pairs() []pair {
	if p == nil {
		return nil
	}
	names := printable(strings.Join(p.Names[:min(len(p.Names), shown)], ", "))
	if more := len(p.Names) - shown; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	clients := fmt.Sprintf("%d, which start within %v", p.Clients, p.Start)
	if p.Others > 0 {
		clients += fmt.Sprintf(", beside %d queries a second of others", p.Others)
	}
	where := []pair{{"server", p.Server}, {"protocol", p.protocol()}}
	if c := p.Compare; c != nil {
		source := fmt.Sprintf("TTL %d, endpoints that never change", c.TTL)
		if c.Change > 0 {
			source = fmt.Sprintf("TTL %d, an endpoint changes every %v", c.TTL, c.Change)
		}
		where = []pair{{"source", source}, {"floor", strconv.Itoa(c.Floor) + " s"}, {"protocol", p.protocol()}}
	}
	return slices.Concat(where, []pair{
		{"names", names}, {"model", p.Model}, {"clients", clients}, {"length", p.Length.String()},
		{"rate", fmt.Sprintf("%d queries a second at most", p.Rate)}, {"seed", strconv.FormatUint(p.Seed, 10)},
		{"began", p.Began.UTC().Format(time.RFC3339)}, {"ttlstorm", p.Version},
	})
}

// protocol is how the server is asked.
func (p *Params) protocol() string {
	out := p.Protocol
	if p.TLSName != "" {
		out += ", certificate of " + printable(p.TLSName)
	}
	if p.Insecure {
		out += ", certificate not verified"
	}
	if p.BufSize > 0 {
		out += fmt.Sprintf(", EDNS with %d octets", p.BufSize)
	}
	if p.DO {
		out += " and DO"
	}
	return out
}

// printable is text that a terminal only shows: what is not a graphic character is
// escaped as Go does it.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
