package capture

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// The formats that {common} and {combined} stand for in others.
const (
	common   = `{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" {rcode} {>rflags} {rsize} {duration}`
	combined = common + ` "{>opcode}"`
)

// when is how {when} of CoreDNS before 1.3 looks.
const when = "02/Jan/2006:15:04:05 -0700"

// patterns are what the placeholders are replaced with. Those that are not here, such as
// metadata, are replaced with anything.
var patterns = map[string]string{
	"remote":   `\[[^][\s]+\]|[0-9.]+|-`,
	"name":     `(?:\\.|[^\s\\"])*?\.`,
	"type":     `[A-Za-z0-9-]+?`,
	"class":    `[A-Z0-9]+?`,
	"rcode":    `[A-Z0-9]+?|-`,
	"duration": `[0-9.]+s|-`,
	">opcode":  `\d+|-`,
	"when":     `\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [-+]\d{4}`,
	"port":     `\d+|-`,
	"local":    `\[[^][\s]+\]|[0-9.]+|-`,
	"proto":    `\w+?|-`,
	"size":     `\d+|-`,
	"rsize":    `\d+|-`,
	">id":      `\d+|-`,
	">do":      `true|false|-`,
	">bufsize": `\d+|-`,
	">rflags":  `[a-z,]*?|-`,
}

// format is a custom one of the log plugin.
type format struct {
	line   *regexp.Regexp
	groups map[string]int // of the placeholders that say something
}

// newFormat reads a format as it stands in a Corefile, with or without quotes. Without one
// it returns nil.
func newFormat(s string) (*format, error) {
	s = strings.TrimSpace(s)
	if n := len(s); n > 1 && s[0] == '"' && s[n-1] == '"' {
		s = s[1 : n-1]
	}
	whole := s
	s = strings.ReplaceAll(s, `\"`, `"`) // the only escape of a Corefile
	s = strings.ReplaceAll(strings.ReplaceAll(s, "{common}", common), "{combined}", combined)
	switch {
	case s == "" || s == common || s == combined:
		return nil, nil
	case len(s) > 4096:
		return nil, errors.New("a log format can have up to 4096 octets")
	}
	f := &format{groups: map[string]int{}}
	var line strings.Builder
	line.WriteString(`(?s)^`)
	groups := 0
	for {
		// As CoreDNS does it: from a "}" back to the "{" next to it.
		end := strings.IndexByte(s, '}')
		start := strings.LastIndexByte(s[:max(end, 0)], '{')
		if end < 0 {
			break
		}
		if start < 0 {
			line.WriteString(regexp.QuoteMeta(s[:end+1]))
			s = s[end+1:]
			continue
		}
		line.WriteString(regexp.QuoteMeta(s[:start]))
		label := s[start+1 : end]
		pattern, known := patterns[label]
		if _, again := f.groups[label]; !known || again {
			line.WriteString(`.*?`)
		} else {
			groups++
			f.groups[label] = groups
			line.WriteString(`(` + pattern + `)`)
		}
		s = s[end+1:]
	}
	line.WriteString(regexp.QuoteMeta(s) + `$`)
	for _, need := range []string{"name", "type"} {
		if f.groups[need] == 0 {
			return nil, fmt.Errorf("log format %q: no {%s} in it; accepted is one with {name}, {type}, and {remote} if clients are to be told apart", whole, need)
		}
	}
	var err error
	if f.line, err = regexp.Compile(line.String()); err != nil {
		return nil, fmt.Errorf("log format %q: %w", whole, err)
	}
	return f, nil
}

// match reads a line in this format into m, which has the time of the line, if it has
// one.
func (f *format) match(b []byte, p *parser, m *Message) bool {
	found := f.line.FindSubmatchIndex(b)
	if found == nil {
		return false
	}
	get := func(label string) []byte {
		if n := f.groups[label]; n > 0 && found[2*n] >= 0 {
			return b[found[2*n]:found[2*n+1]]
		}
		return nil
	}
	if at := get("when"); at != nil && m.At.IsZero() {
		if t, err := time.Parse(when, string(at)); err == nil {
			m.At = t.UTC()
		}
	}
	return p.fields(m, fields{
		host: get("remote"), typ: get("type"), class: get("class"), name: get("name"),
		rcode: get("rcode"), duration: get("duration"), opcode: get(">opcode"),
	})
}
