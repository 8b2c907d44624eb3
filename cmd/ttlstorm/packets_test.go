package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/miekg/dns"
)

var packets = flag.Int("packets", 100_000, "of the capture that TestFindLargePackets makes and reads, besides those of the herd")

// TestFindLargePackets is TestFindLarge with packets, queries and answers:
//
//	go test -C cmd/ttlstorm -v -run TestFindLargePackets . -packets 10000000
func TestFindLargePackets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dns.pcap")
	writePackets(t, path, *packets)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	began := time.Now()
	if err := run(t.Context(), []string{"find", path}, &out, &errs); err != nil {
		t.Fatalf("%v\n%s", err, &errs)
	}
	took := time.Since(began)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("%d MiB with %d packets and those of the herd in %v, %d MiB", info.Size()>>20, *packets, took.Round(time.Millisecond), m.Sys>>20)
	for _, want := range []string{"1 finding", "herd at A herd.linkerd.svc.cluster.local.", "1,000 clients", "ttlfloor 30s herd.linkerd.svc.cluster.local"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if errs.Len() > 0 {
		t.Errorf("it says %s", &errs)
	}
}

// writePackets writes ten minutes of n packets as tcpdump has them, and a herd of 1,000
// clients in between.
func writePackets(t *testing.T, path string, n int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	capture := capturing{to: pcapgo.NewWriter(w), messages: map[string][2][]byte{}}
	if err := capture.to.WriteFileHeader(262_144, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	begin := time.Unix(1_700_000_000, 0).UTC()
	step := 10 * time.Minute / time.Duration(n/2)
	period, due := 30*time.Second, time.Second
	for i := range n / 2 {
		at := time.Duration(i) * step
		if at >= due { // the herd is there at once
			for c := range 1000 {
				capture.exchange(t, begin.Add(at), [4]byte{10, 9, byte(c >> 8), byte(c)}, "herd.linkerd.svc.cluster.local.")
			}
			due += period
		}
		client := [4]byte{10, byte(r.IntN(4)), byte(r.IntN(40)), byte(r.IntN(256))}
		capture.exchange(t, begin.Add(at), client, fmt.Sprintf("svc-%d.shop.svc.cluster.local.", int(r.ExpFloat64()*3000)))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// capturing writes packets.
type capturing struct {
	to       *pcapgo.Writer
	messages map[string][2][]byte // the query and the answer of a name
	id       uint16
}

// exchange writes a query and, a quarter of a millisecond later, its answer.
func (c *capturing) exchange(t *testing.T, at time.Time, client [4]byte, name string) {
	t.Helper()
	both, ok := c.messages[name]
	if !ok {
		both = message(t, name)
		c.messages[name] = both
	}
	c.id++
	server := [4]byte{10, 96, 0, 10}
	c.packet(t, at, client, server, 40_000, 53, both[0])
	c.packet(t, at.Add(250*time.Microsecond), server, client, 53, 40_000, both[1])
}

// message packs a query and its answer.
func message(t *testing.T, name string) (both [2][]byte) {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, dns.TypeA)
	for i := range both {
		var err error
		if both[i], err = m.Pack(); err != nil {
			t.Fatal(err)
		}
		m.Response = true
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 30}, A: []byte{10, 96, 1, 2}}}
	}
	return both
}

// packet writes one over UDP, without checksums, which tcpdump does not see either where
// the hardware makes them.
func (c *capturing) packet(t *testing.T, at time.Time, from, to [4]byte, source, destination uint16, b []byte) {
	t.Helper()
	const ethernet, ip, udp = 14, 20, 8
	p := make([]byte, 0, 512)
	p = append(p, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0)
	p = append(p, 0x45, 0)
	p = binary.BigEndian.AppendUint16(p, uint16(ip+udp+len(b)))
	p = append(p, 0, 0, 0, 0, 64, 17, 0, 0)
	p = slices.Concat(p, from[:], to[:])
	p = binary.BigEndian.AppendUint16(p, source)
	p = binary.BigEndian.AppendUint16(p, destination)
	p = binary.BigEndian.AppendUint16(p, uint16(udp+len(b)))
	p = append(p, 0, 0)
	p = append(p, b...)
	binary.BigEndian.PutUint16(p[ethernet+ip+udp:], c.id)
	if err := c.to.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(p), Length: len(p)}, p); err != nil {
		t.Fatal(err)
	}
}
