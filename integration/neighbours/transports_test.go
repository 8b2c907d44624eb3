package neighbours

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/pb"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// certificate makes one for 127.0.0.1 and returns the paths of it and its key,
// and what a client needs to trust it.
func certificate(t *testing.T) (cert, key string, trust *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	trust = x509.NewCertPool()
	trust.AppendCertsFromPEM(encoded)
	return write(t, "cert.pem", string(encoded)), write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))), trust
}

// TestTransports asks the same over every transport of CoreDNS.
func TestTransports(t *testing.T) {
	cert, key, trust := certificate(t)
	tlsConfig := func(protocols ...string) *tls.Config {
		return &tls.Config{RootCAs: trust, NextProtos: protocols, MinVersion: tls.VersionTLS12}
	}
	overHTTP := func(t *testing.T, transport http.RoundTripper, addr string, wire []byte) []byte {
		t.Helper()
		client := &http.Client{Transport: transport, Timeout: patience}
		resp, err := client.Post("https://"+addr+"/dns-query", "application/dns-message", bytes.NewReader(wire))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v", resp.Status, err)
		}
		return body
	}
	for _, tt := range []struct {
		name, scheme string
		exchange     func(t *testing.T, s server, r *dns.Msg) *dns.Msg
	}{
		{"UDP", "dns", func(t *testing.T, s server, r *dns.Msg) *dns.Msg { t.Helper(); return s.ask(t, r, "udp") }},
		{"TCP", "dns", func(t *testing.T, s server, r *dns.Msg) *dns.Msg { t.Helper(); return s.ask(t, r, "tcp") }},
		{"DoT", "tls", func(t *testing.T, s server, r *dns.Msg) *dns.Msg {
			t.Helper()
			c := dns.Client{Net: "tcp-tls", TLSConfig: tlsConfig(), Timeout: patience}
			m, _, err := c.Exchange(r, s.tcp)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}},
		{"DoH", "https", func(t *testing.T, s server, r *dns.Msg) *dns.Msg {
			t.Helper()
			transport := &http.Transport{TLSClientConfig: tlsConfig(), ForceAttemptHTTP2: true}
			defer transport.CloseIdleConnections()
			return unpack(t, overHTTP(t, transport, s.tcp, pack(t, r)))
		}},
		{"DoH3", "https3", func(t *testing.T, s server, r *dns.Msg) *dns.Msg {
			t.Helper()
			transport := &http3.Transport{TLSClientConfig: tlsConfig()}
			defer func() { _ = transport.Close() }()
			return unpack(t, overHTTP(t, transport, s.udp, pack(t, r)))
		}},
		{"DoQ", "quic", func(t *testing.T, s server, r *dns.Msg) *dns.Msg {
			t.Helper()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			conn, err := quic.DialAddr(ctx, s.udp, tlsConfig("doq"), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.CloseWithError(0, "") }()
			stream, err := conn.OpenStreamSync(ctx)
			if err != nil {
				t.Fatal(err)
			}
			r.Id = 0 // RFC 9250 section 4.2.1
			wire := pack(t, r)
			if _, err := stream.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)); err != nil {
				t.Fatal(err)
			}
			if err := stream.Close(); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(stream)
			if err != nil || len(answer) < 2 {
				t.Fatalf("%d octets: %v", len(answer), err)
			}
			return unpack(t, answer[2:])
		}},
		{"gRPC", "grpc", func(t *testing.T, s server, r *dns.Msg) *dns.Msg {
			t.Helper()
			conn, err := grpc.NewClient(s.tcp, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			packet, err := pb.NewDnsServiceClient(conn).Query(ctx, &pb.DnsPacket{Msg: pack(t, r)})
			if err != nil {
				t.Fatal(err)
			}
			return unpack(t, packet.GetMsg())
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			secure := ""
			if tt.scheme != "dns" && tt.scheme != "grpc" {
				secure = "tls " + cert + " " + key + "\n"
			}
			boot := func(more string) server {
				return start(t, tt.scheme+"://.:0 {\nbind 127.0.0.1\n"+secure+more+"file "+write(t, "zone", zone)+" example\n}")
			}
			with, without := boot("ttlfloor 30s\n"), boot("")
			for _, q := range both {
				r := new(dns.Msg).SetQuestion(q.name, q.qtype)
				got, want := tt.exchange(t, with, r.Copy()), tt.exchange(t, without, r.Copy())
				checkTTLs(t, got, want)
				checkSame(t, got, want)
			}
		})
	}
}

