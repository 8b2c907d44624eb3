package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/client"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

// certificate signs itself for dns.example and 127.0.0.1.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, DNSNames: []string{"dns.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// seen is what a server has seen.
type seen struct {
	mu          sync.Mutex
	connections int
	queries     []*dns.Msg
	heads       []string // of HTTP: protocol, method, path and media type
}

func (s *seen) query(q []byte) []byte {
	m := new(dns.Msg)
	if m.Unpack(q) != nil {
		return nil
	}
	s.mu.Lock()
	s.queries = append(s.queries, m)
	s.mu.Unlock()
	return answer(q)
}

// counted counts the connections that it accepts.
type counted struct {
	net.Listener
	*seen
}

func (c counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.mu.Lock()
		c.connections++
		c.mu.Unlock()
	}
	return conn, err
}

// over is a server over a protocol.
func over(t *testing.T, proto string, cert tls.Certificate) (server string, s *seen) {
	t.Helper()
	s = new(seen)
	if proto == "udp" {
		return listen(t, s.query), s
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, l = l.Addr().String(), counted{l, s}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if proto == "https" {
		web := &http.Server{
			TLSConfig: config, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0),
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(io.LimitReader(r.Body, dns.MaxMsgSize))
				s.mu.Lock()
				s.heads = append(s.heads, strings.Join([]string{r.Proto, r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Accept")}, " "))
				s.mu.Unlock()
				w.Header().Set("Content-Type", "application/dns-message")
				_, _ = w.Write(s.query(body))
			}),
		}
		go func() { _ = web.ServeTLS(l, "", "") }()
		t.Cleanup(func() { _ = web.Close() })
		return server, s
	}
	if proto == "tls" {
		l = tls.NewListener(l, config)
	}
	d := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		q, _ := r.Pack()
		m := new(dns.Msg)
		_ = m.Unpack(s.query(q))
		_ = w.WriteMsg(m)
	})}
	started := make(chan struct{})
	d.NotifyStartedFunc = func() { close(started) }
	go func() { _ = d.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { _ = d.Shutdown() })
	return server, s
}

