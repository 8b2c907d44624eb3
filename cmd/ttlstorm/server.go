package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/bind" // what the treatments need
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/rewrite"

	"github.com/miekg/dns"
	_ "github.com/ttlfloor/ttlfloor"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
	"github.com/ttlfloor/ttlfloor/internal/chain"
)

// loopback is where compare has its servers.
const loopback = "127.0.0.1"

// quiet has CoreDNS say nothing, and ttlfloor in its chain.
func quiet() error {
	caddy.Quiet, dnsserver.Quiet = true, true
	log.SetOutput(io.Discard)
	return chain.Set()
}

// serve starts a CoreDNS with a treatment that forwards to the source. It returns its
// address, and what stops both.
func serve(t storm.Treatment, source *storm.Source) (server string, stop func(), err error) {
	conn, err := net.ListenPacket("udp", loopback+":0")
	if err != nil {
		return "", nil, err
	}
	upstream := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		if rcode, err := source.ServeDNS(context.Background(), w, r); err != nil {
			_ = w.WriteMsg(new(dns.Msg).SetRcode(r, rcode))
		}
	})}
	started := make(chan struct{})
	upstream.NotifyStartedFunc = func() { close(started) }
	go func() { _ = upstream.ActivateAndServe() }()
	<-started
	instance, err := caddy.Start(caddy.CaddyfileInput{
		Contents:       []byte(t.Corefile(loopback, "0", conn.LocalAddr().String())),
		Filepath:       "Corefile",
		ServerTypeName: "dns",
	})
	if err != nil {
		_ = upstream.Shutdown()
		return "", nil, err
	}
	stop = func() {
		_ = instance.Stop()
		instance.Wait()
		_ = upstream.Shutdown()
	}
	for _, s := range instance.Servers() {
		if addr := s.LocalAddr(); addr != nil {
			return addr.String(), stop, nil
		}
	}
	stop()
	return "", nil, errors.New("CoreDNS listens nowhere")
}
