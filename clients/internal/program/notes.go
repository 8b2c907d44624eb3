package program

// Notes say what surprises of a program, and what to set.
var Notes = map[string]string{
	"dnsmasq": `It answers with what is left of the TTL, so that all of its clients come back at the same time. It never
switches to TCP: it passes a truncated answer on, and the client has to repeat over TCP.`,
	"nginx": `It counts in whole seconds and keeps an answer until the second after the TTL, so that a TTL of 0 is a second. It
keeps no denial. With "valid" the TTL does not count, and a floor does not move it.`,
	"haproxy": `It asks once a second, whatever the TTL is ("timeout resolve"), and so 30 times as often as a TTL of 30 asks for.
"hold valid" is for how long it goes on with an answer, and not when it asks again. Set a longer "timeout resolve"; instances stay in step all the same. As it is set up here it
asks over UDP alone, so a truncated answer counts as no answer.`,
	"envoy-strict": `With "respect_dns_ttl" a TTL of 0 means "dns_refresh_rate", which is 5 s, so that it is asked for less often than
a TTL of 1. There is no floor: for a TTL of 1 it asks once a second for ever, used or not.`,
	"envoy-logical": `It uses a new address as soon as a lookup has returned it.`,
	"envoy-jitter":  `"dns_jitter" adds up to 0.1 s to each wait. After two minutes nearly all of a hundred still come within one second.`,
	"envoy-default": `Without "respect_dns_ttl" it asks every 5 s. Set "respect_dns_ttl", or a longer "dns_refresh_rate".`,
	"envoy-getaddrinfo": `getaddrinfo returns no TTL. With "respect_dns_ttl" Envoy takes 60 s for it. It
repeats a SERVFAIL without a pause, so that this case is left out; set "num_retries".`,
	"prometheus": `"refresh_interval" is 30 s, and TTLs do not count.`,
	"grpc-go": `It resolves a name again when a connection ends, at most every 30 s. With connections that stay it never asks again,
and never hears of a change.`,
	"grpc-java": `With connections that stay it never hears of a change.`,
	"java": `It keeps an address for 30 s and a failure for 10 s, whatever the TTL is. The property "networkaddress.cache.ttl" is what
to change.`,
	"netty": `It keeps no denial, and in its defaults it does not ask over TCP, so that a truncated answer is a failure on each use.`,
	"servicetalk": `It waits for the TTL, for 10 s at least, and for up to 4 s more. The bare discoverer ends at the first error. That
jitter breaks up most of a herd within two minutes, and takes each client off the place that a schedule gives it.`,
	"node-cacheable-lookup": `For a name that does not exist it asks the resolver of the system as well, four queries on each use.`,
	"go":                    `It keeps nothing: each connection is a lookup, of A and of AAAA. What helps is a cache on the node, and keeping HTTP connections open.`,
	"nscd":                  `It asks by itself: every 15 s it looks for what has run out, so that a TTL from 1 to 15 is 15 s. A fleet stays in step whatever TTLs it has. It keeps failures for 30 s.`,
	"knot-resolver": `It raises a TTL below 5 to 5, and asks in the second after that. An NXDOMAIN without SOA it keeps for longer than the
measurement takes.`,
	"pdns-recursor": `A TTL of 0 is 1 s. It keeps a SERVFAIL, a timeout and an NXDOMAIN without SOA for longer than the measurement takes.`,
	"dnsdist": `It keeps an answer for the least TTL of all sections, and hands out what is left of each. It keeps a SERVFAIL for longer than the
measurement takes.`,
	"coredns-cache": `It keeps an answer for 5 s at least, and for the least TTL of all sections, so that a record of another section with
TTL 7 makes a TTL of 20 one of 7.`,
	"coredns-stale": `It hands out 0 while it asks for a new answer, which is what storms come from. Its queries in the background go over TCP.`,
	"systemd-resolved": `It keeps an answer for the least TTL of all sections, but hands out the record's own. It keeps none for longer than two hours. It does not keep what a server on
loopback says unless "CacheFromLocalhost" is set, as here. For a name that does not exist it sends each query twice.`,
	"hickory-0.25": `It keeps an SRV answer for the least TTL of answer and additional section.`,
	"hickory-0.26": `It keeps an SRV answer for its own TTL, whatever the additional section has. It asks for A and AAAA at once, and a third to a half of its queries go over TCP.`,
	"c-ares":       `This is the version of Debian 12. Later ones have a cache of their own.`,
}