// TestProtocols asks over each protocol. A query over TCP and TLS has a connection of its
// own, and a client over HTTPS keeps one. EDNS is as it was asked for.
func TestProtocols(t *testing.T) {
	cert, _ := certificate(t)
	const clients = 3
	for _, tt := range []struct {
		proto   string
		args    []string
		bufsize uint16 // 0 is no EDNS
		do      bool
	}{
		{"udp", nil, 0, false},
		{"udp", []string{"-bufsize", "1400"}, 1400, false},
		{"tcp", []string{"-do"}, defaultBufsize, true},
		{"tls", []string{"-insecure", "-bufsize", "512", "-do"}, 512, true},
		{"https", []string{"-insecure"}, 0, false},
		{"https", []string{"-insecure", "-tls-name", "dns.example", "-bufsize", "65535"}, 65535, false},
	} {
		t.Run(tt.proto+strings.Join(tt.args, " "), func(t *testing.T) {
			t.Parallel()
			server, s := over(t, tt.proto, cert)
			file := filepath.Join(t.TempDir(), "json")
			args := append([]string{"-proto", tt.proto, "-server", server, "-clients", fmt.Sprint(clients), "-for", "3s", "-json", file, "A", "a.example"}, tt.args...)
			var out bytes.Buffer
			if err := run(t.Context(), args, &out, io.Discard); err != nil {
				t.Fatal(err)
			}
			var reports []storm.Report
			text, _ := os.ReadFile(file)
			if err := json.Unmarshal(text, &reports); err != nil {
				t.Fatal(err)
			}
			r := reports[0]
			if r.MeanTTL != 1 || len(r.Errors) > 0 || r.Latency.N == 0 || r.Latency.P50 > r.Latency.Max || r.Run.Protocol != tt.proto || r.Run.BufSize != tt.bufsize || r.Run.DO != tt.do {
				t.Errorf("%+v of %+v", r, r.Run)
			}
			if !strings.Contains(out.String(), tt.proto) || cells(out.String())["latency p50, p90, p99, max, ms"] == "" {
				t.Errorf("the table is\n%s", &out)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, q := range s.queries {
				opt := q.IsEdns0()
				if (opt != nil) != (tt.bufsize > 0) || opt != nil && (opt.UDPSize() != tt.bufsize || opt.Do() != tt.do) {
					t.Fatalf("a query is %v", q)
				}
				if tt.proto == "https" && q.Id != 0 {
					t.Errorf("ID %d over HTTPS", q.Id)
				}
			}
			asked := len(s.queries)
			switch tt.proto {
			case "https":
				if s.connections > 1+clients || asked < 2*clients {
					t.Errorf("%d connections for %d queries of %d clients", s.connections, asked, clients)
				}
				for _, head := range s.heads {
					if head != "HTTP/2.0 POST /dns-query application/dns-message application/dns-message" {
						t.Errorf("a request is %q", head)
					}
				}
			case "tcp", "tls": // some may have a connection, and no more, at the end
				if s.connections < asked || s.connections > asked+clients {
					t.Errorf("%d connections for %d queries", s.connections, asked)
				}
			}
		})
	}
}

// TestCertificate verifies who a server is, by its address or by -tls-name.
func TestCertificate(t *testing.T) {
	cert, roots := certificate(t)
	for _, proto := range []string{"tls", "https"} {
		server, _ := over(t, proto, cert)
		for _, tt := range []struct {
			name     string
			insecure bool
			roots    *x509.CertPool
			want     string
		}{
			{"", false, roots, ""},
			{"dns.example", false, roots, ""},
			{"other.example", false, roots, "TLS"},
			{"", false, nil, "TLS"},
			{"other.example", true, nil, ""},
		} {
			a := (&transport{proto: proto, tlsName: tt.name, insecure: tt.insecure, roots: tt.roots}).asker(server, netip.Addr{})
			_, err := a.ask(t.Context(), "a.example.", client.Query{Type: dns.TypeA})
			a.close()
			if got := ""; err != nil {
				if got = kindOf(err); got != tt.want {
					t.Errorf("%s, %+v: %v", proto, tt, err)
				}
			} else if tt.want != "" {
				t.Errorf("%s, %+v: no error", proto, tt)
			}
		}
		err := run(t.Context(), []string{"-server", server, "-proto", proto, "a.example"}, io.Discard, io.Discard)
		if err == nil || status(err) != 1 || !strings.Contains(err.Error(), "-insecure takes any certificate") {
			t.Errorf("%s: error %v, want one that says what to do", proto, err)
		}
	}
}

// TestKinds has servers that do not speak what they are asked in.
func TestKinds(t *testing.T) {
	cert, _ := certificate(t)
	plain, _ := over(t, "tcp", cert)
	web := &http.Server{ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if body, _ := io.ReadAll(r.Body); bytes.Contains(body, []byte("teapot")) {
				w.WriteHeader(http.StatusTeapot)
				return
			}
			_, _ = w.Write([]byte("<html>"))
		})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = web.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = web.Close() })
	for _, tt := range []struct {
		proto, server, name string
		want                []string
	}{
		{"https", l.Addr().String(), "a.example.", []string{"wrong answer"}},
		{"https", l.Addr().String(), "teapot.example.", []string{"HTTP 418"}},
		{"tcp", l.Addr().String(), "a.example.", []string{"network", "wrong answer"}},
		{"tls", plain, "a.example.", []string{"network", "TLS"}},
	} {
		a := (&transport{proto: tt.proto, insecure: true}).asker(tt.server, netip.Addr{})
		_, err := a.ask(t.Context(), tt.name, client.Query{Type: dns.TypeA})
		a.close()
		if err == nil || !slices.Contains(tt.want, kindOf(err)) {
			t.Errorf("%s, %s: %v, want %v", tt.proto, tt.name, err, tt.want)
		}
	}
}
