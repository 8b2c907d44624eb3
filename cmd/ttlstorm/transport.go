package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/miekg/dns"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/client"
	"github.com/urfave/cli/v3"
)

// protocols are those that a server can be asked over: UDP, and TCP where an answer is
// truncated; TCP; DNS over TLS (RFC 7858); and DNS over HTTPS (RFC 8484).
var protocols = []string{"udp", "tcp", "tls", "https"}

// transport is how queries are sent. A query over TCP or TLS has a connection of its own,
// as stub resolvers have it. One over HTTPS goes over the connection of its client, which
// is kept, as HTTP clients have it.
type transport struct {
	proto    string
	tlsName  string // of the certificate; the address if empty
	insecure bool
	bufsize  int // of EDNS; 0 is without EDNS where do is not set
	do       bool
	roots    *x509.CertPool // that certificates are verified with; nil are the system's
}

// flags are those of the transport.
func (t *transport) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "proto", Value: protocols[0], Destination: &t.proto, Category: protocolCategory,
			Usage: "udp, with tcp for what is truncated; tcp or tls, a connection for each query; " +
				"https, a POST to /dns-query over a connection that each client keeps"},
		&cli.StringFlag{Name: "tls-name", Destination: &t.tlsName, Category: protocolCategory,
			Usage: "`NAME` that the certificate of tls or https is for; without, the address"},
		&cli.BoolFlag{Name: "insecure", Destination: &t.insecure, Category: protocolCategory, Usage: "take any certificate, such as one for tests"},
		&cli.IntFlag{Name: "bufsize", Destination: &t.bufsize, Category: protocolCategory,
			Usage: fmt.Sprintf("ask with EDNS, and have room for a UDP response of so many octets, %d to %d; 0 is without EDNS", dns.MinMsgSize, dns.MaxMsgSize)},
		&cli.BoolFlag{Name: "do", Destination: &t.do, Category: protocolCategory,
			Usage: fmt.Sprintf("ask with EDNS for DNSSEC records (DO); the buffer is %d octets if -bufsize does not say", defaultBufsize)},
	}
}

// defaultBufsize is what the field has agreed on, below what is fragmented.
const defaultBufsize = 1232

func (t *transport) check() error {
	encrypted := t.proto == "tls" || t.proto == "https"
	switch _, name := dns.IsDomainName(t.tlsName); {
	case !slices.Contains(protocols, t.proto):
		return usagef("-proto: unknown %q; there are %s", t.proto, strings.Join(protocols, ", "))
	case t.tlsName != "" && !encrypted, t.insecure && !encrypted:
		return usagef("-proto %s has no certificate; -tls-name and -insecure are for tls and https", t.proto)
	case t.tlsName != "" && (!name || strings.ContainsAny(t.tlsName, "/:@?# \\")):
		return usagef("-tls-name %q: not a name such as dns.example", t.tlsName)
	case t.bufsize != 0 && (t.bufsize < dns.MinMsgSize || t.bufsize > dns.MaxMsgSize):
		return usagef("-bufsize %d: it can be 0, or %d to %d", t.bufsize, dns.MinMsgSize, dns.MaxMsgSize)
	}
	if t.do && t.bufsize == 0 {
		t.bufsize = defaultBufsize
	}
	return nil
}

// asker sends the queries of one client to one server.
type asker struct {
	*transport
	server string
	from   netip.Addr   // the zero one leaves it to the system
	http   *http.Client // of https
}

// asker makes one. It is closed when its client is done.
func (t *transport) asker(server string, from netip.Addr) *asker {
	a := &asker{transport: t, server: server, from: from}
	if t.proto == "https" {
		a.http = &http.Client{Timeout: client.Timeout, Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return a.dialer(network).DialContext(ctx, network, server)
			},
			TLSClientConfig: t.tls(""), ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 1,
		}}
	}
	return a
}

func (a *asker) close() {
	if a.http != nil {
		a.http.CloseIdleConnections()
	}
}

// tls is for a certificate of a name, or of the name that the library takes if empty.
func (t *transport) tls(name string) *tls.Config {
	return &tls.Config{ServerName: name, RootCAs: t.roots, InsecureSkipVerify: t.insecure, MinVersion: tls.VersionTLS12} // #nosec G402 -- said by the user
}

