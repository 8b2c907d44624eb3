package node

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// role tells a process of the test what it is, in its environment.
const role = "TTLFLOOR_NODE"

// cables is the bridge of the machine, which nodes hang on.
const cables = "cables"

// onMachine runs a test as the first process of a machine of namespaces.
func onMachine(t *testing.T, o options, test func(c *cluster)) {
	t.Helper()
	if os.Getenv(role) == "machine" {
		setUpMachine(t)
		test(startCluster(t, o))
		return
	}
	if err := build(); err != nil {
		t.Fatal(err)
	}
	t.Parallel() // they wait most of the time
	var out bytes.Buffer
	m, err := newMachine("machine", &out, []string{"-test.run=" + only(t), "-test.v", "-test.timeout=30m"}, "TMPDIR="+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer m.groups.remove()
	err = m.cmd.Wait()
	if err != nil {
		t.Errorf("on the machine: %v", err)
	}
	if err != nil || testing.Verbose() {
		_, _ = out.WriteTo(os.Stdout)
	}
}

// A machine is this program again, in namespaces and control groups of its own.
type machine struct {
	cmd    *exec.Cmd // of unshare(1), which is in the namespaces but that of processes
	groups groups
}

// machines counts those of this process.
var machines atomic.Int32

// newMachine starts one. It ends with its parent, and all of its processes with it.
func newMachine(name string, out io.Writer, args []string, env ...string) (*machine, error) {
	g, err := newGroups(fmt.Sprintf("ttlfloor-%s-%d-%d", name, os.Getpid(), machines.Add(1)))
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("sh", "-c", g.enter()+` exec unshare "$@"`, "sh", // #nosec G204 -- itself
		"--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child", "--mount-proc", self)
	cmd.Args = append(cmd.Args, args...)
	cmd.Env = append(os.Environ(), role+"="+name)
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return &machine{cmd, g}, cmd.Start()
}

// only has -run name this test alone, and of its subtests those that were asked for.
func only(t *testing.T) string {
	t.Helper()
	p := "^" + regexp.QuoteMeta(t.Name()) + "$"
	if _, sub, ok := strings.Cut(flag.Lookup("test.run").Value.String(), "/"); ok {
		p += "/" + sub
	}
	return p
}

// setUpMachine makes mounts and a network of the machine's own.
func setUpMachine(t *testing.T) {
	t.Helper()
	do(t,
		"mount --make-rprivate /",
		"mount -t tmpfs tmpfs /run",
		"ip link set lo up",
		"ip link add "+cables+" type bridge",
		"ip link set "+cables+" up",
		"ip address add "+machineIP+"/24 dev "+cables,
		"ip -6 address add "+machineIP6+"/64 dev "+cables+" nodad",
	)
	if err := startGroups(); err != nil {
		t.Fatal(err)
	}
}

// do runs commands, whose words have blanks in between.
func do(t *testing.T, commands ...string) {
	t.Helper()
	for _, command := range commands {
		if err := sh(command); err != nil {
			t.Fatal(err)
		}
	}
}

// sh runs a command, whose words have blanks in between.
func sh(command string) error {
	words := strings.Fields(command)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil { // #nosec G204 -- from the code
		return fmt.Errorf("%s: %w: %s", command, err, bytes.TrimSpace(out))
	}
	return nil
}

// groups are the control groups of a machine.
type groups []string

// newGroups makes them below those of this process: one for each hierarchy of cgroup v1, or
// one of v2.
func newGroups(name string) (g groups, err error) {
	if unified() {
		// Not run: the machines that this was written on have v1. It is at the top, since a group
		// with processes hands out no controllers.
		g = groups{filepath.Join("/sys/fs/cgroup", name)}
		return g, os.Mkdir(g[0], 0o755) // #nosec G301 -- as those of the system
	}
	for _, h := range hierarchies() {
		parent := filepath.Join("/sys/fs/cgroup", h.dir(), h.path)
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o755); err != nil { // #nosec G301 -- as those of the system
			return nil, err
		}
		g = append(g, dir)
		if slices.Contains(h.controllers, "cpuset") { // in an empty one no process may be
			for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
				b, err := os.ReadFile(filepath.Join(parent, file)) // #nosec G304 -- of the system
				if err == nil {
					err = os.WriteFile(filepath.Join(dir, file), b, 0o644) // #nosec G306 -- of the system
				}
				if err != nil {
					return nil, err
				}
			}
		}
	}
	return g, nil
}

// enter is what a shell does to be in them.
func (g groups) enter() string {
	var s strings.Builder
	for _, dir := range g {
		fmt.Fprintf(&s, "echo $$ > %s/cgroup.procs && ", dir)
	}
	return s.String()
}

// remove removes them with all below, which are empty when the machine is gone.
func (g groups) remove() {
	for _, dir := range g {
		_ = exec.Command("find", dir, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";").Run() // #nosec G204 -- from the code
	}
}

// unified tells whether the system has cgroup v2 alone.
func unified() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

// A hierarchy is one of cgroup v1.
type hierarchy struct {
	controllers []string
	path        string // of the group that this process is in
}

// dir is the name of its mount.
func (h hierarchy) dir() string { return strings.Join(h.controllers, ",") }

// hierarchies are those that this process is in and containers need.
func hierarchies() (all []hierarchy) {
	b, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		h := hierarchy{strings.Split(parts[1], ","), parts[2]}
		if slices.ContainsFunc(h.controllers, func(c string) bool { return slices.Contains(needed, c) }) {
			all = append(all, h)
		}
	}
	return all
}

// needed are the controllers that the kubelet and runc ask for.
var needed = []string{"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"}

// startGroups mounts the control groups, of which those of the machine are the roots.
func startGroups() error {
	commands := []string{"umount -R /sys", "mount -t sysfs sysfs /sys"}
	if unified() {
		commands = append(commands, "mount -t cgroup2 cgroup2 /sys/fs/cgroup", "mkdir -p /sys/fs/cgroup/first")
	} else {
		commands = append(commands, "mount -t tmpfs tmpfs /sys/fs/cgroup")
		for _, h := range hierarchies() {
			commands = append(commands, "mkdir /sys/fs/cgroup/"+h.dir(), "mount -t cgroup -o "+h.dir()+" cgroup /sys/fs/cgroup/"+h.dir())
		}
	}
	for _, command := range commands {
		if err := sh(command); err != nil {
			return err
		}
	}
	if !unified() {
		return nil
	}
	// Processes may be in groups alone that hand out nothing.
	procs, err := os.ReadFile("/sys/fs/cgroup/cgroup.procs")
	for pid := range strings.FieldsSeq(string(procs)) {
		_ = os.WriteFile("/sys/fs/cgroup/first/cgroup.procs", []byte(pid), 0o644) // #nosec G306 -- it may be gone
	}
	if err == nil {
		err = os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+cpu +cpuset +memory +pids"), 0o644) // #nosec G306 -- of the system
	}
	return err
}
