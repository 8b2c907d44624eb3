package capture

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/miekg/dns"
)

var (
	client4 = netip.MustParseAddrPort("10.1.2.3:40000")
	server4 = netip.MustParseAddrPort("10.96.0.10:53")
	client6 = netip.MustParseAddrPort("[2001:db8::1]:40000")
	server6 = netip.MustParseAddrPort("[2001:db8::53]:53")
)

// captured is a packet, and when it was captured.
type captured struct {
	at   time.Time
	data []byte
}

// serialize writes layers one after the other, with their lengths and checksums.
func serialize(tb testing.TB, all ...gopacket.SerializableLayer) []byte {
	tb.Helper()
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		tb.Fatal(err)
	}
	return bytes.Clone(b.Bytes())
}

// network is the layer of IP between two addresses, and the type of Ethernet for it.
func network(from, to netip.AddrPort, protocol layers.IPProtocol) (layer interface {
	gopacket.SerializableLayer
	gopacket.NetworkLayer
}, typ layers.EthernetType) {
	source, destination := net.IP(from.Addr().AsSlice()), net.IP(to.Addr().AsSlice())
	if from.Addr().Is4() {
		return &layers.IPv4{Version: 4, TTL: 64, Protocol: protocol, SrcIP: source, DstIP: destination}, layers.EthernetTypeIPv4
	}
	return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: protocol, SrcIP: source, DstIP: destination}, layers.EthernetTypeIPv6
}

// udp is a packet of UDP from IP on.
func udp(tb testing.TB, from, to netip.AddrPort, b []byte) []byte {
	tb.Helper()
	ip, _ := network(from, to, layers.IPProtocolUDP)
	u := &layers.UDP{SrcPort: layers.UDPPort(from.Port()), DstPort: layers.UDPPort(to.Port())}
	_ = u.SetNetworkLayerForChecksum(ip)
	return serialize(tb, ip, u, gopacket.Payload(b))
}

// tcp is a segment from IP on.
func tcp(tb testing.TB, from, to netip.AddrPort, seq uint32, syn bool, b []byte) []byte {
	tb.Helper()
	ip, _ := network(from, to, layers.IPProtocolTCP)
	s := &layers.TCP{SrcPort: layers.TCPPort(from.Port()), DstPort: layers.TCPPort(to.Port()), Seq: seq, SYN: syn, ACK: !syn, Window: 1 << 14}
	_ = s.SetNetworkLayerForChecksum(ip)
	return serialize(tb, ip, s, gopacket.Payload(b))
}

// framed has a length in front (RFC 1035, section 4.2.2).
func framed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func ethernet(tb testing.TB, typ layers.EthernetType, b []byte) []byte {
	tb.Helper()
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	return serialize(tb, &layers.Ethernet{SrcMAC: mac, DstMAC: mac, EthernetType: typ}, gopacket.Payload(b))
}

// pcapFile is a file with packets of a kind of link.
func pcapFile(tb testing.TB, link layers.LinkType, packets ...captured) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	if err := w.WriteFileHeader(65536, link); err != nil {
		tb.Fatal(err)
	}
	for _, p := range packets {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: p.at, CaptureLength: len(p.data), Length: len(p.data)}, p.data); err != nil {
			tb.Fatal(err)
		}
	}
	return b.Bytes()
}

// raw is a file with packets from IP on, a second after the other.
func raw(tb testing.TB, packets ...[]byte) []byte {
	tb.Helper()
	var all []captured
	for i, p := range packets {
		all = append(all, captured{second(i), p})
	}
	return pcapFile(tb, layers.LinkTypeRaw, all...)
}

func second(i int) time.Time { return time.Unix(1_800_000_000+int64(i), 123_456_000).UTC() }

func queried(i int, client netip.AddrPort) Message {
	return Message{At: second(i), Client: client.Addr(), Name: "a.example.", Type: dns.TypeA, Rcode: -1, TTL: -1}
}

func answered(i int, client netip.AddrPort, ttl int64) Message {
	m := queried(i, client)
	m.Answer, m.Rcode, m.TTL = true, 0, ttl
	return m
}

