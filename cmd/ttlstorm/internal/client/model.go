package client

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Model is how one kind of client behaves. What is said to be assumed was not found in
// the program's own code or documentation.
type Model struct {
	Name    string `json:"name"`
	Doc     string `json:"models"`  // what it models, in a line
	Asks    string `json:"asks"`    // for which types
	TTL     string `json:"ttl"`     // what it does on one: floor and jitter included
	Failure string `json:"failure"` // what it does on a failure, or on a negative answer
	Source  string `json:"source"`  // where that is from
	Assumed string `json:"assumed"` // of it; empty if nothing is

	// Measured is the client of docs/clients.md that does the same, empty where none was.
	Measured string `json:"measured"`

	stages  [][]uint16 // types to look up; the next stage is for when all lookups of one fail
	success func(ttl uint32, r *rand.Rand) time.Duration
	denial  func(ttl uint32, r *rand.Rand) time.Duration // nil: a negative answer is a failure
	failure func(n int, r *rand.Rand) time.Duration
}

// What several models have in common.
const (
	linkerdAsks    = "SRV and, where that fails for any reason, A and AAAA of the same name"
	linkerdAssumed = "the back-off"
	envoyAsks      = "A, as in an IPv4 cluster"
	envoyFailure   = "waits for 5 s (dns_refresh_rate), after a negative answer as well."
)

// Models are all of them.
var Models = []*Model{
	{
		Name: "linkerd-unpatched", Doc: "linkerd2-proxy before its minimum of 5 s", Asks: linkerdAsks,
		TTL:     "waits for the least TTL of the answer, and asks again at once where that is 0. It has no floor and no jitter.",
		Failure: "waits for the negative TTL of the SOA; without a SOA it backs off from 100 ms to 10 s, of which 10% is jitter.",
		Source:  "linkerd2-proxy before its release of March 2025", Assumed: linkerdAssumed,
		stages: linkerd, success: exactly, failure: backoff(100*time.Millisecond, 10*time.Second, 0.1),
		denial: func(ttl uint32, _ *rand.Rand) time.Duration { return seconds(ttl) },
	},
	{
		Name: "linkerd", Doc: "linkerd2-proxy since then", Asks: linkerdAsks,
		TTL:     "waits for the least TTL of the answer, and for 5 s at least. It has no jitter.",
		Failure: "waits for the negative TTL of the SOA, and for 5 s at least; without a SOA it backs off from 100 ms to 10 s, of which 10% is jitter.",
		Source:  "linkerd2-proxy since its release of March 2025, pull request 3807", Assumed: linkerdAssumed,
		stages:  linkerd,
		success: func(ttl uint32, _ *rand.Rand) time.Duration { return seconds(max(ttl, 5)) },
		denial:  func(ttl uint32, _ *rand.Rand) time.Duration { return seconds(max(ttl, 5)) },
		failure: backoff(100*time.Millisecond, 10*time.Second, 0.1),
	},
	{
		Name: "envoy", Doc: "Envoy with respect_dns_ttl", Asks: envoyAsks,
		TTL:     "waits for the TTL, and for 5 s (dns_refresh_rate) where that is 0. It has no other floor and no jitter.",
		Failure: envoyFailure, Source: "Envoy's documentation of clusters", Measured: "envoy-strict",
		stages: [][]uint16{{dns.TypeA}}, success: envoy(0), failure: again(envoy(0)),
	},
	{
		Name: "envoy-jitter", Doc: "the same with the dns_jitter that Istio sets, 100 ms", Asks: envoyAsks,
		TTL:     "waits for the TTL, or for 5 s (dns_refresh_rate) where that is 0, and for up to 100 ms more. It has no other floor.",
		Failure: envoyFailure + " The jitter is added after a negative answer alone.", Source: "Envoy's documentation of clusters; the jitter is Istio's", Measured: "envoy-jitter",
		stages: [][]uint16{{dns.TypeA}}, success: envoy(100 * time.Millisecond), failure: again(envoy(0)),
		denial: func(_ uint32, r *rand.Rand) time.Duration { return envoy(100*time.Millisecond)(0, r) },
	},
	{
		Name: "servicetalk", Doc: "ServiceTalk: TTL within 10 s to 300 s, and up to 4 s more", Asks: "A and AAAA",
		TTL:     "waits for the TTL, for 10 s at least and 300 s at most, and for up to 4 s more.",
		Failure: "backs off from 1 s to 30 s, of which all is jitter. A negative answer is a failure.",
		Source:  "ServiceTalk's DNS client", Assumed: "the types, and the back-off", Measured: "servicetalk",
		stages: addresses,
		success: func(ttl uint32, r *rand.Rand) time.Duration {
			return seconds(min(max(ttl, 10), 300)) + upTo(4*time.Second, r)
		},
		failure: backoff(time.Second, 30*time.Second, 1),
	},
	{
		Name: "stub", Doc: "every 30 s whatever the TTL, as Prometheus", Asks: "A and AAAA",
		TTL:     "waits for 30 s whatever the TTL. It has no jitter.",
		Failure: "waits for 30 s, too.",
		Source:  "Prometheus, dns_sd_configs; gRPC-Go resolves every 30 s at most", Measured: "prometheus",
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

// again waits after a failure as after a success with TTL 0.
func again(success func(uint32, *rand.Rand) time.Duration) func(int, *rand.Rand) time.Duration {
	return func(_ int, r *rand.Rand) time.Duration { return success(0, r) }
}

// backoff doubles from first to last with every failure. The share jitter of
// it is drawn: with 1, from 0 to all of it.
func backoff(first, last time.Duration, jitter float64) func(int, *rand.Rand) time.Duration {
	return func(n int, r *rand.Rand) time.Duration {
		d := min(first<<(n-1), last)
		return d - upTo(time.Duration(jitter*float64(d)), r)
	}
}
