package capture

import (
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// packets makes messages of packets. It decodes each into the same layers.
type packets struct {
	in      *input
	ports   map[uint16]bool // of the server
	servers map[netip.Addr]bool
	links   map[layers.LinkType]*gopacket.DecodingLayerParser
	decoded []gopacket.LayerType
	repeats repeats
	streams *streams

	ethernet layers.Ethernet
	tag      layers.Dot1Q
	cooked   layers.LinuxSLL
	cooked2  layers.LinuxSLL2
	loopback layers.Loopback
	ip4      layers.IPv4
	ip6      layers.IPv6
	skipper  layers.IPv6ExtensionSkipper
	fragment layers.IPv6Fragment
	udp      layers.UDP
	tcp      layers.TCP
}

func newPackets(in *input) *packets {
	p := &packets{in: in, ports: map[uint16]bool{53: true}, servers: map[netip.Addr]bool{}, links: map[layers.LinkType]*gopacket.DecodingLayerParser{}}
	for _, port := range in.Ports {
		p.ports[port] = true
	}
	for _, addr := range in.Servers {
		p.servers[addr.Unmap()] = true
	}
	p.streams = newStreams(p)
	return p
}

func (p *packets) close() { p.streams.close() }

// The other numbers that raw IP has, on BSD.
const (
	rawBSD     layers.LinkType = 12
	rawOpenBSD layers.LinkType = 14
)

// firstLayer is that of a packet of a kind of link.
func firstLayer(link layers.LinkType, data []byte) gopacket.LayerType {
	switch link {
	case layers.LinkTypeEthernet:
		return layers.LayerTypeEthernet
	case layers.LinkTypeLinuxSLL:
		return layers.LayerTypeLinuxSLL
	case layers.LinkTypeLinuxSLL2:
		return layers.LayerTypeLinuxSLL2
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		return layers.LayerTypeLoopback
	case layers.LinkTypeRaw, layers.LinkTypeIPv4, layers.LinkTypeIPv6, rawBSD, rawOpenBSD:
		if len(data) > 0 && data[0]>>4 == 6 {
			return layers.LayerTypeIPv6
		}
		return layers.LayerTypeIPv4
	}
	return gopacket.LayerTypeZero
}

// parser has the parser that begins with a layer.
func (p *packets) parser(link layers.LinkType, first gopacket.LayerType) *gopacket.DecodingLayerParser {
	if first == layers.LayerTypeIPv6 {
		link = layers.LinkTypeIPv6 // raw IP has both
	}
	parser := p.links[link]
	if parser == nil {
		// The fragments come after the skipper, which would take them for itself.
		parser = gopacket.NewDecodingLayerParser(first, &p.ethernet, &p.tag, &p.cooked, &p.cooked2, &p.loopback,
			&p.ip4, &p.ip6, &p.skipper, &p.fragment, &p.udp, &p.tcp)
		parser.IgnoreUnsupported = true
		p.links[link] = parser
	}
	return parser
}

// packet hands out the messages of one.
func (p *packets) packet(link layers.LinkType, data []byte, at time.Time) {
	first := firstLayer(link, data)
	if first == gopacket.LayerTypeZero {
		p.in.ignore("a packet of link type "+link.String()+", which is not read", nil)
		return
	}
	// An error leaves in decoded what came before it.
	_ = p.parser(link, first).DecodeLayers(data, &p.decoded)
	var source, destination netip.Addr
	for _, layer := range p.decoded {
		switch layer { // the innermost, in a tunnel
		case layers.LayerTypeIPv4:
			source, destination = addresses(p.ip4.SrcIP, p.ip4.DstIP)
		case layers.LayerTypeIPv6:
			source, destination = addresses(p.ip6.SrcIP, p.ip6.DstIP)
		case layers.LayerTypeUDP:
			from := netip.AddrPortFrom(source, uint16(p.udp.SrcPort))
			to := netip.AddrPortFrom(destination, uint16(p.udp.DstPort))
			if !p.ours(from, to) || !p.emit(from, to, p.udp.Payload, at) {
				p.in.ignore("a packet of UDP that is not DNS on the server's port", nil)
			}
			return
		case layers.LayerTypeTCP:
			from := netip.AddrPortFrom(source, uint16(p.tcp.SrcPort))
			to := netip.AddrPortFrom(destination, uint16(p.tcp.DstPort))
			if !p.ours(from, to) {
				p.in.ignore("a packet of TCP that is not on the server's port", nil)
				return
			}
			p.streams.packet(from, to, &p.tcp, at)
			return
		}
	}
	p.in.ignore("a packet or fragment without UDP and TCP", nil)
}

func addresses(source, destination []byte) (netip.Addr, netip.Addr) {
	s, _ := netip.AddrFromSlice(source)
	d, _ := netip.AddrFromSlice(destination)
	return s.Unmap(), d.Unmap()
}

// ours says whether one side is a server.
func (p *packets) ours(from, to netip.AddrPort) bool { return p.server(from) || p.server(to) }

func (p *packets) server(a netip.AddrPort) bool {
	return p.ports[a.Port()] && (len(p.servers) == 0 || p.servers[a.Addr()])
}

// emit hands out a message from one side to the other, unless it was captured before.
func (p *packets) emit(from, to netip.AddrPort, b []byte, at time.Time) bool {
	m := &p.in.m
	m.reset()
	if !p.in.message(b, m) {
		return false
	}
	client, server := from, to
	if m.Answer {
		client, server = to, from
	}
	if !p.server(server) {
		return false
	}
	if m.At, m.Client = at, client.Addr(); p.repeats.seen(client, b, m) {
		p.in.counts.Repeated++
		return true
	}
	p.in.emit()
	return true
}
