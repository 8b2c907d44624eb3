package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ttlfloor/ttlfloor/e2e/internal/process"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// node is one with processes, mounts and a network of its own.
type node struct {
	name    string
	machine *machine
	output  process.Output
}

func nodeName(i int) string { return fmt.Sprintf("node-%d", i+1) }

// job is what a process is told that becomes a node.
type job struct {
	Name       string
	Dir        string // for what it keeps
	Kubeconfig string
	Proxy      string   // kubeconfig of kube-proxy
	Addresses  []string // in the network of the machine
	DNS        []string // for pods
	Domain     string
	Clusters   []string // networks of all pods
	Archives   []string // of images, with whole paths
}

// addNode starts one and puts its cable in.
func (c *cluster) addNode(t *testing.T, i int) {
	t.Helper()
	n := &node{name: nodeName(i)}
	dir := filepath.Join(c.dir, n.name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	j := job{
		Name: n.name, Dir: dir, Kubeconfig: filepath.Join(dir, "kubeconfig"), Proxy: filepath.Join(dir, "proxy.kubeconfig"),
		Addresses: c.pick(fmt.Sprintf("10.89.0.%d", i+1), fmt.Sprintf("fd00:89::%x", i+1)), DNS: c.dns, Domain: c.domain,
		Clusters: c.pick(clusterCIDR, clusterCIDR6),
		Archives: []string{archiveOf(pauseImage), archiveOf(goImage), archiveOf(libcImage), archiveOf(muslImage), archiveOf(stockImage), ourArchive},
	}
	if len(j.DNS) == 0 {
		j.DNS = c.pick(clusterDNS, clusterDNS6)
	}
	b, err := json.Marshal(j)
	if err := errors.Join(err, c.writeKubeconfig(j.Kubeconfig, n.name), c.writeKubeconfig(j.Proxy, "proxy")); err != nil {
		t.Fatal(err)
	}
	if n.machine, err = newMachine(n.name, &n.output, nil, "TTLFLOOR_NODE_JOB="+string(b)); err != nil {
		t.Fatal(err)
	}
	c.nodes[n.name] = n
	pid := n.machine.cmd.Process.Pid
	eventually(t, func() error { return apart(pid) })
	cable := fmt.Sprintf("cable-%d", i+1)
	do(t,
		fmt.Sprintf("ip link add %s type veth peer name eth0 netns %d", cable, pid),
		fmt.Sprintf("ip link set %s up master %s", cable, cables),
	)
}

// apart tells whether a process has a network of its own yet.
func apart(pid int) error {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	if its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil || its == own {
		return fmt.Errorf("process %d has no network of its own: %w", pid, err)
	}
	return nil
}

// kill has a node lose its power.
func (n *node) kill() {
	_ = n.machine.cmd.Process.Kill()
	_ = n.machine.cmd.Wait()
	n.machine.groups.remove()
}

// ready waits for all nodes, and makes routes between their pods.
func (c *cluster) ready(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		nodes, err := c.admin.CoreV1().Nodes().List(background, meta.ListOptions{})
		if err != nil {
			return err
		}
		if len(nodes.Items) != len(c.nodes) {
			return fmt.Errorf("%d nodes of %d", len(nodes.Items), len(c.nodes))
		}
		for i := range nodes.Items {
			for _, condition := range nodes.Items[i].Status.Conditions {
				if condition.Type == core.NodeReady && condition.Status != core.ConditionTrue {
					return fmt.Errorf("%s: %s", nodes.Items[i].Name, condition.Message)
				}
			}
		}
		return nil
	})
	nodes, err := c.admin.CoreV1().Nodes().List(background, meta.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes.Items {
		n := &nodes.Items[i]
		var to []string
		for _, a := range n.Status.Addresses {
			if a.Type == core.NodeInternalIP {
				to = append(to, a.Address)
			}
		}
		for k, cidr := range n.Spec.PodCIDRs {
			route := fmt.Sprintf("ip route replace %s via %s", cidr, to[k])
			do(t, route)
			for name, other := range c.nodes {
				if name != n.Name {
					do(t, fmt.Sprintf("nsenter -t %d -n %s", other.machine.cmd.Process.Pid, route))
				}
			}
		}
	}
}

// beNode is what a process does that becomes a node. It comes back with an error alone.
func beNode() error {
	var j job
	if err := json.Unmarshal([]byte(os.Getenv("TTLFLOOR_NODE_JOB")), &j); err != nil {
		return err
	}
	if err := j.mounts(); err != nil {
		return err
	}
	if err := j.network(); err != nil {
		return err
	}
	if err := j.files(); err != nil {
		return err
	}
	containerd, err := j.run("containerd", "/usr/bin/containerd", "--config="+j.path("containerd.toml"))
	if err != nil {
		return err
	}
	for _, archive := range j.Archives {
		err := process.Poll(patience, func() error {
			if containerd.Exited() {
				return nil
			}
			if _, err := os.Stat(socket); err != nil {
				return err
			}
			return sh("ctr --address=" + socket + " --namespace=k8s.io images import --digests " + archive)
		})
		if err != nil {
			return err
		}
	}
	kubelet, err := j.run("kubelet", bin("kubelet"), "--kubeconfig="+j.Kubeconfig, "--config="+j.path("kubelet.yaml"),
		"--root-dir=/var/lib/kubelet", "--cert-dir="+j.path("kubelet-certificates"), "--hostname-override="+j.Name,
		"--node-ip="+strings.Join(j.Addresses, ","))
	if err != nil {
		return err
	}
	proxy, err := j.run("kube-proxy", bin("kube-proxy"), "--config="+j.path("proxy.yaml"), "--hostname-override="+j.Name)
	if err != nil {
		return err
	}
	for _, p := range []*process.Process{containerd, kubelet, proxy} {
		go func() {
			for !p.Exited() {
				time.Sleep(time.Second)
			}
			fmt.Printf("%s has exited: %v\n%s\n", p.Name, p.Err(), p.Output.Lines(40))
		}()
	}
	select {}
}

