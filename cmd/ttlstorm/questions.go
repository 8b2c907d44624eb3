package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// question is a name, and the type that is asked first, or 0.
type question struct {
	name  string
	qtype uint16
}

func (q question) String() string {
	if q.qtype == 0 {
		return q.name
	}
	return dns.Type(q.qtype).String() + " " + q.name
}

// parseQuestions reads names and their types. A type is for the names behind it or,
// where a name comes first, for those before it, as dig has it; so is the class IN.
func parseQuestions(args []string) (out []question, err error) {
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return strings.EqualFold(arg, "IN") })
	if len(args) > 0 && typeOf(args[0]) == 0 { // backwards, the type comes first
		slices.Reverse(args)
		defer func() { slices.Reverse(out) }()
	}
	var qtype uint16
	alone := "" // the type, if no name has come since
	for _, arg := range args {
		_, class := dns.StringToClass[strings.ToUpper(arg)]
		_, name := dns.IsDomainName(arg)
		switch t := typeOf(arg); {
		case t != 0 && alone == "":
			qtype, alone = t, arg
		case t != 0:
			return nil, usagef("%q has no name; a type has names behind it or before it", alone)
		case class || !name || arg[0] == '-' || strings.ContainsAny(arg, "@+:, "):
			return nil, usagef("%q is not a domain name; give [TYPE] NAME..., and the server with -server", arg)
		default:
			out, alone = append(out, question{masterForm(arg), qtype}), ""
		}
	}
	switch {
	case len(out) == 0:
		return nil, usagef("no names; give some to resolve, such as SRV linkerd-dst-headless.linkerd.svc.cluster.local")
	case alone != "":
		return nil, usagef("%q has no name; a type has names behind it or before it", alone)
	}
	return out, nil
}

// masterForm is a name as responses have it: fully qualified, and with all octets escaped
// that are not printable, which it may have been given raw.
func masterForm(name string) string {
	wire := make([]byte, 255) // RFC 1035 section 2.3.4
	if _, err := dns.PackDomainName(dns.Fqdn(name), wire, 0, nil, false); err != nil {
		return dns.Fqdn(name)
	}
	out, _, _ := dns.UnpackDomainName(wire, 0)
	return out
}

// typeOf returns the type that a word is, such as SRV or TYPE33, or 0.
func typeOf(word string) uint16 {
	word = strings.ToUpper(word)
	if n, ok := strings.CutPrefix(word, "TYPE"); ok {
		t, _ := strconv.ParseUint(n, 10, 16)
		return uint16(t) // #nosec G115 -- 16 bits
	}
	return dns.StringToType[word]
}
