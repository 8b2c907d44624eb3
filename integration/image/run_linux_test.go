package image

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/miekg/dns"
)

// corefile answers on port 53, which without more only root may bind, with a
// TTL that ttlfloor has to raise.
const corefile = `. {
    bind 127.0.0.1
    errors
    ttlfloor 30s example.org
    template IN A example.org {
        answer "{{ .Name }} 0 IN A 192.0.2.1"
    }
}
`

// TestImageRuns starts the image's entry point in its root file system, with a
// network of its own, and asks it.
func TestImageRuns(t *testing.T) {
	images, _ := open(t)
	p := images[runtime.GOARCH]
	if p == nil {
		t.Fatal("no image for this architecture")
	}
	if os.Getuid() != 0 {
		t.Skip("needs root, for namespaces and chroot")
	}
	for _, tc := range []struct {
		name     string
		user     string
		readOnly bool
		runtime  bool // as containers are run: no new privileges, and no capability but NET_BIND_SERVICE
	}{
		{"as the image says", p.Config.User, false, false},
		{"root file system read-only", p.Config.User, true, false},
		{"without privileges", p.Config.User, true, true},
		{"as another user", "1000:0", true, true},
		{"as root", "0:0", false, false},
		{"as root, read-only, without privileges", "0:0", true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := p.unpack(t)
			isolate(t, root, tc.readOnly)
			if tc.runtime {
				dropPrivileges(t)
			}
			start(t, &syscall.SysProcAttr{Chroot: root, Credential: credential(t, tc.user), Pdeathsig: syscall.SIGKILL})
			m := ask(t)
			if len(m.Answer) != 1 || m.Answer[0].Header().Ttl < 33 || m.Answer[0].Header().Ttl > 45 {
				t.Errorf("got %v, want an answer with a TTL from 33 to 45", m)
			}
			if !tc.readOnly {
				return
			}
			if err := os.WriteFile(filepath.Join(root, "written"), nil, 0o600); err == nil {
				t.Error("the root file system is not read-only, so this row proves nothing")
			}
		})
	}
}

// TestImageVersion has the version of the label in the program's mouth.
func TestImageVersion(t *testing.T) {
	images, _ := open(t)
	p := images[runtime.GOARCH]
	if os.Getuid() != 0 {
		t.Skip("needs root, for chroot")
	}
	cmd := exec.CommandContext(t.Context(), "/coredns", "-version")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: p.unpack(t), Credential: credential(t, p.Config.User)}
	out, err := cmd.CombinedOutput()
	if want := "ttlfloor-" + p.Config.Labels["org.opencontainers.image.version"]; err != nil || !strings.Contains(string(out), want) {
		t.Errorf("got %q (%v), want %q in it", out, err, want)
	}
}

// unpack writes the files of the image to a directory, as tar does.
func (p *platform) unpack(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, layer := range p.layers {
		cmd := exec.CommandContext(t.Context(), "tar", "--extract", "--xattrs", "--xattrs-include=security.capability", "--directory", dir)
		cmd.Stdin = bytes.NewReader(layer)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("tar: %v: %s", err, out)
		}
	}
	return dir
}

func credential(t *testing.T, user string) *syscall.Credential {
	t.Helper()
	uid, gid, _ := strings.Cut(user, ":")
	u, err := strconv.ParseUint(uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	g, err := strconv.ParseUint(gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(u), Gid: uint32(g)}
}

// isolate gives the test's thread, and what it starts, a network that has
// nothing but loopback, and mounts of its own. The thread ends with the test.
func isolate(t *testing.T, root string, readOnly bool) {
	t.Helper()
	runtime.LockOSThread()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	must("unshare", syscall.Unshare(syscall.CLONE_NEWNET|syscall.CLONE_NEWNS))
	must("private mounts", syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	if readOnly {
		must("bind mount", syscall.Mount(root, root, "", syscall.MS_BIND, ""))
		must("read-only", syscall.Mount("", root, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
		t.Cleanup(func() { must("unmount", syscall.Unmount(root, syscall.MNT_DETACH)) })
	}
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	must("socket", err)
	defer func() { _ = syscall.Close(s) }()
	up := struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP}
	copy(up.name[:], "lo")
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(s), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&up))); errno != 0 {
		t.Fatalf("loopback up: %v", errno)
	}
}

const (
	capNetBindService = 10
	capLast           = 63 // more than there are: the kernel says no to what it does not know

	prSetKeepCaps   = 8
	prCapBSetDrop   = 24
	prSetNoNewPrivs = 38
)

// dropPrivileges has what this thread starts get no more than NET_BIND_SERVICE.
// As with container runtimes it is permitted, but not ambient, until the exec;
// a user who is not root has it afterwards only if the file says so too.
func dropPrivileges(t *testing.T) {
	t.Helper()
	for c := uintptr(0); c <= capLast; c++ {
		if c == capNetBindService {
			continue
		}
		if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prCapBSetDrop, c, 0); errno != 0 && errno != syscall.EINVAL {
			t.Fatalf("capability %d: %v", c, errno)
		}
	}
	for _, option := range []uintptr{prSetKeepCaps, prSetNoNewPrivs} {
		if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, option, 1, 0, 0, 0, 0); errno != 0 {
			t.Fatalf("prctl %d: %v", option, errno)
		}
	}
}

// start runs the entry point until the test ends.
func start(t *testing.T, attr *syscall.SysProcAttr) {
	t.Helper()
	log := new(bytes.Buffer)
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "/coredns", "-conf", "stdin")
	cmd.Dir, cmd.Env = "/", []string{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(corefile), log, log
	cmd.SysProcAttr = attr
	if err := cmd.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // says that it was killed
		if t.Failed() {
			t.Log(log)
		}
	})
}

// ask queries until there is an answer.
func ask(t *testing.T) *dns.Msg {
	t.Helper()
	client := dns.Client{Timeout: time.Second}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		m, _, err := client.Exchange(new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA), "127.0.0.1:53")
		if err == nil {
			return m
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