// TestLinks has a query and its answer on every kind of link.
func TestLinks(t *testing.T) {
	q, a := query(t, "A.example.", dns.TypeA), answer(t, "a.example.", 30)
	be := binary.BigEndian
	tagged := func(outer layers.EthernetType) func(layers.EthernetType, []byte) []byte {
		return func(typ layers.EthernetType, b []byte) []byte {
			b = serialize(t, &layers.Dot1Q{VLANIdentifier: 7, Type: typ}, gopacket.Payload(b))
			if outer != layers.EthernetTypeDot1Q {
				b = serialize(t, &layers.Dot1Q{VLANIdentifier: 8, Type: layers.EthernetTypeDot1Q}, gopacket.Payload(b))
			}
			return ethernet(t, outer, b)
		}
	}
	plain := func(_ layers.EthernetType, b []byte) []byte { return b }
	for what, tc := range map[string]struct {
		link layers.LinkType
		wrap func(layers.EthernetType, []byte) []byte
	}{
		"Ethernet":     {layers.LinkTypeEthernet, func(typ layers.EthernetType, b []byte) []byte { return ethernet(t, typ, b) }},
		"802.1Q":       {layers.LinkTypeEthernet, tagged(layers.EthernetTypeDot1Q)},
		"QinQ":         {layers.LinkTypeEthernet, tagged(layers.EthernetTypeQinQ)},
		"raw":          {layers.LinkTypeRaw, plain},
		"raw, BSD":     {rawBSD, plain},
		"raw, OpenBSD": {rawOpenBSD, plain},
		"cooked": {layers.LinkTypeLinuxSLL, func(typ layers.EthernetType, b []byte) []byte {
			return append(be.AppendUint16([]byte{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}, uint16(typ)), b...)
		}},
		"cooked, v2": {layers.LinkTypeLinuxSLL2, func(typ layers.EthernetType, b []byte) []byte {
			return append(append(be.AppendUint16(nil, uint16(typ)), 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0), b...)
		}},
		"null": {layers.LinkTypeNull, func(typ layers.EthernetType, b []byte) []byte {
			if typ == layers.EthernetTypeIPv6 {
				return append([]byte{30, 0, 0, 0}, b...)
			}
			return append([]byte{2, 0, 0, 0}, b...)
		}},
		"loop": {layers.LinkTypeLoop, func(typ layers.EthernetType, b []byte) []byte {
			if typ == layers.EthernetTypeIPv6 {
				return append([]byte{0, 0, 0, 24}, b...)
			}
			return append([]byte{0, 0, 0, 2}, b...)
		}},
	} {
		t.Run(what, func(t *testing.T) {
			file := pcapFile(t, tc.link,
				captured{second(0), tc.wrap(layers.EthernetTypeIPv4, udp(t, client4, server4, q))},
				captured{second(1), tc.wrap(layers.EthernetTypeIPv4, udp(t, server4, client4, a))},
				captured{second(2), tc.wrap(layers.EthernetTypeIPv6, udp(t, client6, server6, q))},
				captured{second(3), tc.wrap(layers.EthernetTypeIPv6, tcp(t, server6, client6, 100, false, framed(a)))},
				captured{second(4), tc.wrap(layers.EthernetTypeARP, []byte("who has?"))})
			got, c := read(t, file, Options{})
			same(t, got, []Message{queried(0, client4), answered(1, client4, 30), queried(2, client6), answered(3, client6, 30)})
			if c.Ignored != 1 || c.Format != "pcap" {
				t.Errorf("%+v", c)
			}
		})
	}
}

