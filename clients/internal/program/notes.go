package program

// Notes say what surprises of a program, and what to set.
var Notes = map[string]string{
	"dnsmasq": `It answers with what is left of the TTL, so that all of its clients come back at the same time. It never asks
over TCP of itself: a cut answer goes to the client, who has to.`,
	"nginx": `It counts in whole seconds and keeps an answer until the second after the TTL, so that a TTL of 0 is a second. It
keeps no denial. With "valid" the TTL does not count, and a floor does not move it.`,
	"haproxy": `It asks once a second, whatever the TTL is ("timeout resolve"), and so 30 times as often as a TTL of 30 asks for.
"hold valid" is for how long it goes on with an answer, and not when it asks again. Set "timeout resolve 30s". It asks over UDP alone, so that a
cut answer is none.`,
	"envoy-strict": `With "respect_dns_ttl" a TTL of 0 means "dns_refresh_rate", which is 5 s, so that it is asked for less often than
a TTL of 1. There is no floor: for a TTL of 1 it asks once a second for ever, used or not.`,
	"envoy-logical": `It follows a change within the lookup, and connections that are there move as well.`,
	"envoy-jitter":  `"dns_jitter" adds up to 0.1 s to each wait. It takes hours to part a herd.`,
	"envoy-default": `Without "respect_dns_ttl" it asks every 5 s. Set "respect_dns_ttl", or a longer "dns_refresh_rate".`,
	"envoy-getaddrinfo": `This resolver is not told a TTL. It takes 60 s for all of them, so that "respect_dns_ttl" has no effect. It
repeats a SERVFAIL without a pause, some ten thousand times a second; set "num_retries".`,
	"prometheus": `"refresh_interval" is 30 s, and TTLs do not count.`,
	"grpc-go": `It resolves a name again when a connection ends, at most every 30 s. With connections that stay it never asks again,
and never hears of a change.`,
	"grpc-java": `It resolves a name again when a connection ends. With connections that stay it never hears of a change.`,
	"java": `It keeps an address for 30 s and a failure for 10 s, whatever the TTL is. The property "networkaddress.cache.ttl" is what
to change.`,
	"netty": `It keeps no denial, and in its defaults it does not ask over TCP, so that a cut answer is a failure on each use.`,
	"servicetalk": `It waits for the TTL, for 10 s at least, and for up to 4 s more. The bare discoverer ends at the first error, and its HTTP
client starts it again. Its jitter parts a herd in some rounds.`,
	"node-cacheable-lookup": `For a name that does not exist it asks the resolver of the system as well, four queries on each use.`,
	"go":                    `It keeps nothing: each connection is a lookup, of A and of AAAA. A cache on the node, and HTTP connections that are kept, are what helps.`,
}
