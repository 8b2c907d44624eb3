package neighbours

import (
	"bytes"
	"crypto"
	"fmt"
	"maps"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// newKey makes a key for the zone "example.".
func newKey(t *testing.T) (*dns.DNSKEY, crypto.Signer) {
	t.Helper()
	key := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: "example.", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
		Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256,
	}
	private, err := key.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	return key, private.(crypto.Signer)
}

// signedZone returns a zone with NSEC or NSEC3 records and signatures over all
// of it that are made for a TTL of so many seconds, and have so long left.
func signedZone(t *testing.T, key *dns.DNSKEY, private crypto.Signer, ttl uint32, left time.Duration, nsec3 bool) string {
	t.Helper()
	now := time.Now()
	rrsets := map[string][]dns.RR{}
	types := map[string][]uint16{}
	add := func(rr dns.RR) {
		h := rr.Header()
		h.Ttl = ttl
		rrsets[h.Name+" "+dns.Type(h.Rrtype).String()] = append(rrsets[h.Name+" "+dns.Type(h.Rrtype).String()], rr)
		if !slices.Contains(types[h.Name], h.Rrtype) {
			types[h.Name] = append(types[h.Name], h.Rrtype)
		}
	}
	for _, line := range []string{
		fmt.Sprintf("example. SOA ns.example. hostmaster.example. 1 7200 1800 86400 %d", ttl), "example. NS ns.example.",
		"a.example. A 192.0.2.1", "a.example. A 192.0.2.2", "ns.example. A 192.0.2.53", "*.wild.example. TXT wild", "z.example. CNAME a.example.",
	} {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		add(rr)
	}
	add(dns.Copy(key))
	names := []string{"example.", "a.example.", "ns.example.", "wild.example.", "*.wild.example.", "z.example."} // in canonical order
	if nsec3 {
		add(&dns.NSEC3PARAM{Hdr: dns.RR_Header{Name: "example.", Rrtype: dns.TypeNSEC3PARAM, Class: dns.ClassINET}, Hash: dns.SHA1})
		for _, rr := range chainNSEC3(names, types) {
			add(rr)
		}
	} else {
		for _, rr := range chainNSEC(names, types) {
			add(rr)
		}
	}
	var b strings.Builder
	for _, rrset := range rrsets {
		sig := &dns.RRSIG{
			Hdr:    dns.RR_Header{Name: rrset[0].Header().Name, Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: ttl},
			KeyTag: key.KeyTag(), SignerName: "example.", Algorithm: key.Algorithm,
			Inception: uint32(now.Add(-time.Hour).Unix()), Expiration: uint32(now.Add(left).Unix()),
		}
		if err := sig.Sign(private, rrset); err != nil {
			t.Fatal(err)
		}
		sig.Hdr.Ttl = ttl
		for _, rr := range append(slices.Clone(rrset), sig) {
			fmt.Fprintln(&b, rr)
		}
	}
	return b.String()
}

// chainNSEC links the names that have records, in canonical order.
func chainNSEC(names []string, types map[string][]uint16) (chain []dns.RR) {
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return types[name] == nil })
	for i, name := range names {
		covered := append(slices.Clone(types[name]), dns.TypeRRSIG, dns.TypeNSEC)
		slices.Sort(covered)
		chain = append(chain, &dns.NSEC{
			Hdr:        dns.RR_Header{Name: name, Rrtype: dns.TypeNSEC, Class: dns.ClassINET},
			NextDomain: names[(i+1)%len(names)], TypeBitMap: covered,
		})
	}
	return chain
}

// chainNSEC3 links the hashes of names, with those that have no records.
func chainNSEC3(names []string, types map[string][]uint16) (chain []dns.RR) {
	hashed := map[string]string{}
	for _, name := range names {
		hashed[dns.HashName(name, dns.SHA1, 0, "")] = name
	}
	hashes := slices.Sorted(maps.Keys(hashed))
	for i, hash := range hashes {
		covered := slices.Clone(types[hashed[hash]])
		if covered != nil {
			covered = append(covered, dns.TypeRRSIG)
		}
		slices.Sort(covered)
		chain = append(chain, &dns.NSEC3{
			Hdr:  dns.RR_Header{Name: strings.ToLower(hash) + ".example.", Rrtype: dns.TypeNSEC3, Class: dns.ClassINET},
			Hash: dns.SHA1, HashLength: 20, NextDomain: hashes[(i+1)%len(hashes)], TypeBitMap: covered,
		})
	}
	return chain
}

// tool finds a program that judges.
func tool(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: apt-get install %s", name, debian)
	}
	return path
}

