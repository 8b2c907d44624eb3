package main

import (
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
)

// The addresses that clients have: those of 127.0.0.0/8 but for the first 65,536,
// which servers listen on, and the last one, which is for broadcasts.
const (
	firstAddress = 127<<24 | 1<<16
	addresses    = 128<<24 - 1 - firstAddress
)

// addressOf is the address of a client, by its number. There are 16 million, and after
// that they begin again.
func addressOf(n int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], firstAddress+uint32(n%addresses)) // #nosec G115 -- 127.1.0.0 and up
	return netip.AddrFrom4(b)
}

// oneAddress says why the clients of a server cannot have an address each. It is empty
// if they can.
func oneAddress(server netip.Addr) string {
	switch server = server.Unmap(); {
	case !server.IsLoopback():
		return "the server is not on a loopback address"
	case server.Is6():
		return "IPv6 has one loopback address"
	case runtime.GOOS != "linux":
		return "this system has one loopback address"
	}
	conn, err := net.ListenPacket("udp4", netip.AddrPortFrom(addressOf(0), 0).String())
	if err != nil {
		return "the system does not have " + addressOf(0).String()
	}
	_ = conn.Close()
	return ""
}

// oneLine warns that the clients have one address, and says why.
const oneLine = "ttlstorm: all clients ask from one address, since %s; ttlfloor takes them for one client, and spreads them by chance alone\n"