// TestPackets has packets of IP, and which of them is a message.
func TestPackets(t *testing.T) {
	q, a := query(t, "a.example.", dns.TypeA), answer(t, "a.example.", 30)
	plain4, plain6 := udp(t, client4, server4, q), udp(t, client6, server6, q)
	port := func(a netip.AddrPort, port uint16) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), port) }
	extended := func(headers ...byte) []byte {
		b := append(append(bytes.Clone(plain6[:40]), headers...), plain6[40:]...)
		b[6] = headers[len(headers)-1] // what the first is, and not part of them
		b = append(b[:40+len(headers)-1], b[40+len(headers):]...)
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
		return b
	}
	tunnel, _ := network(port(client4, 0), port(server4, 0), layers.IPProtocolIPv4)
	for what, tc := range map[string]struct {
		packet []byte
		o      Options
		want   *Message
	}{
		"IPv4":                     {packet: plain4, want: new(queried(0, client4))},
		"IPv4 with options":        {packet: withOptions(plain4), want: new(queried(0, client4))},
		"padding":                  {packet: append(bytes.Clone(plain4), 0, 0, 0), want: new(queried(0, client4))},
		"a fragment":               {packet: edit(plain4, func(b []byte) { b[6] = 0x20 })},
		"the last fragment":        {packet: edit(plain4, func(b []byte) { b[7] = 8 })},
		"IPv4 in IPv4":             {packet: serialize(t, tunnel, gopacket.Payload(udp(t, client4, server4, q))), want: new(queried(0, client4))},
		"IPv6":                     {packet: plain6, want: new(queried(0, client6))},
		"IPv6, hop by hop":         {packet: extended(17, 0, 1, 4, 0, 0, 0, 0, 0), want: new(queried(0, client6))},
		"IPv6, destination":        {packet: extended(17, 0, 1, 4, 0, 0, 0, 0, 60), want: new(queried(0, client6))},
		"IPv6, routing":            {packet: extended(17, 0, 4, 0, 0, 0, 0, 0, 43), want: new(queried(0, client6))},
		"IPv6, atomic fragment":    {packet: extended(17, 0, 0, 0, 0, 0, 0, 1, 44), want: new(queried(0, client6))},
		"IPv6, first fragment":     {packet: extended(17, 0, 0, 1, 0, 0, 0, 1, 44)},
		"IPv6, last fragment":      {packet: extended(17, 0, 0, 8, 0, 0, 0, 1, 44)},
		"cut in the answer":        {packet: udp(t, server4, client4, a)[:20+8+len(a)-6], want: new(answered(0, client4, -1))},
		"cut in the question":      {packet: plain4[:20+8+16]},
		"cut in UDP":               {packet: plain4[:24]},
		"cut in IP":                {packet: plain4[:12]},
		"another port":             {packet: udp(t, client4, port(server4, 1053), q)},
		"that port":                {packet: udp(t, client4, port(server4, 1053), q), o: Options{Ports: []uint16{1053}}, want: new(queried(0, client4))},
		"an answer from that port": {packet: udp(t, port(server4, 1053), client4, a), o: Options{Ports: []uint16{1053}}, want: new(answered(0, client4, 30))},
		"both on 53":               {packet: udp(t, server4, port(client4, 53), a), want: new(answered(0, client4, 30))},
		"a query from the port":    {packet: udp(t, server4, client4, q)},
		"the server":               {packet: plain4, o: Options{Servers: []netip.Addr{addr("::ffff:10.96.0.10")}}, want: new(queried(0, client4))},
		"no DNS":                   {packet: udp(t, client4, server4, []byte("hello"))},
		"no IP":                    {packet: []byte{0x45}},
		"nothing":                  {packet: nil},
	} {
		t.Run(what, func(t *testing.T) {
			// One that is understood comes after.
			got, c := read(t, raw(t, tc.packet, udp(t, client4, server4, query(t, "z.", dns.TypeA))), tc.o)
			if tc.want == nil {
				tc.want = new(Message)
				got = append([]Message{{}}, got...)
				if c.Ignored != 1 || c.FirstIgnored == "" {
					t.Errorf("%+v", c)
				}
			}
			z := queried(1, client4)
			z.Name = "z."
			same(t, got, []Message{*tc.want, z})
		})
	}
}

// TestServers tells the server from its upstreams.
func TestServers(t *testing.T) {
	upstream := netip.MustParseAddrPort("192.0.2.53:53")
	q, a := query(t, "a.example.", dns.TypeA), answer(t, "a.example.", 30)
	own := netip.AddrPortFrom(server4.Addr(), 40000)
	file := raw(t, udp(t, client4, server4, q), udp(t, own, upstream, q), udp(t, upstream, own, a), udp(t, server4, client4, a),
		tcp(t, own, upstream, 1, false, framed(q)))
	got, c := read(t, file, Options{Servers: []netip.Addr{addr("::ffff:10.96.0.10")}})
	same(t, got, []Message{queried(0, client4), answered(3, client4, 30)})
	if c.Ignored != 3 {
		t.Errorf("%+v", c)
	}
}