// delv validates an answer from a key on, and tells how it went.
func delv(t *testing.T, s server, key *dns.DNSKEY, name string, qtype uint16) string {
	t.Helper()
	_, port, err := net.SplitHostPort(s.udp)
	if err != nil {
		t.Fatal(err)
	}
	anchor := write(t, "anchor", fmt.Sprintf("trust-anchors { example. static-key %d %d %d \"%s\"; };\n", key.Flags, key.Protocol, key.Algorithm, key.PublicKey))
	out, err := exec.Command(tool(t, "delv", "bind9-dnsutils"), "@127.0.0.1", "-p", port, "-a", anchor, "+root=example.", name, dns.Type(qtype).String()).CombinedOutput()
	return fmt.Sprintf("%s%v", out, err)
}

// daemon starts a DNS server that a configuration file makes listen on a port
// of 127.0.0.1, which is given to it as "127.0.0.1@PORT", and waits for it. Another test may
// take the port first; then it tries the next one.
func daemon(t *testing.T, name string, config func(addr string) string) server {
	t.Helper()
	path := tool(t, name, name)
	var out bytes.Buffer
	for range 5 {
		free, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := free.LocalAddr().String()
		if err := free.Close(); err != nil {
			t.Fatal(err)
		}
		out.Reset()
		cmd := exec.Command(path, "-d", "-c", write(t, name+".conf", config(strings.Replace(addr, ":", "@", 1))))
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan struct{})
		go func() {
			_ = cmd.Wait()
			close(exited)
		}()
		if !isUp(addr, name, exited) {
			_ = cmd.Process.Kill()
			<-exited
			continue
		}
		t.Cleanup(func() {
			_ = cmd.Process.Signal(os.Interrupt)
			<-exited
			if t.Failed() {
				t.Log(out.String())
			}
		})
		return server{udp: addr, tcp: addr}
	}
	t.Fatalf("%s does not answer: %s", name, &out)
	return server{}
}

// isUp waits until a server says that it is what it should be, or has exited.
func isUp(addr, name string, exited <-chan struct{}) bool {
	c := dns.Client{Timeout: 100 * time.Millisecond}
	up := new(dns.Msg).SetQuestion("version.bind.", dns.TypeTXT)
	up.Question[0].Qclass = dns.ClassCHAOS
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case <-exited:
			return false
		default:
		}
		if m, _, err := c.Exchange(up, addr); err == nil && strings.Contains(strings.ToLower(fmt.Sprint(m.Answer)), name) {
			return true
		}
	}
	return false
}

// unbound starts a validating resolver that trusts a key and asks a server.
func unbound(t *testing.T, s server, key *dns.DNSKEY) server {
	t.Helper()
	return daemon(t, "unbound", func(addr string) string {
		return fmt.Sprintf(`server:
	interface: %s
	do-daemonize: no
	username: ""
	chroot: ""
	directory: "/"
	pidfile: ""
	use-syslog: no
	do-not-query-localhost: no
	module-config: "validator iterator"
	trust-anchor: "example. DNSKEY %d %d %d %s"
remote-control:
	control-enable: no
forward-zone:
	name: "example."
	forward-addr: %s
`, addr, key.Flags, key.Protocol, key.Algorithm, key.PublicKey, strings.Replace(s.udp, ":", "@", 1))
	})
}

// nsd serves a zone; unlike file it knows NSEC3.
func nsd(t *testing.T, zone string) server {
	t.Helper()
	path := write(t, "zone", zone)
	return daemon(t, "nsd", func(addr string) string {
		return fmt.Sprintf(`server:
	ip-address: %s
	username: ""
	chroot: ""
	zonesdir: ""
	database: ""
	pidfile: ""
	zonelistfile: "%[2]s.list"
	xfrdfile: ""
	xfrdir: "%[3]s"
	server-count: 1
remote-control:
	control-enable: no
zone:
	name: "example."
	zonefile: "%[2]s"
`, addr, path, filepath.Dir(path))
	})
}