// socket is containerd's.
const socket = "/run/containerd/containerd.sock"

func (j *job) path(name string) string { return filepath.Join(j.Dir, name) }

// run starts a part of the node. Its output is on the disk of the test.
func (j *job) run(name, program string, args ...string) (*process.Process, error) {
	return process.Start(name, program, []string{role + "="}, args...)
}

// mounts hides what the system has in places that a node writes to.
func (j *job) mounts() error {
	if err := sh("mount --make-rprivate /"); err != nil {
		return err
	}
	if err := startGroups(); err != nil {
		return err
	}
	commands := []string{"mount -t tmpfs tmpfs /run", "mount -t tmpfs tmpfs /var/log", "mkdir -p /run/lock"}
	for _, dir := range []string{"/etc", "/var/lib", "/opt"} {
		own := j.path("overlay" + strings.ReplaceAll(dir, "/", "-"))
		commands = append(commands,
			fmt.Sprintf("mkdir -p %[1]s/upper %[1]s/work", own),
			fmt.Sprintf("mount -t overlay overlay -o lowerdir=%[2]s,upperdir=%[1]s/upper,workdir=%[1]s/work %[2]s", own, dir))
	}
	// The kubelet wants these values, and they are those of the whole system.
	for file, value := range map[string]string{"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1"} {
		path := j.path(strings.ReplaceAll(file, "/", "-"))
		if err := os.WriteFile(path, []byte(value+"\n"), 0o600); err != nil {
			return err
		}
		commands = append(commands, "mount --bind "+path+" /proc/sys/"+file)
	}
	for _, command := range append(commands, "mount --make-rshared /") {
		if err := sh(command); err != nil {
			return err
		}
	}
	return nil
}

// network waits for the cable, and brings the node into the network of the machine.
func (j *job) network() error {
	err := process.Poll(patience, func() error {
		_, err := net.InterfaceByName("eth0")
		return err
	})
	if err != nil {
		return err
	}
	commands := []string{"ip link set lo up", "ip link set eth0 up", "hostname " + j.Name}
	for _, a := range j.Addresses {
		if strings.Contains(a, ":") {
			commands = append(commands, "ip -6 address add "+a+"/64 dev eth0 nodad", "ip -6 route add default via "+machineIP6)
		} else {
			commands = append(commands, "ip address add "+a+"/24 dev eth0", "ip route add default via "+machineIP)
		}
	}
	for _, command := range commands {
		if err := sh(command); err != nil {
			return err
		}
	}
	for _, file := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		if err := os.WriteFile("/proc/sys/net/"+file, []byte("1"), 0o644); err != nil { // #nosec G306 -- of the system
			return err
		}
	}
	for _, file := range []string{"bridge-nf-call-iptables", "bridge-nf-call-ip6tables"} {
		_ = os.WriteFile("/proc/sys/net/bridge/"+file, []byte("1"), 0o644) // #nosec G306 -- where the module is not there, pods of a node talk past kube-proxy
	}
	return nil
}

// quoted is a list in YAML and JSON.
func quoted(all []string) string {
	b, _ := json.Marshal(all)
	return string(b)
}

// files writes the configuration of all parts.
func (j *job) files() error {
	var resolv, routes []string
	for _, a := range j.Addresses {
		if strings.Contains(a, ":") {
			resolv, routes = append(resolv, "nameserver "+machineIP6), append(routes, `{"dst": "::/0"}`)
		} else {
			resolv, routes = append(resolv, "nameserver "+machineIP), append(routes, `{"dst": "0.0.0.0/0"}`)
		}
	}
	for path, text := range map[string]string{
		"/etc/resolv.conf": strings.Join(resolv, "\n") + "\n",
		// The kubelet hands on the networks that the controller manager gives to the node.
		j.path("cni.template"): `{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "pods0", "isGateway": true, "hairpinMode": true, "ipam": {"type": "host-local",
    "ranges": [{{range $i, $cidr := .PodCIDRRanges}}{{if $i}}, {{end}}[{"subnet": "{{$cidr}}"}]{{end}}],
    "routes": [` + strings.Join(routes, ", ") + `]}}
]}`,
		j.path("containerd.toml"): `version = 2
root = "` + j.path("containerd") + `"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + pauseImage + `"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
    conf_template = "` + j.path("cni.template") + `"
`,
		j.path("kubelet.yaml"): `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: "` + j.Addresses[0] + `"
containerRuntimeEndpoint: unix://` + socket + `
clusterDNS: ` + quoted(j.DNS) + `
clusterDomain: ` + j.Domain + `
resolvConf: /etc/resolv.conf
syncFrequency: 3s
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
protectKernelDefaults: true
oomScoreAdj: 0
volumePluginDir: ` + j.path("volume-plugins") + `
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
nodeStatusUpdateFrequency: 2s
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
`,
		j.path("proxy.yaml"): `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: ` + j.Proxy + `}
clusterCIDR: "` + strings.Join(j.Clusters, ",") + `"
conntrack: {maxPerCore: 0, min: 0}
nftables: {minSyncPeriod: 100ms}
`,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { // #nosec G301 -- as those of the system
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil { // #nosec G306 -- as those of the system
			return err
		}
	}
	return nil
}
