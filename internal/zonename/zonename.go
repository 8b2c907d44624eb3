// Package zonename reads the zones of a Corefile, and says of a token that is none
// what was probably meant.
package zonename

import (
	"cmp"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/cidr"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
)

const notZone = "is not a zone; accepted is a domain name or a network in CIDR notation"

// canonical returns a name as it is unpacked from a query, without escapes that
// are not needed (\097 for a), in lower case.
func canonical(name string) (string, bool) {
	var wire [255]byte
	n, err := dns.PackDomainName(dns.Fqdn(name), wire[:], 0, nil, false)
	if err != nil {
		return "", false
	}
	name, _, err = dns.UnpackDomainName(wire[:n], 0)
	return dns.CanonicalName(name), err == nil
}

// words are those of the options, which are zones only with a last dot.
const words = " zero negative max jitter smear observe types except off scheduled random "

var (
	escape  = regexp.MustCompile(`\\[!-~]`)
	aLabels = idna.New(idna.MapForLookup(), idna.StrictDomainName(false))
)

// Torn returns why a token is not one zone, or whatever else it should be, and what
// was probably meant, or "" if it is one.
func Torn(token, what string) string {
	switch {
	case token == "":
		return "is empty, as a variable is that is not set; accepted is a " + what
	case strings.ContainsFunc(token, unicode.IsSpace):
		return fmt.Sprintf("holds a blank, as a variable with several %[1]ss does; accepted is one %[1]s: write the %[1]ss out, each by itself", what)
	case strings.Contains(escape.ReplaceAllString(token, ""), ","):
		return fmt.Sprintf("holds a comma; accepted are blanks between %ss", what)
	}
	return ""
}

// Parse returns the canonical names of the zones that a token stands for, those of
// a network or one, or why it stands for none that anybody asks for, and what is accepted.
func Parse(token string) (names []string, why string) {
	odd := strings.TrimLeftFunc(escape.ReplaceAllString(token, ""), func(ch rune) bool {
		return ch <= unicode.MaxASCII && (unicode.IsLetter(ch) || unicode.IsDigit(ch)) || strings.ContainsRune(`-_.\/:`, ch)
	})
	ch := append([]rune(odd), 0)[0]
	word, _, _ := strings.Cut(strings.ReplaceAll(token, ":", "="), "=")
	if why = Torn(token, "zone"); why != "" {
		return nil, why
	}
	switch {
	case dns.StringToType[token] != 0:
		return nil, fmt.Sprintf("is a query type; accepted are types in braces, on a line of their own, and a zone of that name with its last dot (%q)", token+".")
	case strings.HasPrefix(token, ".") && len(token) > 1 && !IsNumber(token):
		return nil, fmt.Sprintf("begins with a dot, but a zone holds all names below it; accepted is %q", strings.TrimLeft(token, "."))
	case strings.Contains(token, `\.`):
		return nil, `has a backslash before a dot, as a pattern does; accepted is a name with plain dots, and \046 for a dot within a label`
	case strings.Contains(words, " "+strings.ToLower(word)+" "):
		return nil, fmt.Sprintf("is a word of the options; accepted are options in braces, each on a line of its own, and a zone of that name with its last dot (%q)", word+".")
	case strings.ContainsFunc(token, func(ch rune) bool { return !unicode.IsPrint(ch) }):
		return nil, "holds an invisible character; accepted is the name without it"
	case ch > unicode.MaxASCII:
		name, err := aLabels.ToASCII(token)
		if err != nil || name == "" {
			name = "xn--..."
		}
		return nil, fmt.Sprintf("is outside ASCII; accepted is the name with A-labels, as it is asked for, %q", name)
	case ch == '*' && !strings.Contains(strings.TrimLeft(token, "*."), "*"):
		return nil, fmt.Sprintf("has a wildcard, but a zone holds all names below it; accepted is %q", cmp.Or(strings.TrimLeft(token, "*."), "."))
	case ch == '*':
		return nil, "has a wildcard within, and zones have none; accepted is the name of a zone, which holds all names below it"
	case ch == '%':
		return nil, "is a percentage; accepted is jitter in braces, on a line of its own"
	case ch == '@':
		return nil, `holds "@"; accepted is the name of a zone, or no zone at all for those of the server block`
	case ch == ';':
		return nil, `holds ";"; accepted are zones with blanks between them, and "#" before a comment`
	case strings.ContainsRune(`(){}"'`, ch):
		return nil, fmt.Sprintf("holds %q; accepted are zones on the line of the directive, without quotes, and a blank before a brace", ch)
	case odd != "":
		return nil, fmt.Sprintf(`holds %q; accepted is a domain name, with \%03d for the character where it is meant`, ch, ch)
	case IsNumber(token):
		return nil, fmt.Sprintf("looks like a number where a zone belongs; accepted is one FLOOR, directly behind the directive, then zones, with their last dot where they look like a number (%q)", token+".")
	}
	if names = split(token); names == nil {
		return nil, notZone
	}
	for i, name := range names {
		var ok bool
		if names[i], ok = canonical(name); !ok {
			return nil, notZone
		}
	}
	return names, ""
}

// split returns the names of a network's zones, or a token without scheme and port,
// or nil for an address and what is left of a URL.
func split(token string) []string {
	if _, network, err := net.ParseCIDR(token); err == nil { // by ourselves, since CoreDNS refuses ::/0
		_, network, _ = net.ParseCIDR(network.String()) // Split panics on ::ffff:10.0.0.0/105, which is 10.0.0.0/9
		return cidr.Reverse(cidr.Split(network))
	}
	names := []string{token}
	if strings.Contains(token, ":") {
		names = plugin.Host(token).NormalizeExact()
	}
	bare := strings.ToLower(strings.TrimSuffix(strings.Join(names, " "), "."))
	if strings.Contains(bare, ":") || net.ParseIP(bare) != nil || strings.Contains(bare, "/") && !strings.HasSuffix(bare, ".arpa") {
		return nil // a slash is in reverse zones alone, RFC 2317
	}
	return names
}

// IsNumber tells FLOOR, right or wrong, from a zone: a single label without its
// dot that begins with a digit or a sign, or digits with dots that are not an
// address, or what Go reads as a number or a duration.
func IsNumber(token string) bool {
	if token == "" || !strings.ContainsRune("0123456789+-.", rune(token[0])) || strings.HasSuffix(token, ".") || strings.ContainsAny(token, " \t\n,") {
		return false
	}
	_, notFloat := strconv.ParseFloat(token, 64)
	_, notDuration := time.ParseDuration(token)
	return notFloat == nil || notDuration == nil || !strings.ContainsAny(token, "./:") ||
		strings.Trim(token, "0123456789.") == "" && net.ParseIP(token) == nil
}