// dialer dials from the client's address.
func (a *asker) dialer(network string) *net.Dialer {
	d := &net.Dialer{Timeout: client.Timeout}
	if local := netip.AddrPortFrom(a.from, 0); a.from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(local)
		if network == "udp" {
			d.LocalAddr = net.UDPAddrFromAddrPort(local)
		}
	}
	return d
}

// Errors of a response that came.
var errWrong = errors.New("the response is not one to the query")

type statusError int

func (e statusError) Error() string { return fmt.Sprintf("HTTP status %d", int(e)) }

// ask asks once, and returns a response that answers the query.
func (a *asker) ask(ctx context.Context, name string, due client.Query) (m *dns.Msg, err error) {
	q := new(dns.Msg).SetQuestion(name, due.Type)
	if a.bufsize > 0 {
		q.SetEdns0(uint16(a.bufsize), a.do) // #nosec G115 -- at most 65535
	}
	if a.http != nil {
		m, err = a.post(ctx, q)
	} else {
		network := "udp"
		c := dns.Client{Timeout: client.Timeout, Net: network}
		switch {
		case a.proto == "tls":
			host := a.tlsName
			if host == "" {
				host = netip.MustParseAddrPort(a.server).Addr().String()
			}
			network, c.Net, c.TLSConfig = "tcp", "tcp-tls", a.tls(host)
		case a.proto == "tcp" || due.TCP:
			network, c.Net = "tcp", "tcp"
		}
		c.Dialer = a.dialer(network)
		m, _, err = c.ExchangeContext(ctx, q, a.server)
	}
	if err == nil && (!m.Response || !slices.Equal(m.Question, q.Question)) {
		err = errWrong
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// post asks over HTTPS, with the ID 0 (RFC 8484 section 4.1). Responses to POST are not
// cached on the way, so that their TTLs are those of the server.
func (a *asker) post(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	const media = "application/dns-message"
	q.Id = 0
	body, err := q.Pack()
	if err != nil {
		return nil, err
	}
	host := a.server
	if a.tlsName != "" {
		_, port, _ := net.SplitHostPort(a.server)
		host = net.JoinHostPort(strings.TrimSuffix(a.tlsName, "."), port)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+host+"/dns-query", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", media)
	r.Header.Set("Accept", media)
	resp, err := a.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp.StatusCode)
	}
	if body, err = io.ReadAll(io.LimitReader(resp.Body, dns.MaxMsgSize+1)); err != nil {
		return nil, err
	}
	m := new(dns.Msg)
	if m.Unpack(body) != nil || resp.Header.Get("Content-Type") != media {
		return nil, errWrong
	}
	return m, nil
}

// kindOf says what went wrong with a query, in a word or two.
func kindOf(err error) string {
	status, http := errors.AsType[statusError](err)
	netErr, network := errors.AsType[net.Error](err)
	switch {
	case http:
		return fmt.Sprintf("HTTP %d", int(status))
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case isTLS(err):
		return "TLS"
	case network && netErr.Timeout():
		return "timeout"
	case network, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "network"
	}
	return "wrong answer"
}

// isTLS tells whether a handshake failed.
func isTLS(err error) bool {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return certificate || alert || record
}

// probe asks once, so that a server that is down is known before the run.
func (t *transport) probe(ctx context.Context, server string, q question) error {
	due := client.Query{Type: q.qtype}
	if due.Type == 0 {
		due.Type = dns.TypeSOA
	}
	a := t.asker(server, netip.Addr{})
	defer a.close()
	var err error
	for range 2 {
		if _, err = a.ask(ctx, q.name, due); err == nil {
			return nil
		}
		if kindOf(err) != "timeout" {
			break
		}
	}
	if isTLS(err) {
		return fmt.Errorf("%s does not answer over %s (%w); -tls-name says who it is, and -insecure takes any certificate", server, t.proto, err)
	}
	return fmt.Errorf("%s does not answer over %s (%w); is a DNS server running there?", server, t.proto, err)
}
