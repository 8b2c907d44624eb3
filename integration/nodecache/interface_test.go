//go:build linux

package nodecache

import (
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// nodeif runs the program and returns what it printed, and its exit code.
func nodeif(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(program(t, "nodeif"), args...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// kinds returns the kinds of interface that the kernel has: dummy, as in
// deploy/node-cache, and bridge; some test machines lack the former.
func kinds(t *testing.T) []string {
	t.Helper()
	const name = "probe"
	switch out, code := nodeif(t, "-name", name, "192.0.2.1"); {
	case code == 0:
		if out, code := nodeif(t, "-name", name, "-remove"); code != 0 {
			t.Fatal(out)
		}
		return []string{"dummy", "bridge"}
	case !strings.Contains(out, `the kernel has no interfaces of kind "dummy"`):
		t.Fatal(out)
	}
	return []string{"bridge"}
}

// withInterface makes the interface of the node, and takes it away at the end.
func withInterface(t *testing.T) {
	t.Helper()
	kind := kinds(t)[0]
	t.Logf("the interface is of kind %s", kind)
	if out, code := nodeif(t, "-kind", kind, node); code != 0 {
		t.Fatal(out)
	}
	t.Cleanup(func() {
		if out, code := nodeif(t, "-kind", kind, "-remove"); code != 0 {
			t.Error(out)
		}
	})
}

// addressesOf returns the addresses of an interface but for those that the kernel
// gives by itself.
func addressesOf(t *testing.T, name string) []string {
	t.Helper()
	link, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	if link.Flags&net.FlagUp == 0 {
		t.Errorf("%s is down", name)
	}
	addrs, err := link.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, addr := range addrs {
		if !strings.HasPrefix(addr.String(), "fe80:") {
			all = append(all, addr.String())
		}
	}
	slices.Sort(all)
	return all
}

func TestInterface(t *testing.T) {
	for _, kind := range kinds(t) {
		t.Run(kind, func(t *testing.T) {
			const name = "test0"
			do := func(args ...string) {
				t.Helper()
				if out, code := nodeif(t, append([]string{"-name", name, "-kind", kind}, args...)...); code != 0 || out != "" {
					t.Fatalf("%q: exit code %d, %q", args, code, out)
				}
			}
			t.Cleanup(func() { do("-remove") })
			want := func(want ...string) {
				t.Helper()
				if got := addressesOf(t, name); !slices.Equal(got, want) {
					t.Errorf("addresses are %q, want %q", got, want)
				}
			}
			for range 2 { // twice is as once
				do("169.254.20.10", "fd00:10:96::a")
				want("169.254.20.10/32", "fd00:10:96::a/128")
			}
			do("10.96.0.10") // what is there stays
			want("10.96.0.10/32", "169.254.20.10/32", "fd00:10:96::a/128")

			for _, addr := range []string{"169.254.20.10", "fd00:10:96::a"} {
				l, err := net.ListenPacket("udp", net.JoinHostPort(addr, "0"))
				if err != nil {
					t.Errorf("%s can't be listened on: %v", addr, err)
					continue
				}
				_ = l.Close()
			}

			if out, err := exec.Command("ip", "link", "set", name, "down").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			do("169.254.20.10") // and it is up again
			want("10.96.0.10/32", "169.254.20.10/32")

			for range 2 {
				do("-remove")
				if _, err := net.InterfaceByName(name); err == nil {
					t.Error("the interface is there after -remove")
				}
			}
		})
	}
}

func TestInterfaceRefuses(t *testing.T) {
	for _, row := range []struct {
		name string
		args []string
		want string
	}{
		{"nothing to do", nil, "want one address or more, or -remove and none"},
		{"both", []string{"-remove", node}, "want one address or more, or -remove and none"},
		{"a prefix length", []string{"169.254.20.10/32"}, `address "169.254.20.10/32": want an IPv4 or IPv6 address such as 169.254.20.10, with no prefix length`},
		{"a name", []string{"localhost"}, `address "localhost": want an IPv4 or IPv6 address`},
		{"a zone", []string{"fe80::1%lo"}, `address "fe80::1%lo": want`},
		{"a long name", []string{"-name", "sixteen-letters-", node}, `name "sixteen-letters-": want 1 to 15 characters`},
		{"no name", []string{"-name", "", node}, `name "": want 1 to 15 characters`},
		{"another kind", []string{"-kind", "veth", node}, `kind "veth": want dummy or bridge`},
		{"an option that is not there", []string{"-up"}, "flag provided but not defined: -up"},
		{"an interface of the machine", []string{"-name", "lo", "-kind", "bridge", node}, `interface "lo" is not of kind "bridge": want the name of one that is, or that is not there`},
		{"to remove one of the machine", []string{"-name", "lo", "-kind", "bridge", "-remove"}, `remove interface lo: interface "lo" is not of kind "bridge"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			if out, code := nodeif(t, row.args...); code != 1 || !strings.Contains(out, row.want) {
				t.Errorf("%q: exit code %d, %q; want 1, %q", row.args, code, out, row.want)
			}
		})
	}
	t.Run("to remove one of another kind", func(t *testing.T) {
		const name = "test1"
		if out, code := nodeif(t, "-name", name, "-kind", "bridge", "192.0.2.1"); code != 0 {
			t.Fatal(out)
		}
		out, code := nodeif(t, "-name", name, "-kind", "dummy", "-remove")
		if want := `remove interface test1: interface "test1" is not of kind "dummy"`; code != 1 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, %q; want 1, %q", code, out, want)
		}
		if out, code := nodeif(t, "-name", name, "-kind", "bridge", "-remove"); code != 0 {
			t.Error(out)
		}
	})
	if addrs := addressesOf(t, "lo"); !slices.Equal(addrs, []string{"127.0.0.1/8", "::1/128"}) {
		t.Errorf("addresses of lo are %q", addrs)
	}
}
