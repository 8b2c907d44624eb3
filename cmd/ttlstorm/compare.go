package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"strings"
	"time"

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

// compared are the treatments that compare goes through by default.
const compared = "cache 30; ttlfloor, random; ttlfloor, scheduled"

// The defaults of compare: seven generations of 8 to 12 s, after which a herd that
// is still there is one for ever.
const (
	compareLength = 80 * time.Second
	defaultTTL    = 8 // seconds
	defaultFloor  = 8 // seconds
)

// loopback is where compare has its servers.
const loopback = "127.0.0.1"

// The names that compare asks for are those of Linkerd's control plane.
var linkerd = []question{
	{name: "linkerd-dst-headless.linkerd.svc.cluster.local."}, {name: "linkerd-policy.linkerd.svc.cluster.local."},
}

// compare boots CoreDNS with one treatment after the other, and asks it.
func compare(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	f := flag.NewFlagSet("ttlstorm compare", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	o.flags(f, compareLength)
	ttl := f.Uint("ttl", defaultTTL, "seconds, of the upstream's records; 0 to 3600")
	floor := f.Int("floor", defaultFloor, "seconds, of ttlfloor and those that have one; 1 to 3600")
	change := f.Duration("change", 45*time.Second, "between changes of the endpoints; 0s is never")
	names := f.String("treatments", compared, "those to compare; \"all\" are "+strings.Join(treatmentNames(), "; "))
	usage := func(w io.Writer) {
		_, _ = fmt.Fprint(w, "usage: ttlstorm compare [flags]\n\nEvery treatment takes as long as -for says.\n"+dash)
		f.SetOutput(w)
		f.PrintDefaults()
	}
	args, err := parseFlags(f, args, usage, stdout)
	if err != nil {
		return err
	}
	m, err := o.check()
	switch {
	case err != nil:
		return err
	case len(args) > 0:
		return usagef("%q: compare has names of its own", args[0])
	case *ttl > 3600:
		return usagef("-ttl %d: it can be 0 to 3600", *ttl)
	case *floor < 1 || *floor > 3600:
		return usagef("-floor %d: it can be 1 to 3600", *floor)
	case *change < 0 || *change > 0 && *change < time.Second:
		return usagef("-change %v: it can be 0s, or 1s and more", *change)
	}
	treatments, err := chooseTreatments(*names, *floor)
	if err != nil {
		return err
	}
	out, err := o.open(stdout, stderr)
	if err != nil {
		return err
	}
	defer out.close()
	caddy.Quiet, dnsserver.Quiet = true, true
	log.SetOutput(io.Discard)
	if err := chain.Set(); err != nil {
		return err
	}
	why := oneAddress(netip.MustParseAddr(loopback))
	if why != "" {
		_, _ = fmt.Fprintf(stderr, oneLine, why)
	}
	var reports []storm.Report
	for _, t := range treatments {
		source := &storm.Source{TTL: uint32(*ttl), Change: *change} // #nosec G115 -- at most 3600
		l := &live{options: o, name: t.Name, model: m, own: why == "", questions: linkerd, source: source, progress: stderr}
		report, err := withServer(t, source, func(server string) (storm.Report, error) {
			if err := probe(ctx, server, linkerd[0]); err != nil {
				return storm.Report{}, err
			}
			source.Start()
			l.server = server
			return l.run(ctx)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		reports = append(reports, report)
		if ctx.Err() != nil {
			break
		}
	}
	return out.write(reports)
}

func treatmentNames() (names []string) {
	for _, t := range storm.Treatments(1) {
		names = append(names, t.Name)
	}
	return names
}

func chooseTreatments(names string, floor int) (out []storm.Treatment, err error) {
	all := storm.Treatments(floor)
	if names == "all" {
		return all, nil
	}
	for name := range strings.SplitSeq(names, ";") {
		found := false
		for _, t := range all {
			if t.Name == strings.TrimSpace(name) {
				out, found = append(out, t), true
			}
		}
		if !found {
			return nil, usagef("-treatments: unknown %q; there are %s", strings.TrimSpace(name), strings.Join(treatmentNames(), "; "))
		}
	}
	return out, nil
}

// withServer runs do against a CoreDNS with a treatment that forwards to the
// source.
func withServer(t storm.Treatment, source *storm.Source, do func(server string) (storm.Report, error)) (report storm.Report, err error) {
	conn, err := net.ListenPacket("udp", loopback+":0")
	if err != nil {
		return report, err
	}
	upstream := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		if rcode, err := source.ServeDNS(context.Background(), w, r); err != nil {
			_ = w.WriteMsg(new(dns.Msg).SetRcode(r, rcode))
		}
	})}
	go func() { _ = upstream.ActivateAndServe() }()
	defer func() { _ = upstream.Shutdown() }()

	corefile := caddy.CaddyfileInput{
		Contents:       []byte(t.Corefile(loopback, "0", conn.LocalAddr().String())),
		Filepath:       "Corefile",
		ServerTypeName: "dns",
	}
	instance, err := caddy.Start(corefile)
	if err != nil {
		return report, err
	}
	defer func() {
		_ = instance.Stop()
		instance.Wait()
	}()
	for _, s := range instance.Servers() {
		if addr := s.LocalAddr(); addr != nil {
			return do(addr.String())
		}
	}
	return report, errors.New("CoreDNS listens nowhere")
}
