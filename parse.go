package ttlfloor

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/plugin"

	"github.com/miekg/dns"
	"github.com/ttlfloor/ttlfloor/internal/zonename"
)

// Defaults and limits, in seconds and per cent.
const (
	defaultFloor, defaultNegative = 30, 5
	defaultLow, defaultHigh       = 10, 50
	leastLow, greatestHigh        = -99, 1000
)

// parse reads the directives of a server block.
func parse(c *caddy.Controller) ([]*rule, error) {
	var rules []*rule
	zones := newZones(nil)
	for c.Next() {
		if c.Val() != pluginName {
			return nil, c.Errf("%q is not part of a rule here; accepted are options in braces that open on the line of the directive, and after them a new line", c.Val())
		}
		directive := c.Dispenser
		r, err := parseRule(c)
		if err != nil {
			return nil, err
		}
		if zone, types, other := zones.insert(r); other != nil {
			at := other.at
			if at == r.at {
				at += ", which is this one, imported twice"
			}
			return nil, directive.Errf("zone %q has a rule for %s already, at %s; accepted is one rule for a zone and type, and one for the zone without types", zone, types, at)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// unit is a TTL with its unit, whose number stood apart.
var unit = regexp.MustCompile(`(?i)^[0-9]+ (s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|ms) `)

// parseRule reads one directive: ttlfloor [FLOOR] [ZONES...] { OPTION... }
func parseRule(c *caddy.Controller) (*rule, error) {
	r := &rule{at: fmt.Sprintf("%s:%d", c.File(), c.Line()), policy: policy{
		floor: defaultFloor, max: maxTTL,
		low: defaultLow, high: defaultHigh,
	}}
	var err error
	at := *c // errors name this line, which a token with a line feed in it ends otherwise
	args := c.RemainingArgs()
	if slices.Contains(args, pluginName) { // tokens of an import have the lines that they had
		return nil, at.Errf("%q stands on the line of the rule at %s again, as where a snippet or a file is imported twice; accepted is one import in a server block, and one rule on a line", pluginName, r.at)
	}
	if len(args) > 0 && zonename.IsNumber(args[0]) {
		if unit.MatchString(strings.Join(args, " ") + " ") {
			return nil, at.Errf("%q holds a blank; accepted is a TTL in one word (30s), or a zone with its last dot (%q)", args[0]+" "+args[1], args[1]+".")
		}
		if r.floor, err = parseTTL(&at, "FLOOR", args[:1], week); err != nil {
			return nil, err
		}
		args = args[1:]
	}
	if r.zones, err = parseZones(&at, args); err != nil {
		return nil, err
	}

	given := make(map[string]bool)
	for c.NextBlock() {
		option := c.Val()
		if given[option] {
			return nil, c.Errf("option %q is given twice; accepted is once in a rule", option)
		}
		given[option] = true
		at = *c
		args = c.RemainingArgs()
		for _, word := range append(args, option) {
			if why := zonename.Torn(word, "word"); why != "" {
				return nil, at.Errf("%q %s", word, why)
			}
			if word == "}" {
				return nil, at.Errf("option %q has a brace behind it; accepted is %q on a line of its own", option, word)
			}
		}
		parseOption := options[option]
		if parseOption == nil {
			return nil, c.Errf("unknown option %q; accepted are zero, negative, max, jitter, smear, observe, types and except", option)
		}
		if err = parseOption(&at, r, args); err != nil {
			return nil, err
		}
		if r.smear > 0 && r.jitter != scheduled {
			return nil, at.Errf("%q: smear needs a jitter that is scheduled, or none; accepted is to leave one of the two out", strings.Join(append([]string{option}, args...), " "))
		}
	}
	if r.zero == 0 {
		r.zero = r.floor
	}
	if !given["negative"] {
		r.negative = min(defaultNegative, r.max)
	}
	return r, nil
}

var options = map[string]func(c *caddy.Controller, r *rule, args []string) error{
	"zero": parseZero, "negative": parseNegative, "max": parseMax, "jitter": parseJitter,
	"smear": parseSmear, "observe": parseObserve, "types": parseTypes, "except": parseExcept,
}

func parseZero(c *caddy.Controller, r *rule, args []string) (err error) {
	if r.zero, err = parseTTL(c, "zero", args, maxTTL); err != nil {
		return err
	}
	if r.zero < r.floor || r.zero > r.max {
		return c.Errf("zero %q is out of range; accepted is a TTL from FLOOR to max, %d to %d seconds", args[0], r.floor, r.max)
	}
	return nil
}

func parseNegative(c *caddy.Controller, r *rule, args []string) (err error) {
	if len(args) == 1 && args[0] == "off" {
		r.negative = 0
		return nil
	}
	if r.negative, err = parseTTL(c, "negative", args, week); err != nil {
		return fmt.Errorf("%w, or off", err)
	}
	if r.negative > r.max {
		return c.Errf("negative %q is out of range; accepted is off or a TTL up to max, %d seconds", args[0], r.max)
	}
	return nil
}

func parseMax(c *caddy.Controller, r *rule, args []string) (err error) {
	if r.max, err = parseTTL(c, "max", args, maxTTL); err != nil {
		return err
	}
	if least := max(r.floor, r.zero, r.negative); r.max < least {
		return c.Errf("max %q is out of range; accepted is a TTL of at least the greatest of FLOOR, zero and negative, %d seconds", args[0], least)
	}
	return nil
}

const jitterSyntax = `accepted are one or two percentages and then scheduled or random, as in "10% 50% scheduled", and "off"`

func parseJitter(c *caddy.Controller, r *rule, args []string) (err error) {
	if len(args) == 1 && args[0] == "off" {
		r.jitter, r.low, r.high = off, 0, 0
		return nil
	}
	if n := len(args); n > 1 && !strings.HasSuffix(args[n-1], "%") {
		switch args[n-1] {
		case "scheduled":
			r.jitter = scheduled
		case "random":
			r.jitter = random
		default:
			return c.Errf("jitter %q is unknown; %s", args[n-1], jitterSyntax)
		}
		args = args[:n-1]
	}
	switch len(args) {
	case 0:
		return c.Errf(`option "jitter" has no percentage; %s`, jitterSyntax)
	case 1: // HIGH alone
		r.low = 0
	case 2:
		if r.low, err = parsePercent(c, args[0]); err != nil {
			return err
		}
	default:
		return c.Errf("jitter %q has too many words; %s", strings.Join(args, " "), jitterSyntax)
	}
	if r.high, err = parsePercent(c, args[len(args)-1]); err != nil {
		return err
	}
	if r.low > r.high {
		return c.Errf("jitter %q runs from %d%% down to %d%%; accepted is LOW up to HIGH, where one value is a HIGH for a LOW of 0%%", strings.Join(args, " "), r.low, r.high)
	}
	return nil
}

func parsePercent(c *caddy.Controller, token string) (int64, error) {
	digits, ok := strings.CutSuffix(token, "%")
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < leastLow || n > greatestHigh {
		return 0, c.Errf("jitter %q is not a percentage from %d%% to %d%%; %s", token, leastLow, greatestHigh, jitterSyntax)
	}
	return n, nil
}

func parseSmear(c *caddy.Controller, r *rule, args []string) (err error) {
	if len(args) == 1 {
		r.smear, err = time.ParseDuration(args[0])
	}
	if len(args) != 1 || err != nil || r.smear < moment || r.smear > mostSmear {
		return c.Errf("smear %q is not a delay; accepted is one Go duration from %s to %s (100ms)", strings.Join(args, " "), moment, mostSmear)
	}
	return nil
}

func parseObserve(c *caddy.Controller, r *rule, args []string) error {
	if r.observe = true; len(args) > 0 {
		return c.Errf("option %q has %d arguments; accepted is none", "observe "+strings.Join(args, " "), len(args))
	}
	return nil
}

func parseTypes(c *caddy.Controller, r *rule, args []string) error {
	if len(args) == 0 {
		return c.Errf(`option "types" has no type; accepted are one or more query types (SRV A AAAA)`)
	}
	for _, arg := range args {
		t, ok := parseType(arg)
		if !ok {
			return c.Errf("type %q is unknown; accepted are the names of query types (SRV A AAAA), or TYPE and a number, except AXFR and IXFR", arg)
		}
		if !slices.Contains(r.types, t) {
			r.types = append(r.types, t)
		}
	}
	return nil
}

// parseType reads a type's name, or its number as in RFC 3597 section 5.
func parseType(token string) (uint16, bool) {
	token = strings.ToUpper(token)
	t, ok := dns.StringToType[token]
	if number, generic := strings.CutPrefix(token, "TYPE"); generic {
		n, err := strconv.ParseUint(number, 10, 16)
		t, ok = uint16(n), err == nil && n > 0
	}
	return t, ok && t != dns.TypeAXFR && t != dns.TypeIXFR
}

func parseExcept(c *caddy.Controller, r *rule, args []string) error {
	if len(args) == 0 {
		return c.Errf(`option "except" has no zone; accepted are one or more zones below %s`, strings.Join(r.zones, " "))
	}
	var except []string
	for _, arg := range args {
		zones, err := parseZones(c, []string{arg})
		if err != nil {
			return err
		}
		for _, zone := range zones {
			if slices.Contains(r.zones, zone) || plugin.Zones(r.zones).Matches(zone) == "" {
				return c.Errf("except %q is not below the zones of the rule; accepted are zones below %s", arg, strings.Join(r.zones, " "))
			}
		}
		except = append(except, zones...)
	}
	slices.Sort(except)
	r.except = newZones([]*rule{{zones: slices.Compact(except)}})
	return nil
}

// parseZones normalizes zones, without repeating one; there being none, they
// are those of the server block, as CoreDNS has them.
func parseZones(c *caddy.Controller, args []string) (zones []string, err error) {
	if len(args) == 0 {
		args = plugin.OriginsFromArgsOrServerBlock(nil, c.ServerBlockKeys)
	}
	for _, arg := range args {
		names, why := zonename.Parse(arg)
		if why != "" {
			return nil, c.Errf("%q %s", arg, why)
		}
		zones = append(zones, names...)
	}
	slices.Sort(zones)
	return slices.Compact(zones), nil
}

// parseTTL reads the one TTL of an option, from 1 to greatest seconds.
func parseTTL(c *caddy.Controller, option string, args []string, greatest uint32) (uint32, error) {
	if len(args) != 1 {
		return 0, c.Errf("option %q has %d arguments; accepted is one TTL", strings.Join(append([]string{option}, args...), " "), len(args))
	}
	n, err := strconv.ParseUint(args[0], 10, 32)
	if err != nil {
		var d time.Duration
		d, err = time.ParseDuration(args[0])
		if d < 0 || d%time.Second != 0 {
			d = 0
		}
		n = uint64(d / time.Second) // #nosec G115 -- not negative
	}
	if err != nil || n < 1 || n > uint64(greatest) {
		return 0, c.Errf("%s %q is not a TTL; accepted are whole seconds (30) or a Go duration of whole seconds (30s, 1m30s), from 1s to %s", option, args[0], time.Duration(greatest)*time.Second)
	}
	return uint32(n), nil // #nosec G115 -- at most greatest
}
