package capture

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestParts has files of lines with times, and which of the lines the clock goes back at.
func TestParts(t *testing.T) {
	each := func(n int, front func(i int) string) (all []string) {
		for i := range n {
			all = append(all, front(i)+"[INFO] "+line)
		}
		return all
	}
	kubectl := func(minute, second int) string { return fmt.Sprintf("2026-11-26T10:%02d:%02d.5Z ", minute, second) }
	pods := func(front func(i int) string) []string { return each(30, func(i int) string { return front(i % 10) }) }
	for what, tc := range map[string]struct {
		lines []string
		want  []int // lines that parts begin with
	}{
		"a pod":           {each(30, func(i int) string { return kubectl(i, 0) }), []int{0}},
		"three pods":      {pods(func(i int) string { return kubectl(i, 0) }), []int{0, 10, 20}},
		"out of order":    {each(30, func(i int) string { return kubectl(5, i+3-5*(i%2)) }), []int{0}},
		"by five seconds": {[]string{kubectl(5, 1) + line, kubectl(4, 56) + line}, []int{0}},
		"by six":          {[]string{kubectl(5, 1) + "[INFO] " + line, kubectl(4, 55) + "[INFO] " + line}, []int{0, 1}},
		"within a minute": {[]string{kubectl(5, 41) + line, kubectl(5, 11) + line}, []int{0, 1}},
		"without level":   {[]string{kubectl(5, 1) + line, kubectl(4, 0) + line}, []int{0, 1}},
		"prefix":          {pods(func(i int) string { return "[pod/coredns-7d/coredns] " + kubectl(i, 0) }), []int{0, 10, 20}},
		"stern":           {pods(func(i int) string { return "coredns-7d coredns " + kubectl(i, 0) }), []int{0, 10, 20}},
		"coloured":        {pods(func(i int) string { return "\x1b[36mcoredns-1  |\x1b[0m " + kubectl(i, 0) }), []int{0, 10, 20}},
		"syslog":          {pods(func(i int) string { return fmt.Sprintf("Nov 26 10:%02d:00 host coredns[1]: ", i) }), []int{0, 10, 20}},
		"JSON": {[]string{`{"time":"2026-11-26T10:05:00Z","plugin":"log"}`, `{"time":"2026-11-26T10:06:00.5Z","plugin":"log"}`,
			`{"time":"2026-11-26T10:00:00Z","plugin":"log"}`}, []int{0, 2}},
		"lines of others": {[]string{"CoreDNS-1.15.0", kubectl(5, 0) + "[INFO] " + line, "panic: 2026-11-26T09:00:00Z", strings.Repeat("x", 3*longestLine),
			"", kubectl(1, 0) + "[INFO] " + line}, []int{0, 5}},
		"no times":           {each(3000, func(int) string { return "" }), []int{0}},
		"times that are few": {append(each(3000, func(int) string { return "" }), pods(func(i int) string { return kubectl(i, 0) })...), []int{0}},
		"too many parts":     {each(1000, func(i int) string { return kubectl(9-i%10, 0) }), []int{0}},
		"as many as can be":  {each(64, func(i int) string { return fmt.Sprintf("2026-11-%02dT10:%02d:00Z ", 20-i/10, 50-5*(i%10)) }), nil},
		"data":               {append([]string{"\x00"}, pods(func(i int) string { return kubectl(i, 0) })...), []int{0}},
		"nothing":            {nil, []int{0}},
	} {
		t.Run(what, func(t *testing.T) {
			var file bytes.Buffer
			var want []int64
			for i, s := range tc.lines {
				if slices.Contains(tc.want, i) || tc.want == nil {
					want = append(want, int64(file.Len()))
				}
				file.WriteString(s + "\n")
			}
			if want == nil {
				want = []int64{0}
			}
			if got := Parts(t.Context(), bytes.NewReader(file.Bytes()), 64); !slices.Equal(got, want) {
				t.Errorf("parts at %d, want %d", got, want)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if got := Parts(ctx, bytes.NewReader(file.Bytes()), 64); len(got) != 1 {
				t.Errorf("%d parts after an interrupt", len(got))
			}
		})
	}
}