func withOptions(b []byte) []byte {
	b = append(append(bytes.Clone(b[:20]), 7, 3, 4, 0), b[20:]...)
	b[0]++
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// TestCopies has packets that were captured twice, and those that only look so.
func TestCopies(t *testing.T) {
	q, a := query(t, "a.example.", dns.TypeA), answer(t, "a.example.", 30)
	pod := netip.MustParseAddrPort("10.244.0.2:53")
	other := edit(q, func(b []byte) { b[1]++ })
	start, later := second(0), second(0).Add(time.Second)
	file := pcapFile(t, layers.LinkTypeRaw,
		captured{start, udp(t, client4, server4, q)},
		captured{start.Add(time.Millisecond), udp(t, client4, pod, q)}, // after the translation
		captured{start.Add(2 * time.Millisecond), udp(t, client4, server4, other)},
		captured{start.Add(3 * time.Millisecond), udp(t, pod, client4, a)},
		captured{start.Add(3 * time.Millisecond), udp(t, server4, client4, a)},
		captured{later, udp(t, client4, server4, q)}, // asks again
	)
	got, c := read(t, file, Options{})
	if len(got) != 4 || c.Repeated != 2 || c.Ignored != 0 || !got[3].At.Equal(later) {
		t.Errorf("%d messages, %+v", len(got), c)
	}
}

// TestTCP has segments, and the messages in them, by how many letters their names have.
func TestTCP(t *testing.T) {
	var all []byte // three messages
	var ends []int
	for i := range 3 {
		b := query(t, strings.Repeat("x", i+1)+".", dns.TypeA)
		all = append(all, framed(edit(b, func(b []byte) { b[0] = byte(i) }))...)
		ends = append(ends, len(all))
	}
	seg := func(from, to int) []byte { return tcp(t, client4, server4, 1000+uint32(from), false, all[from:to]) }
	wrapped := func(from, to int) []byte { return tcp(t, client4, server4, uint32(from)-20, false, all[from:to]) }
	syn := tcp(t, client4, server4, 999, true, nil)
	var octets [][]byte
	for i := range all {
		octets = append(octets, seg(i, i+1))
	}
	for what, tc := range map[string]struct {
		segments [][]byte
		want     string
	}{
		"all in one":         {[][]byte{syn, seg(0, len(all))}, "123"},
		"one each":           {[][]byte{syn, seg(0, ends[0]), seg(ends[0], ends[1]), seg(ends[1], ends[2])}, "123"},
		"across":             {[][]byte{syn, seg(0, 1), seg(1, ends[0]+5), seg(ends[0]+5, len(all)-1), seg(len(all)-1, len(all))}, "123"},
		"octet by octet":     {append([][]byte{syn}, octets...), "123"},
		"sent again":         {[][]byte{syn, seg(0, ends[0]), seg(0, ends[1]), seg(0, ends[0]), seg(ends[0], len(all))}, "123"},
		"in another order":   {[][]byte{syn, seg(ends[0], ends[1]), seg(0, ends[0]), seg(ends[1], len(all))}, "123"},
		"without beginning":  {[][]byte{seg(ends[0], ends[1]), seg(ends[1], len(all))}, "23"},
		"from the middle on": {[][]byte{seg(5, ends[0]), seg(ends[0], len(all))}, "23"},
		"one is lost":        {[][]byte{syn, seg(0, 4), seg(ends[0], len(all))}, "23"},
		"two ends are lost":  {[][]byte{syn, seg(0, 4), seg(ends[0]+3, ends[1]), seg(ends[1], len(all))}, "3"},
		"the last is cut":    {[][]byte{syn, seg(0, len(all)-1)}, "12"},
		"numbers that wrap":  {[][]byte{tcp(t, client4, server4, 1<<32-21, true, nil), wrapped(0, 10), wrapped(10, 40), wrapped(40, len(all))}, "123"},
	} {
		t.Run(what, func(t *testing.T) {
			// Out of the way, so that there is no error, and long after.
			segments := append(tc.segments, udp(t, client6, server6, query(t, "zzzzz.", dns.TypeA)))
			got, _ := read(t, raw(t, segments...), Options{})
			seen := ""
			for _, m := range got {
				if m.Client == client4.Addr() {
					seen += string(rune('0' + len(m.Name) - 1))
				}
			}
			if seen != tc.want {
				t.Errorf("messages %q, want %q", seen, tc.want)
			}
		})
	}
}

// TestManyConnections has more than are followed, each with a message that never ends.
func TestManyConnections(t *testing.T) {
	in, err := newInput(Options{}, func(*Message) {})
	if err != nil {
		t.Fatal(err)
	}
	p := newPackets(in)
	begun := append([]byte{0xff, 0xff}, query(t, "a.example.", dns.TypeA)...)
	begun = append(begun, make([]byte, 20_000)...)
	var segment layers.TCP
	if err := segment.DecodeFromBytes(tcp(t, client4, server4, 1, true, begun)[20:], gopacket.NilDecodeFeedback); err != nil {
		t.Fatal(err)
	}
	for i := range 2 * maxStreams {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 1)
		p.streams.packet(from, server4, &segment, second(0))
		if p.streams.open > maxStreams || p.streams.begun > maxBegun {
			t.Fatalf("%d streams with %d octets", p.streams.open, p.streams.begun)
		}
	}
	if p.streams.begun == 0 {
		t.Error("nothing has begun")
	}
	if p.close(); p.streams.open != 0 || p.streams.begun != 0 {
		t.Errorf("%d streams with %d octets are left", p.streams.open, p.streams.begun)
	}
}

