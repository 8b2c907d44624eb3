package neighbours

import (
	"path/filepath"
	"testing"

	"github.com/miekg/dns"
)

// dnskey writes a key for the zone "example." as *dnssec* reads it, and returns
// the path without its ending.
func dnskey(t *testing.T) string {
	t.Helper()
	key := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: "example.", Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 3600},
		Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256,
	}
	private, err := key.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	base := filepath.Join(dir, "Kexample.+013+00001")
	writeTo(t, base+".key", key.String()+"\n")
	writeTo(t, base+".private", key.PrivateKeyString(private))
	return base
}
