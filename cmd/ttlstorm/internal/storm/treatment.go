package storm

import (
	"fmt"
	"strings"
)

// Treatment is what a server does about a storm, as directives of its server
// block in the order of the chain.
type Treatment struct {
	Name       string
	Directives []string
}

// Treatments are those that are compared, for a floor in seconds.
func Treatments(floor int) []Treatment {
	rewrite := fmt.Sprintf("rewrite ttl regex (.*) %d-", floor)
	minTTL := fmt.Sprintf("cache {\n success 9984 3600 %d\n denial 9984 1800 5\n }", floor)
	ttlfloor := func(jitter string) string { return fmt.Sprintf("ttlfloor %d {\n jitter %s\n }", floor, jitter) }
	const window = "10% 50% "
	return []Treatment{
		{"nothing", nil},
		{"cache 30", []string{"cache 30"}},
		{"cache, keepttl", []string{"cache 30 {\n keepttl\n }"}},
		{"cache, MINTTL", []string{minTTL}},
		{"rewrite ttl", []string{rewrite, "cache 30"}},
		{"ttlfloor, jitter off", []string{ttlfloor("off"), "cache 30"}},
		{"ttlfloor, random", []string{ttlfloor(window + "random"), "cache 30"}},
		{"ttlfloor, scheduled", []string{ttlfloor(window + "scheduled"), "cache 30"}},
	}
}

// ServingStale returns treatments whose caches go on with expired entries.
func ServingStale(in []Treatment) []Treatment {
	out := make([]Treatment, 0, len(in))
	for _, t := range in {
		directives := make([]string, len(t.Directives))
		for i, d := range t.Directives {
			if strings.HasPrefix(d, "cache") {
				if !strings.Contains(d, "{") {
					d += " {\n }"
				}
				d = strings.TrimSuffix(d, "}") + "serve_stale\n }"
			}
			directives[i] = d
		}
		out = append(out, Treatment{t.Name, directives})
	}
	return out
}

// Corefile returns a server block that listens on a loopback address and
// forwards to an upstream.
func (t Treatment) Corefile(address, port, upstream string) string {
	return fmt.Sprintf(".:%s {\n bind %s\n errors\n %s\n forward . %s\n}\n", port, address, strings.Join(t.Directives, "\n "), upstream)
}
