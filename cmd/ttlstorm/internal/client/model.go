package client

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Model is how one kind of client behaves. What is said to be assumed in Models
// was not found in the program's own code or documentation.
type Model struct {
	Name string
	Doc  string // what it models, in a line

	stages  [][]uint16 // types to look up; the next stage is for when all lookups of one fail
	success func(ttl uint32, r *rand.Rand) time.Duration
	denial  func(ttl uint32) time.Duration // nil: a negative answer is a failure
	failure func(n int, r *rand.Rand) time.Duration
}

// Models are all of them.
//
// linkerd2-proxy asks for SRV records and, where that fails for any reason, for
// A and AAAA records of the same name; it waits for the least TTL, or for the
// negative TTL of the SOA. Before its release of March 2025 (pull request 3807)
// that was all; since then it waits for 5 s at least. Without a SOA its owner
// starts it again after a back-off (assumed: 100 ms to 10 s, 10 % jitter).
//
// Envoy with respect_dns_ttl waits for the TTL, and for dns_refresh_rate, 5 s,
// where that is 0. dns_jitter adds up to so much after a success; Istio sets 100
// ms. After a failure, negative answers included, it backs off (assumed: 5 s to
// 50 s, full jitter). It is taken to ask for A records only, as in an IPv4
// cluster.
//
// ServiceTalk clamps the TTL to 10 s to 300 s and adds up to 4 s (assumed: A
// and AAAA, a back-off of 1 s to 30 s).
//
// The stub resolves every 30 s whatever the TTL, which is the most that gRPC-Go
// does.
var Models = []*Model{
	{
		Name: "linkerd-unpatched", Doc: "linkerd2-proxy before its minimum of 5 s",
		stages: linkerd, success: exactly, failure: backoff(100*time.Millisecond, 10*time.Second, 0.1),
		denial: seconds,
	},
	{
		Name: "linkerd", Doc: "linkerd2-proxy since then",
		stages:  linkerd,
		success: func(ttl uint32, _ *rand.Rand) time.Duration { return seconds(max(ttl, 5)) },
		denial:  func(ttl uint32) time.Duration { return seconds(max(ttl, 5)) },
		failure: backoff(100*time.Millisecond, 10*time.Second, 0.1),
	},
	{
		Name: "envoy", Doc: "Envoy with respect_dns_ttl",
		stages: [][]uint16{{dns.TypeA}}, success: envoy(0), failure: backoff(5*time.Second, 50*time.Second, 1),
	},
	{
		Name: "envoy-jitter", Doc: "the same with the dns_jitter that Istio sets, 100 ms",
		stages: [][]uint16{{dns.TypeA}}, success: envoy(100 * time.Millisecond), failure: backoff(5*time.Second, 50*time.Second, 1),
	},
	{
		Name: "servicetalk", Doc: "ServiceTalk: TTL within 10 s to 300 s, and up to 4 s more",
		stages: addresses,
		success: func(ttl uint32, r *rand.Rand) time.Duration {
			return seconds(min(max(ttl, 10), 300)) + upTo(4*time.Second, r)
		},
		failure: backoff(time.Second, 30*time.Second, 1),
	},
	{
		Name: "stub", Doc: "every 30 s whatever the TTL, as gRPC-Go at most",
		stages:  addresses,
		success: func(uint32, *rand.Rand) time.Duration { return 30 * time.Second },
		failure: func(int, *rand.Rand) time.Duration { return 30 * time.Second },
	},
}

var (
	linkerd   = [][]uint16{{dns.TypeSRV}, {dns.TypeA, dns.TypeAAAA}}
	addresses = [][]uint16{{dns.TypeA, dns.TypeAAAA}}
)

// ByName returns the model of a name. The error names the ones that there are.
func ByName(name string) (*Model, error) {
	var names []string
	for _, m := range Models {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return nil, fmt.Errorf("unknown model %q; there are %s", name, strings.Join(names, ", "))
}

func seconds(ttl uint32) time.Duration { return time.Duration(ttl) * time.Second }

func exactly(ttl uint32, _ *rand.Rand) time.Duration { return seconds(ttl) }

// envoy waits for the TTL and up to jitter more.
func envoy(jitter time.Duration) func(uint32, *rand.Rand) time.Duration {
	return func(ttl uint32, r *rand.Rand) time.Duration {
		if ttl == 0 {
			ttl = 5
		}
		return seconds(ttl) + upTo(jitter, r)
	}
}

func upTo(d time.Duration, r *rand.Rand) time.Duration {
	if d == 0 {
		return 0
	}
	return time.Duration(r.Int64N(int64(d) + 1))
}

// backoff doubles from first to last with every failure. The share jitter of
// it is drawn: with 1, from 0 to all of it.
func backoff(first, last time.Duration, jitter float64) func(int, *rand.Rand) time.Duration {
	return func(n int, r *rand.Rand) time.Duration {
		d := min(first<<(n-1), last)
		return d - upTo(time.Duration(jitter*float64(d)), r)
	}
}
