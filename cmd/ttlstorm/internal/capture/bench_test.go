package capture

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/miekg/dns"
)

// BenchmarkRead reads lines, packets and frames from memory.
func BenchmarkRead(b *testing.B) {
	var lines, stamped bytes.Buffer
	var packets []captured
	for i := range 20_000 {
		name := fmt.Sprintf("name-%d.example.", i%1000)
		s := "[INFO] " + strings.Replace(line, "example.org.", name, 1) + "\n"
		lines.WriteString(s)
		stamped.WriteString("2026-03-01T10:00:00.123456789Z " + s)
		packets = append(packets,
			captured{second(i), ethernet(b, layers.EthernetTypeIPv4, udp(b, client4, server4, query(b, name, dns.TypeA)))},
			captured{second(i), ethernet(b, layers.EthernetTypeIPv4, udp(b, server4, client4, answer(b, name, 30)))})
	}
	file := pcapFile(b, layers.LinkTypeEthernet, packets...)
	for _, bc := range []struct {
		name string
		data []byte
		o    Options
	}{
		{"lines", lines.Bytes(), Options{}},
		{"timestamps", stamped.Bytes(), Options{}},
		{"format", lines.Bytes(), Options{LogFormat: common + "{/none}"}},
		{"pcap", file, Options{}},
		{"pcap.gz", compressed(b, file, gz), Options{}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.SetBytes(int64(len(bc.data)))
			messages := int64(0)
			for b.Loop() {
				c, err := Read(b.Context(), bc.name, bytes.NewReader(bc.data), bc.o, func(*Message) {})
				if err != nil || c.Messages == 0 {
					b.Fatal(c, err)
				}
				messages += c.Messages
			}
			b.ReportMetric(float64(messages)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkParts looks for parts in lines from memory.
func BenchmarkParts(b *testing.B) {
	var lines bytes.Buffer
	for i := range 20_000 {
		_, _ = fmt.Fprintf(&lines, "%s [INFO] %s\n", second(0).Add(time.Duration(i)*10*time.Millisecond).Format(time.RFC3339Nano), line)
	}
	b.SetBytes(int64(lines.Len()))
	for b.Loop() {
		if n := len(Parts(b.Context(), bytes.NewReader(lines.Bytes()), 64)); n != 1 {
			b.Fatal(n, "parts")
		}
	}
}
