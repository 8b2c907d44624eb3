//go:build linux

package find

import (
	"bytes"
	"compress/gzip"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/dnstap/golang-dnstap"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"
)

const crowd = 40 // clients of a herd that no CoreDNS has seen

// kinds are the same herd in each kind of file that find reads.
func kinds(t *testing.T, name string) map[string]string {
	t.Helper()
	text := logged("192.0.2.1", name, crowd, 10)
	var compressed, taps, old, ng bytes.Buffer
	z := gzip.NewWriter(&compressed)
	_, err := z.Write([]byte(text))
	must(t, err, z.Close())

	tap, err := dnstap.NewWriter(&taps, nil)
	must(t, err)
	pcap := pcapgo.NewWriter(&old)
	must(t, pcap.WriteFileHeader(1<<16, layers.LinkTypeEthernet))
	pcapng, err := pcapgo.NewNgWriter(&ng, layers.LinkTypeEthernet)
	must(t, err)
	for round := range 10 {
		client := netip.MustParseAddr("192.0.2.1")
		for i := range crowd {
			at := began.Add(time.Duration(round)*period + time.Duration(i)*time.Millisecond)
			query, err := new(dns.Msg).SetQuestion(name, dns.TypeA).Pack()
			must(t, err)
			sec, nsec := uint64(at.Unix()), uint32(at.Nanosecond())
			frame, err := proto.Marshal(&dnstap.Dnstap{Type: dnstap.Dnstap_MESSAGE.Enum(), Message: &dnstap.Message{
				Type: dnstap.Message_CLIENT_QUERY.Enum(), QueryAddress: client.AsSlice(), QueryMessage: query, QueryTimeSec: &sec, QueryTimeNsec: &nsec,
			}})
			must(t, err)
			_, err = tap.WriteFrame(frame)
			packet := datagram(t, client, query)
			info := gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(packet), Length: len(packet)}
			must(t, err, pcap.WritePacket(info, packet), pcapng.WritePacket(info, packet))
			client = client.Next()
		}
	}
	must(t, tap.Close(), pcapng.Flush())
	return map[string]string{"log": text, "gzip": compressed.String(), "dnstap": taps.String(), "pcap": old.String(), "pcapng": ng.String()}
}

// datagram is a packet with a query to port 53.
func datagram(t *testing.T, client netip.Addr, query []byte) []byte {
	t.Helper()
	ip := layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: client.AsSlice(), DstIP: net.IPv4(192, 0, 2, 253)}
	udp := layers.UDP{SrcPort: 40000, DstPort: 53}
	must(t, udp.SetNetworkLayerForChecksum(&ip))
	b := gopacket.NewSerializeBuffer()
	must(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&layers.Ethernet{SrcMAC: make(net.HardwareAddr, 6), DstMAC: make(net.HardwareAddr, 6), EthernetType: layers.EthernetTypeIPv4}, &ip, &udp, gopacket.Payload(query)))
	return b.Bytes()
}
