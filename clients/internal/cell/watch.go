//go:build linux

package cell

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"
)

// Watch sees the packets of this cell. It returns what tells the addresses outside of
// loopback that some were sent to. In a cell they go nowhere.
func Watch() (strays func() []string, err error) {
	const all = syscall.ETH_P_ALL
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, int(binary.BigEndian.Uint16([]byte{all & 255, all >> 8})))
	if err != nil {
		return nil, fmt.Errorf("packets of the cell: %w", err)
	}
	var mu sync.Mutex
	var seen []string
	go func() {
		b := make([]byte, 64)
		for {
			n, _, err := syscall.Recvfrom(fd, b, 0)
			if err != nil {
				return
			}
			if to := destination(b[:n]); to.IsValid() && !to.IsLoopback() && !to.IsMulticast() {
				mu.Lock()
				if s := to.String(); len(seen) < 10 && !slices.Contains(seen, s) {
					seen = append(seen, s)
				}
				mu.Unlock()
			}
		}
	}()
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}, nil
}

// destination is where a packet goes, the zero address if it is not one of IP.
func destination(b []byte) netip.Addr {
	var to netip.Addr
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		to, _ = netip.AddrFromSlice(b[16:20])
	case len(b) >= 40 && b[0]>>4 == 6:
		to, _ = netip.AddrFromSlice(b[24:40])
	}
	return to
}