// TestValidators has delv and unbound validate signed answers, from floors far
// above what the signatures allow.
func TestValidators(t *testing.T) {
	queries := []query{{"a.example.", dns.TypeA}, {"z.example.", dns.TypeA}, {"b.wild.example.", dns.TypeTXT}, {"a.example.", dns.TypeAAAA}, {"nx.example.", dns.TypeA}, {"example.", dns.TypeDNSKEY}}
	key, private := newKey(t)
	online, onlineKey := dnskey(t)
	for _, tt := range []struct {
		name    string
		lines   []string
		key     *dns.DNSKEY
		ceiling uint32
		nsec3   bool
	}{
		{"floor above Original TTL", []string{"ttlfloor 1h {\nnegative 1h\n}", "cache", "file " + write(t, "zone", signedZone(t, key, private, 20, 24*time.Hour, false)) + " example"}, key, 20, false},
		{"floor above time to expiration", []string{"ttlfloor 2h {\nnegative 2h\n}", "cache 20", "file " + write(t, "zone", signedZone(t, key, private, 7200, time.Hour, false)) + " example"}, key, 3600, false},
		{"a window below Original TTL", []string{"ttlfloor 30s", "file " + write(t, "zone", signedZone(t, key, private, 7200, 24*time.Hour, false)) + " example"}, key, 7200, false},
		{"NSEC3", []string{"ttlfloor 1h {\nnegative 1h\n}", "cache"}, key, 20, true},
		{"signed on the way", []string{"ttlfloor 2h {\nnegative 2h\n}", "cache", "dnssec example {\nkey file " + online + "\n}", "file " + write(t, "zone", zone) + " example"}, onlineKey, 3600, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			denial := dns.TypeNSEC
			if tt.nsec3 {
				denial = dns.TypeNSEC3
				tt.lines = append(tt.lines, "forward . "+nsd(t, signedZone(t, key, private, tt.ceiling, 24*time.Hour, true)).udp)
			}
			s := start(t, "example:0 {\nbind 127.0.0.1\n"+strings.Join(tt.lines, "\n")+"\n}")
			without := start(t, "example:0 {\nbind 127.0.0.1\n"+strings.Join(tt.lines[1:], "\n")+"\n}")
			resolver := unbound(t, s, tt.key)
			for _, q := range queries {
				what := q.name + " " + dns.Type(q.qtype).String()
				if tt.key == onlineKey && (q.name == "z.example.") {
					continue // the unsigned zone has no such name
				}
				r := new(dns.Msg).SetQuestion(q.name, q.qtype)
				do(r)
				m, plain := s.ask(t, r.Copy(), "udp"), without.ask(t, r.Copy(), "udp")
				checkSame(t, m, plain)
				signatures, denials := 0, 0
				came := lowest(plain)
				for _, section := range [][]dns.RR{m.Answer, m.Ns} {
					for _, rr := range section {
						if rr.Header().Rrtype == dns.TypeRRSIG {
							signatures++
						}
						if rr.Header().Rrtype == denial {
							denials++
						}
						if rr.Header().Ttl > max(tt.ceiling, came) {
							t.Errorf("%s: TTL above %d:\n%v", what, max(tt.ceiling, came), m)
						}
					}
				}
				if signatures == 0 {
					t.Errorf("%s is not signed:\n%v", what, m)
				}
				if len(m.Answer) == 0 && denials == 0 {
					t.Errorf("%s is not denied by %s:\n%v", what, dns.Type(denial), m)
				}
				if got := delv(t, s, tt.key, q.name, q.qtype); !strings.Contains(got, "fully validated") || strings.Contains(got, "unsigned") {
					t.Errorf("delv does not accept %s:\n%s\n%v", what, got, m)
				}
				if got := resolver.ask(t, r.Copy(), "udp"); !got.AuthenticatedData || got.Rcode != m.Rcode {
					t.Errorf("unbound does not accept %s:\n%v\n%v", what, got, m)
				}
			}
		})
	}
	t.Run("tampered", func(t *testing.T) {
		bad := strings.ReplaceAll(signedZone(t, key, private, 7200, 24*time.Hour, false), "192.0.2.2\n", "192.0.2.3\n")
		s := start(t, "example:0 {\nbind 127.0.0.1\nttlfloor 30s\nfile "+write(t, "zone", bad)+" example\n}")
		if got := delv(t, s, key, "a.example.", dns.TypeA); strings.Contains(got, "fully validated") {
			t.Errorf("delv accepts what was tampered with:\n%s", got)
		}
		r := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
		do(r)
		if got := unbound(t, s, key).ask(t, r, "udp"); got.AuthenticatedData || got.Rcode != dns.RcodeServerFailure {
			t.Errorf("unbound accepts what was tampered with:\n%v", got)
		}
	})
}

// lowest returns the lowest TTL of a response that is not for OPT.
func lowest(m *dns.Msg) uint32 {
	ttl := uint32(math.MaxUint32)
	for _, section := range [][]dns.RR{m.Answer, m.Ns} {
		for _, rr := range section {
			ttl = min(ttl, rr.Header().Ttl)
		}
	}
	return ttl
}

// dnskey writes a key as *dnssec* reads it, and returns the path without its
// ending and the public part.
func dnskey(t *testing.T) (string, *dns.DNSKEY) {
	t.Helper()
	key, private := newKey(t)
	base := filepath.Join(t.TempDir(), "Kexample.+013+"+strconv.Itoa(int(key.KeyTag())))
	writeTo(t, base+".key", key.String()+"\n")
	writeTo(t, base+".private", key.PrivateKeyString(private))
	return base, key
}
