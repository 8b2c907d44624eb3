//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// infoKind is IFLA_INFO_KIND, the attribute within IFLA_LINKINFO that names the
// kind of a virtual interface; the package syscall lacks it.
const infoKind = 1

// route talks rtnetlink(7). It is not safe for concurrent use.
type route struct {
	fd  int
	seq uint32
}

// open returns a route whose requests give up after some seconds.
func open() (*route, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	r := &route{fd: fd}
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: 5}); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *route) close() { _ = syscall.Close(r.fd) }

// ensure returns the index of the interface of that name and kind, which is there
// and up afterwards. It refuses one of another kind.
func (r *route) ensure(name, kind string) (index int32, err error) {
	info := attribute(syscall.IFLA_LINKINFO, attribute(infoKind, []byte(kind)))
	request := append(link(0, syscall.IFF_UP), append(attribute(syscall.IFLA_IFNAME, zeroed(name)), info...)...)
	_, err = r.do(syscall.RTM_NEWLINK, syscall.NLM_F_CREATE|syscall.NLM_F_EXCL, request)
	switch {
	case err == nil:
		return r.find(name, kind)
	case errors.Is(err, syscall.EOPNOTSUPP):
		return 0, fmt.Errorf("the kernel has no interfaces of kind %q: %w", kind, err)
	case !errors.Is(err, syscall.EEXIST):
		return 0, fmt.Errorf("make interface %s: %w", name, err)
	}
	if index, err = r.find(name, kind); err != nil {
		return 0, err
	}
	if _, err = r.do(syscall.RTM_NEWLINK, 0, link(index, syscall.IFF_UP)); err != nil {
		return 0, fmt.Errorf("set interface %s up: %w", name, err)
	}
	return index, nil
}

// ensureAddress gives an interface an address, with no network around it.
func (r *route) ensureAddress(index int32, addr netip.Addr) error {
	family, flags := byte(syscall.AF_INET), byte(0)
	if addr.Is6() {
		family, flags = syscall.AF_INET6, syscall.IFA_F_NODAD // nobody else is there
	}
	request := []byte{family, byte(addr.BitLen()), flags, syscall.RT_SCOPE_UNIVERSE} // #nosec G115 -- 32 or 128
	request = binary.NativeEndian.AppendUint32(request, uint32(index))               // #nosec G115 -- as the kernel gave it
	request = append(request, attribute(syscall.IFA_LOCAL, addr.AsSlice())...)
	request = append(request, attribute(syscall.IFA_ADDRESS, addr.AsSlice())...)
	_, err := r.do(syscall.RTM_NEWADDR, syscall.NLM_F_CREATE|syscall.NLM_F_REPLACE, request)
	return err
}

// remove takes the interface of that name and kind away, if it is there. It
// refuses one of another kind.
func (r *route) remove(name, kind string) error {
	index, err := r.find(name, kind)
	if errors.Is(err, syscall.ENODEV) {
		return nil
	}
	if err == nil {
		_, err = r.do(syscall.RTM_DELLINK, 0, link(index, 0))
	}
	if err != nil {
		return fmt.Errorf("remove interface %s: %w", name, err)
	}
	return nil
}

// find returns the index of an interface, which has to be of that kind.
func (r *route) find(name, kind string) (index int32, err error) {
	replies, err := r.do(syscall.RTM_GETLINK, 0, append(link(0, 0), attribute(syscall.IFLA_IFNAME, zeroed(name))...))
	if err != nil {
		return 0, err
	}
	for _, m := range replies {
		if m.Header.Type != syscall.RTM_NEWLINK || len(m.Data) < syscall.SizeofIfInfomsg {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return 0, err
		}
		for _, a := range attrs {
			// The kind is the first attribute in it.
			if a.Attr.Type == syscall.IFLA_LINKINFO && bytes.HasPrefix(a.Value, attribute(infoKind, zeroed(kind))) {
				return int32(binary.NativeEndian.Uint32(m.Data[4:])), nil // #nosec G115 -- as the kernel gave it
			}
		}
	}
	return 0, fmt.Errorf("interface %q is not of kind %q: want the name of one that is, or that is not there", name, kind)
}

// do sends a request and returns the messages of the reply, or what the kernel
// refused it with, which is a syscall.Errno.
func (r *route) do(kind, flags int, body []byte) ([]syscall.NetlinkMessage, error) {
	r.seq++
	request := make([]byte, syscall.NLMSG_HDRLEN, syscall.NLMSG_HDRLEN+len(body))
	binary.NativeEndian.PutUint32(request[0:], uint32(syscall.NLMSG_HDRLEN+len(body)))                // #nosec G115 -- some hundred
	binary.NativeEndian.PutUint16(request[4:], uint16(kind))                                          // #nosec G115 -- a constant
	binary.NativeEndian.PutUint16(request[6:], uint16(flags|syscall.NLM_F_REQUEST|syscall.NLM_F_ACK)) // #nosec G115 -- constants
	binary.NativeEndian.PutUint32(request[8:], r.seq)
	if err := syscall.Sendto(r.fd, append(request, body...), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return nil, err
	}
	var replies []syscall.NetlinkMessage
	for {
		buf := make([]byte, 1<<16)
		n, _, err := syscall.Recvfrom(r.fd, buf, 0)
		if err != nil {
			return nil, err
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			switch {
			case m.Header.Seq != r.seq:
			case m.Header.Type != syscall.NLMSG_ERROR:
				replies = append(replies, m)
			case len(m.Data) < 4:
				return nil, syscall.EBADMSG
			default: // the acknowledgement, whose error is 0
				if code := int32(binary.NativeEndian.Uint32(m.Data)); code != 0 { // #nosec G115 -- it is signed
					return nil, syscall.Errno(-code) // #nosec G115 -- errors are negative
				}
				return replies, nil
			}
		}
	}
}

// link returns the head of a request about an interface, with flags to set.
func link(index int32, flags uint32) []byte {
	b := make([]byte, syscall.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b[4:], uint32(index)) // #nosec G115 -- as the kernel gave it
	binary.NativeEndian.PutUint32(b[8:], flags)
	binary.NativeEndian.PutUint32(b[12:], flags) // and no others
	return b
}

// attribute returns an attribute of a request, with its padding.
func attribute(kind uint16, value []byte) []byte {
	n := syscall.SizeofRtAttr + len(value)
	b := make([]byte, 0, (n+syscall.NLMSG_ALIGNTO-1)&^(syscall.NLMSG_ALIGNTO-1))
	b = binary.NativeEndian.AppendUint16(b, uint16(n)) // #nosec G115 -- some hundred
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(b, value...)[:cap(b)]
}

// zeroed returns a string as the kernel has it, with its end.
func zeroed(s string) []byte { return append([]byte(s), 0) }
