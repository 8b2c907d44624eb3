package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

var ports struct {
	sync.Mutex
	taken map[int]bool
}

// freePort returns a port of 127.0.0.1 that is free for UDP and TCP, and returns
// it once. It is below those that clients are given: a server that is killed and
// started again on its port must find it free, and a client that knocks on a
// closed port of that range can come out at itself.
func freePort() int {
	ports.Lock()
	defer ports.Unlock()
	if ports.taken == nil {
		ports.taken = map[int]bool{}
	}
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		if ports.taken[port] {
			continue
		}
		addr := local(port)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		c, err := net.ListenPacket("udp", addr)
		_ = l.Close()
		if err != nil {
			continue
		}
		_ = c.Close()
		ports.taken[port] = true
		return port
	}
	panic("no port of 1000 is free")
}

// local is a port of loopback as an address.
func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