// swap makes a big-endian file of a little-endian one, or the other way round.
func swap(tb testing.TB, file []byte) []byte {
	tb.Helper()
	b := bytes.Clone(file)
	flip := func(b []byte, sizes ...int) {
		for _, n := range sizes {
			for i, j := 0, n-1; i < j; i, j = i+1, j-1 {
				b[i], b[j] = b[j], b[i]
			}
			b = b[n:]
		}
	}
	flip(b, 4, 2, 2, 4, 4, 4, 4)
	for off := 24; off < len(b); {
		n := int(binary.LittleEndian.Uint32(b[off+8:]))
		flip(b[off:], 4, 4, 4, 4)
		off += 16 + n
	}
	return b
}

// TestPcapKinds has byte orders and resolutions, sections, and what is cut.
func TestPcapKinds(t *testing.T) {
	packet := udp(t, client4, server4, query(t, "a.example.", dns.TypeA))
	micro := raw(t, packet, packet)
	nano := bytes.Clone(micro)
	binary.LittleEndian.PutUint32(nano, 0xa1b23c4d)
	for _, off := range []int{24 + 4, 24 + 16 + len(packet) + 4} {
		binary.LittleEndian.PutUint32(nano[off:], 123_456_000)
	}
	var ng bytes.Buffer
	w, err := pcapgo.NewNgWriter(&ng, layers.LinkTypeRaw)
	if err != nil {
		t.Fatal(err)
	}
	eth, err := w.AddInterface(pcapgo.NgInterface{Name: "eth0", LinkType: layers.LinkTypeEthernet})
	if err != nil {
		t.Fatal(err)
	}
	for i, data := range [][]byte{packet, ethernet(t, layers.EthernetTypeIPv4, packet)} {
		ci := gopacket.CaptureInfo{Timestamp: second(i), CaptureLength: len(data), Length: len(data), InterfaceIndex: i * eth}
		if err := w.WritePacket(ci, data); err != nil {
			t.Fatal(err)
		}
	}
	_ = w.Flush()
	two := []Message{queried(0, client4), queried(1, client4)}
	for what, tc := range map[string]struct {
		file []byte
		want []Message
		cut  bool
	}{
		"microseconds":              {file: micro, want: two},
		"microseconds, big-endian":  {file: swap(t, micro), want: two},
		"nanoseconds":               {file: nano, want: two},
		"nanoseconds, big-endian":   {file: swap(t, nano), want: two},
		"cut in a packet":           {file: micro[:len(micro)-1], want: two[:1], cut: true},
		"cut after a header":        {file: micro[:len(micro)-len(packet)], want: two[:1], cut: true},
		"cut in a header":           {file: micro[:len(micro)-len(packet)-1], want: two[:1], cut: true},
		"a length that is too long": {file: edit(micro, func(b []byte) { b[24+16+len(packet)+11] = 0x7f }), want: two[:1], cut: true},
		"pcapng":                    {file: ng.Bytes(), want: two},
		"two sections":              {file: append(bytes.Clone(ng.Bytes()), ng.Bytes()...), want: append(two[:2:2], two...)},
		"pcapng, cut":               {file: ng.Bytes()[:ng.Len()-1], want: two[:1], cut: true},
	} {
		t.Run(what, func(t *testing.T) {
			got, c := read(t, tc.file, Options{})
			same(t, got, tc.want)
			if c.Truncated != tc.cut || c.Truncated != (c.Why != "") {
				t.Errorf("%+v", c)
			}
		})
	}
	// Clocks that run back are passed on.
	back := pcapFile(t, layers.LinkTypeRaw, captured{second(9), packet}, captured{second(0), packet})
	got, _ := read(t, back, Options{})
	same(t, got, []Message{queried(9, client4), queried(0, client4)})
}

