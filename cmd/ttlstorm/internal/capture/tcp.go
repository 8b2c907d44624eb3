package capture

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/tcpassembly"
)

// The bounds of TCP.
const (
	maxStreams  = 8192     // directions of connections that are followed
	maxEarly    = 4096     // pages of 1,900 octets with segments that came too early
	maxEarlyOne = 64       // of one direction
	maxBegun    = 64 << 20 // octets of messages that have begun
	patience    = time.Second
)

// streams follows connections of TCP. Segments are put in order by tcpassembly.
type streams struct {
	p         *packets
	assembler *tcpassembly.Assembler
	open      int       // streams
	begun     int       // octets that they hold
	flushed   time.Time // when segments were last given up waiting for
}

func newStreams(p *packets) *streams {
	s := &streams{p: p}
	s.assembler = tcpassembly.NewAssembler(tcpassembly.NewStreamPool(s))
	s.assembler.MaxBufferedPagesTotal = maxEarly
	s.assembler.MaxBufferedPagesPerConnection = maxEarlyOne
	return s
}

func (s *streams) packet(from, to netip.AddrPort, tcp *layers.TCP, at time.Time) {
	switch {
	case s.open >= maxStreams:
		s.assembler.FlushWithOptions(tcpassembly.FlushOptions{T: at.Add(-10 * patience), CloseAll: true})
		if s.open >= maxStreams {
			s.assembler.FlushAll()
		}
	case at.Sub(s.flushed).Abs() > patience: // clocks may run back
		s.assembler.FlushWithOptions(tcpassembly.FlushOptions{T: at.Add(-patience)})
		s.flushed = at
	}
	s.assembler.AssembleWithTimestamp(flow(from, to), tcp, at)
}

func (s *streams) close() { s.assembler.FlushAll() }

// flow is the pair of addresses as tcpassembly has it.
func flow(from, to netip.AddrPort) gopacket.Flow {
	endpoint := layers.EndpointIPv4
	if from.Addr().Is6() {
		endpoint = layers.EndpointIPv6
	}
	return gopacket.NewFlow(endpoint, from.Addr().AsSlice(), to.Addr().AsSlice())
}

// New is called for the first segment of a direction of a connection.
func (s *streams) New(addresses, ports gopacket.Flow) tcpassembly.Stream {
	s.open++
	return &stream{all: s, from: endpoint(addresses.Src(), ports.Src()), to: endpoint(addresses.Dst(), ports.Dst())}
}

func endpoint(addr, port gopacket.Endpoint) netip.AddrPort {
	a, _ := netip.AddrFromSlice(addr.Raw())
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port.Raw()))
}

// stream is one direction of a connection: messages after their length in two octets
// (RFC 1035, section 4.2.2).
type stream struct {
	all      *streams
	from, to netip.AddrPort
	begun    []byte // the beginning of a message
	inStep   bool   // the next octet is that of a length
}

// Reassembled takes what comes next.
func (s *stream) Reassembled(all []tcpassembly.Reassembly) {
	for _, next := range all {
		if next.Skip != 0 { // something is missing, or the beginning
			s.keep(nil)
			s.inStep = false
		}
		s.inStep = s.inStep || next.Start || begins(next.Bytes)
		if !s.inStep {
			if len(next.Bytes) > 0 {
				s.all.p.in.ignore("a segment of TCP that no message begins with", nil)
			}
			continue
		}
		b := next.Bytes // mostly it ends with a message, and is not copied
		if s.begun != nil {
			b = append(s.begun, b...)
		}
		for len(b) >= 2 {
			n := int(binary.BigEndian.Uint16(b))
			if len(b) < 2+n {
				break
			}
			if !s.all.p.emit(s.from, s.to, b[2:2+n], next.Seen) {
				s.all.p.in.ignore("a message over TCP of something else", nil)
			}
			b = b[2+n:]
		}
		s.keep(b)
	}
}

// keep keeps the beginning of a message, unless there are too many of them. It is either
// in a segment, or what came after begun.
func (s *stream) keep(b []byte) {
	ours := s.begun != nil
	s.all.begun -= cap(s.begun)
	switch {
	case len(b) == 0:
		s.begun = nil
	case s.all.begun+len(b) > maxBegun:
		s.begun, s.inStep = nil, false
	case ours:
		s.begun = b
	default:
		s.begun = bytes.Clone(b)
	}
	s.all.begun += cap(s.begun)
}

// begins says whether b looks like the beginning of a message with its length: it has one
// question, and the opcode QUERY.
func begins(b []byte) bool {
	return len(b) >= 2+headerLength && int(binary.BigEndian.Uint16(b)) >= headerLength+5 &&
		b[4]&0x78 == 0 && binary.BigEndian.Uint16(b[6:]) == 1
}

// ReassemblyComplete ends the stream.
func (s *stream) ReassemblyComplete() {
	s.keep(nil)
	s.all.open--
}
