package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// betweenPackets is how many octets a packet may take, with what is before it.
const betweenPackets = 64 << 20

// pcap reads files of it, one after the other, as "cat" makes them of several.
func (in *input) pcap(r *bufio.Reader) error {
	b := &budget{r: r, left: betweenPackets}
	all := bufio.NewReader(b) // pcapgo takes it as it is, and so reads nothing ahead
	file, err := pcapgo.NewReader(all)
	if err != nil {
		return unexpected(err)
	}
	p := newPackets(in)
	defer p.close()
	for {
		for isHeader(all) {
			if file, err = pcapgo.NewReader(all); err != nil {
				return unexpected(err)
			}
		}
		data, ci, err := file.ZeroCopyReadPacketData()
		switch {
		case err != nil && ci.CaptureLength > 0:
			return unexpected(err)
		case err != nil:
			return err
		}
		p.packet(file.LinkType(), data, ci.Timestamp)
		b.left = betweenPackets
	}
}

// isHeader says whether that of another file comes next. The header of a packet, which is
// as long as what is looked at, has its lengths where that of a file has zeros.
func isHeader(r *bufio.Reader) bool {
	head, _ := r.Peek(16)
	return len(head) == 16 && binary.NativeEndian.Uint64(head[8:]) == 0 && isPcap(head)
}

func (in *input) pcapng(r *bufio.Reader) error {
	b := &budget{r: r, left: betweenPackets}
	file, err := pcapgo.NewNgReader(b, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
	if err != nil {
		return unexpected(err)
	}
	p := newPackets(in)
	defer p.close()
	for {
		data, ci, err := file.ZeroCopyReadPacketData()
		if err != nil {
			return err
		}
		link, _ := linkType(ci)
		p.packet(link, data, ci.Timestamp)
		b.left = betweenPackets
	}
}

func linkType(ci gopacket.CaptureInfo) (layers.LinkType, bool) {
	if len(ci.AncillaryData) == 0 {
		return 0, false
	}
	link, ok := ci.AncillaryData[0].(layers.LinkType)
	return link, ok
}

// budget reads until nothing is left. What it is for keeps in memory what it reads,
// though not always.
type budget struct {
	r    io.Reader
	left int
}

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("%w: no packet in %d octets", errBroken, betweenPackets)
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

var errBroken = errors.New("broken file")
