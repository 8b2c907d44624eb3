//go:build linux

package find

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dnstap/golang-dnstap"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/net/bpf"
)

// tap takes dnstap from one server at a socket, and writes it to a file, which is
// complete when the server has stopped and done has returned.
func tap(t *testing.T, socket string) (file string, done func()) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	file = filepath.Join(t.TempDir(), "coredns.tap")
	out, err := dnstap.NewFrameStreamOutputFromFilename(file)
	must(t, err)
	var all sync.WaitGroup
	all.Go(out.RunOutputLoop)
	all.Go(func() {
		defer out.Close()
		conn, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		in, err := dnstap.NewFrameStreamInput(conn, true)
		if err != nil {
			t.Error(err)
			return
		}
		in.ReadInto(out.GetOutputChannel())
	})
	return file, all.Wait
}

// capture writes the packets of a server on loopback to a file, as tcpdump does.
func capture(t *testing.T, server string) (file string, done func()) {
	t.Helper()
	handle, err := pcapgo.NewEthernetHandle("lo")
	if err != nil {
		t.Fatalf("packets of loopback: %v; this test needs root", err)
	}
	filter, err := bpf.Assemble(datagrams(uint32(netip.MustParseAddrPort(server).Port())))
	must(t, err)
	must(t, handle.SetBPF(filter))
	file = filepath.Join(t.TempDir(), "lo.pcap")
	f, err := os.Create(file)
	must(t, err)
	w := pcapgo.NewWriterNanos(f)
	must(t, w.WriteFileHeader(uint32(handle.GetCaptureLength()), layers.LinkTypeEthernet))
	var all sync.WaitGroup
	all.Go(func() {
		for {
			data, ci, err := handle.ZeroCopyReadPacketData()
			if err != nil { // it is closed
				return
			}
			ci.AncillaryData = nil
			if err := w.WritePacket(ci, data); err != nil {
				t.Error(err)
				return
			}
		}
	})
	return file, sync.OnceFunc(func() {
		_ = handle.Close()
		all.Wait()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

// datagrams is the filter "ip and udp port PORT" for Ethernet.
func datagrams(port uint32) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(layers.EthernetTypeIPv4), SkipFalse: 8},
		bpf.LoadAbsolute{Off: 23, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(layers.IPProtocolUDP), SkipFalse: 6},
		bpf.LoadMemShift{Off: 14},
		bpf.LoadIndirect{Off: 14, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: port, SkipTrue: 2},
		bpf.LoadIndirect{Off: 16, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: port, SkipFalse: 1},
		bpf.RetConstant{Val: 1 << 18},
		bpf.RetConstant{Val: 0},
	}
}

// send writes to a socket, and returns when who listens there has read it to its end.
func send(t *testing.T, socket, what string) {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	must(t, err)
	defer func() { _ = conn.Close() }()
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = conn.Write([]byte(what))
	must(t, err, conn.CloseWrite())
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
}