// TestBudget ends with blocks that no packet comes after.
func TestBudget(t *testing.T) {
	b := &budget{r: bytes.NewReader(make([]byte, 100)), left: 60}
	if n, err := b.Read(make([]byte, 100)); n != 60 || err != nil {
		t.Error(n, err)
	}
	if _, err := b.Read(make([]byte, 1)); err == nil {
		t.Error("no error")
	}
}

func FuzzPackets(f *testing.F) {
	q := query(f, "a.example.", dns.TypeA)
	f.Add(raw(f, udp(f, client4, server4, q), tcp(f, client6, server6, 1, true, nil), tcp(f, client6, server6, 2, false, framed(q))))
	f.Add(pcapFile(f, layers.LinkTypeEthernet, captured{second(0), ethernet(f, layers.EthernetTypeIPv4, udp(f, client4, server4, q))}))
	var ng bytes.Buffer
	w, err := pcapgo.NewNgWriter(&ng, layers.LinkTypeRaw)
	if err != nil {
		f.Fatal(err)
	}
	data := udp(f, client4, server4, q)
	if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: second(0), CaptureLength: len(data), Length: len(data)}, data); err != nil {
		f.Fatal(err)
	}
	_ = w.Flush()
	f.Add(ng.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if !isPcap(b) && !bytes.HasPrefix(b, []byte{10, 13, 13, 10}) {
			return
		}
		_, _, _ = collect(t, b, Options{})
	})
}

// TestPcapsInOne has files of pcap behind each other, as "cat" makes them of those that
// "tcpdump -C" parts, of different hosts.
func TestPcapsInOne(t *testing.T) {
	packet := udp(t, client4, server4, query(t, "a.example.", dns.TypeA))
	first := raw(t, packet)
	second4 := pcapFile(t, layers.LinkTypeEthernet, captured{second(1), ethernet(t, layers.EthernetTypeIPv4, packet)})
	big := bytes.Clone(raw(t)) // the same in the other byte order
	for _, field := range [][2]int{{0, 4}, {4, 6}, {6, 8}, {16, 20}, {20, 24}} {
		slices.Reverse(big[field[0]:field[1]])
	}
	for what, tc := range map[string]struct {
		files     [][]byte
		want      int
		truncated bool
	}{
		"the same link":      {[][]byte{first, raw(t, packet, packet), first}, 4, false},
		"another link":       {[][]byte{first, second4, first}, 3, false},
		"another byte order": {[][]byte{first, big, first}, 2, false},
		"nothing in it":      {[][]byte{raw(t), raw(t), first}, 1, false},
		"a header cut":       {[][]byte{first, second4[:20]}, 1, true},
		"a half":             {[][]byte{first, second4[:60]}, 1, true},
	} {
		got, c := read(t, bytes.Join(tc.files, nil), Options{})
		if len(got)+int(c.Repeated) != tc.want || c.Truncated != tc.truncated || c.Ignored > 0 {
			t.Errorf("%s: %d messages, %+v, want %d", what, len(got), c, tc.want)
		}
	}
}