// TestSizes has answers that do not fit: truncated over UDP at several EDNS
// sizes, whole over TCP up to the 64 KiB that a message may have.
func TestSizes(t *testing.T) {
	var b strings.Builder
	b.WriteString(zone)
	for i := range 100 {
		fmt.Fprintf(&b, "many 5 A 192.0.3.%d\n", i)
	}
	for i := range 254 {
		fmt.Fprintf(&b, "huge 5 TXT \"%03d%s\"\n", i, strings.Repeat("x", 240))
	}
	boot := func(more string) server {
		return start(t, ".:0 {\nbind 127.0.0.1\n"+more+"file "+write(t, "zone", b.String())+" example\n}")
	}
	with, without := boot("ttlfloor 30s\n"), boot("")
	for _, q := range []query{{"many.example.", dns.TypeA}, {"huge.example.", dns.TypeTXT}} {
		for _, size := range []uint16{0, 512, 1232, 4096} {
			r := new(dns.Msg).SetQuestion(q.name, q.qtype)
			if size > 0 {
				r.SetEdns0(size, size == 4096)
			}
			got, want := with.ask(t, r.Copy(), "udp"), without.ask(t, r.Copy(), "udp")
			if got.Truncated != want.Truncated || len(got.Answer) != len(want.Answer) {
				t.Errorf("%s at %d: truncated %v with %d records, without ttlfloor %v with %d", q.name, size, got.Truncated, len(got.Answer), want.Truncated, len(want.Answer))
			}
			if size == 0 && !got.Truncated {
				t.Errorf("%s fits into 512 octets", q.name)
			}
			checkTTLs(t, got, want)
			got, want = with.ask(t, r.Copy(), "tcp"), without.ask(t, r.Copy(), "tcp")
			if got.Truncated || len(got.Answer) < 100 {
				t.Errorf("%s over TCP: truncated %v with %d records", q.name, got.Truncated, len(got.Answer))
			}
			if n := want.Len(); q.name == "huge.example." && n < 60_000 {
				t.Errorf("%s has %d octets", q.name, n)
			}
			checkTTLs(t, got, want)
			checkSame(t, got, want)
		}
	}
}

func pack(t *testing.T, m *dns.Msg) []byte {
	t.Helper()
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

func unpack(t *testing.T, wire []byte) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(wire); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestOptions has an upstream whose responses carry a cookie and padding.
func TestOptions(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	up := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r).SetEdns0(1232, true)
		a, err := dns.NewRR(r.Question[0].Name + " 0 A 192.0.2.1")
		if err != nil {
			t.Error(err)
		}
		m.Answer = []dns.RR{a}
		m.IsEdns0().Option = []dns.EDNS0{
			&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "00112233445566778899aabbccddeeff"},
			&dns.EDNS0_PADDING{Padding: make([]byte, 64)},
		}
		if err := w.WriteMsg(m); err != nil {
			t.Error(err)
		}
	})}
	go func() { _ = up.ActivateAndServe() }()
	defer func() { _ = up.Shutdown() }()
	s := start(t, ".:0 {\nbind 127.0.0.1\nttlfloor 30s\nforward . "+conn.LocalAddr().String()+"\n}")
	r := new(dns.Msg).SetQuestion("a.example.", dns.TypeA)
	do(r)
	m := s.ask(t, r, "udp")
	opt := m.IsEdns0()
	if opt == nil || len(opt.Option) != 2 || opt.Option[0].String() != "00112233445566778899aabbccddeeff" || len(opt.Option[1].(*dns.EDNS0_PADDING).Padding) != 64 {
		t.Errorf("cookie and padding did not survive:\n%v", m)
	}
	if ttl := m.Answer[0].Header().Ttl; ttl < 33 || ttl > 45 {
		t.Errorf("TTL %d, want 33 to 45", ttl)
	}
}
