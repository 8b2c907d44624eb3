//go:build linux

// Command nodeif makes the network interface that the cache on a node listens
// on: a dummy one, with a link-local address. An image from scratch has no ip(8)
// for an init container to do that with.
//
//	nodeif [-name nodelocaldns] [-kind dummy] [-remove] [ADDRESS...]
//
// To run it again changes nothing: what is missing is added, and nothing is taken
// away. With -remove the interface goes, if it is there. A kernel without dummy
// interfaces may have bridges; one with no ports does as well. It needs
// CAP_NET_ADMIN.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"syscall"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "nodeif:", err)
		os.Exit(1)
	}
}

// run does what the arguments say; usage goes to w.
func run(args []string, w io.Writer) error {
	flags := flag.NewFlagSet("nodeif", flag.ContinueOnError)
	flags.SetOutput(w)
	name := flags.String("name", "nodelocaldns", "`interface` to make")
	kind := flags.String("kind", "dummy", "`dummy` or bridge")
	remove := flags.Bool("remove", false, "take the interface away")
	flags.Usage = func() {
		_, _ = fmt.Fprintln(w, "usage: nodeif [-name nodelocaldns] [-kind dummy] [-remove] [ADDRESS...]")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if *name == "" || len(*name) >= syscall.IFNAMSIZ {
		return fmt.Errorf("name %q: want 1 to %d characters", *name, syscall.IFNAMSIZ-1)
	}
	if *kind != "dummy" && *kind != "bridge" {
		return fmt.Errorf("kind %q: want dummy or bridge", *kind)
	}
	addrs, err := addresses(flags.Args())
	if err != nil {
		return err
	}
	if *remove != (len(addrs) == 0) {
		return errors.New("want one address or more, or -remove and none")
	}

	r, err := open()
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	defer r.close()
	if *remove {
		return r.remove(*name, *kind)
	}
	index, err := r.ensure(*name, *kind)
	if err != nil {
		return err
	}
	for _, addr := range addrs {
		if err := r.ensureAddress(index, addr); err != nil {
			return fmt.Errorf("address %s on %s: %w", addr, *name, err)
		}
	}
	return nil
}

// addresses parses addresses without a prefix length.
func addresses(args []string) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, arg := range args {
		addr, err := netip.ParseAddr(arg)
		if err != nil || addr.Zone() != "" || addr.Is4In6() {
			return nil, fmt.Errorf("address %q: want an IPv4 or IPv6 address such as 169.254.20.10, with no prefix length", arg)
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}
