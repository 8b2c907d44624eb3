package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ttlfloor/ttlfloor/e2e/internal/credentials"
	"github.com/ttlfloor/ttlfloor/e2e/internal/process"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// patience is how long a test waits for what has to come, however slow the machine is.
const patience = 4 * time.Minute

// background is for calls to the API server that have a timeout of their own.
var background = context.Background()

// Addresses, which are known on the machine alone.
const (
	machineIP    = "10.89.0.254"
	machineIP6   = "fd00:89::fe"
	clusterDNS   = "10.96.0.10" // kubeadm's
	clusterDNS6  = "fd00:96::a"
	clusterCIDR  = "10.244.0.0/16"
	clusterCIDR6 = "fd00:244::/56"
	serviceCIDR  = "10.96.0.0/16"
	serviceCIDR6 = "fd00:96::/112"
)

// options are what a cluster has that others have not.
type options struct {
	nodes  int      // one if zero
	ipv6   bool     // dual stack
	only6  bool     // IPv6 alone
	domain string   // cluster.local if empty
	dns    []string // addresses that kubelets give to pods; the Service kube-dns if empty
	quotas bool     // only namespaces with a quota for it may have pods of the highest priorities, as on GKE
}

func (o options) families() (v4, v6 bool) { return !o.only6, o.ipv6 || o.only6 }

// pick returns what belongs to the families that the cluster has.
func (o options) pick(v4, v6 string) []string {
	var all []string
	has4, has6 := o.families()
	if has4 {
		all = append(all, v4)
	}
	if has6 {
		all = append(all, v6)
	}
	return all
}

// list is the same in one word.
func (o options) list(v4, v6 string) string { return strings.Join(o.pick(v4, v6), ",") }

// cluster is a control plane with nodes.
type cluster struct {
	options
	dir        string
	kubeconfig string // of the administrator
	admin      *kubernetes.Clientset
	nodes      map[string]*node
	running    []*process.Process
}

const adminToken = "administrator"

// limitedPriorities is what GKE says to its API server, and quotaOfSystem what it has for its own pods.
const (
	limitedPriorities = `
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: ResourceQuota
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: ResourceQuotaConfiguration
    limitedResources:
    - resource: pods
      matchScopes:
      - {scopeName: PriorityClass, operator: In, values: [system-node-critical, system-cluster-critical]}
`
	quotaOfSystem = `
apiVersion: v1
kind: ResourceQuota
metadata: {name: gke-resource-quotas, namespace: kube-system}
spec:
  hard: {pods: 1G}
  scopeSelector:
    matchExpressions:
    - {scopeName: PriorityClass, operator: In, values: [system-node-critical, system-cluster-critical]}
`
)

// startCluster starts one on this machine, and returns when its nodes are ready.
func startCluster(t *testing.T, o options) *cluster {
	t.Helper()
	o.nodes = max(o.nodes, 1)
	if o.domain == "" {
		o.domain = "cluster.local"
	}
	c := &cluster{options: o, dir: t.TempDir(), nodes: map[string]*node{}}
	c.kubeconfig = c.path("admin.kubeconfig")
	t.Cleanup(func() {
		for _, n := range c.nodes {
			n.kill()
		}
		for _, p := range c.running {
			p.Kill()
		}
	})
	t.Cleanup(func() {
		if t.Failed() {
			c.show(t)
		}
	})
	startUpstream(t)
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	for i := range o.nodes {
		c.addNode(t, i)
	}
	c.ready(t)
	return c
}

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }

// address is that of the machine, by which others know the control plane.
func (c *cluster) address() string { return c.pick(machineIP, machineIP6)[0] }

// server is the address of the API server.
func (c *cluster) server() string {
	if c.only6 {
		return "https://[" + machineIP6 + "]:6443"
	}
	return "https://" + machineIP + ":6443"
}

// start starts the control plane.
func (c *cluster) start() error {
	if err := credentials.WriteKey(c.path("service-account.key")); err != nil {
		return err
	}
	tokens := adminToken + `,admin,admin,"system:masters"` + "\n" +
		`controllers,system:kube-controller-manager,controllers,"system:masters"` + "\n" +
		`scheduler,system:kube-scheduler,scheduler,""` + "\n" +
		`proxy,system:kube-proxy,proxy,""` + "\n"
	for i := range c.options.nodes {
		tokens += fmt.Sprintf("%[1]s,system:node:%[1]s,%[1]s,\"system:nodes\"\n", nodeName(i))
	}
	if err := os.WriteFile(c.path("tokens.csv"), []byte(tokens), 0o600); err != nil {
		return err
	}
	const etcdURL, peers = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
	if err := c.run("etcd", "--name=node", "--data-dir="+c.path("etcd"), "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=node="+peers); err != nil {
		return err
	}
	var quotas []string
	if c.quotas {
		if err := os.WriteFile(c.path("admission.yaml"), []byte(limitedPriorities), 0o600); err != nil {
			return err
		}
		quotas = append(quotas, "--admission-control-config-file="+c.path("admission.yaml"))
	}
	if err := c.run("kube-apiserver", append(quotas, "--etcd-servers="+etcdURL, "--bind-address=::", "--advertise-address="+c.address(),
		"--cert-dir="+c.path("certificates"), "--token-auth-file="+c.path("tokens.csv"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+c.path("service-account.key"),
		"--service-account-signing-key-file="+c.path("service-account.key"),
		"--service-cluster-ip-range="+c.list(serviceCIDR, serviceCIDR6), "--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction", "--allow-privileged=true", "--kubelet-preferred-address-types=InternalIP")...); err != nil {
		return err
	}
	if err := c.connect(); err != nil {
		return err
	}
	for token, path := range map[string]string{"controllers": "controllers.kubeconfig", "scheduler": "scheduler.kubeconfig"} {
		if err := c.writeKubeconfig(c.path(path), token); err != nil {
			return err
		}
	}
	return errors.Join(
		c.run("kube-controller-manager", "--kubeconfig="+c.path("controllers.kubeconfig"), "--leader-elect=false",
			"--service-account-private-key-file="+c.path("service-account.key"), "--root-ca-file="+c.path("certificates/apiserver.crt"),
			"--flex-volume-plugin-dir="+c.path("flex"), "--allocate-node-cidrs=true", "--cluster-cidr="+c.list(clusterCIDR, clusterCIDR6),
			// A node that is gone is found to be gone in seconds rather than a minute.
			"--node-monitor-period=1s", "--node-monitor-grace-period=8s",
			"--controllers=*,-kube-apiserver-serving-clustertrustbundle-publisher-controller"),
		c.run("kube-scheduler", "--kubeconfig="+c.path("scheduler.kubeconfig"), "--leader-elect=false"),
	)
}

// run starts a program that goes on until the end.
func (c *cluster) run(name string, args ...string) error {
	p, err := process.Start(name, bin(name), nil, args...)
	if err == nil {
		c.running = append(c.running, p)
	}
	return err
}

// connect makes the client of the administrator, when the API server is ready.
func (c *cluster) connect() error {
	return process.Poll(patience, func() error {
		if c.admin == nil {
			if err := c.writeKubeconfig(c.kubeconfig, adminToken); err != nil {
				return err
			}
			config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
			if err != nil {
				return err
			}
			config.QPS, config.Burst, config.Timeout = 100, 200, patience
			if c.admin, err = kubernetes.NewForConfig(config); err != nil {
				return err
			}
		}
		return c.admin.Discovery().RESTClient().Get().AbsPath("/readyz").Do(background).Error()
	})
}

// writeKubeconfig writes the access of one with a token.
func (c *cluster) writeKubeconfig(path, token string) error {
	return credentials.WriteKubeconfig(path, c.server(), c.path("certificates/apiserver.crt"), token)
}

// show writes the ends of the logs.
func (c *cluster) show(t *testing.T) {
	t.Helper()
	for _, p := range c.running {
		t.Logf("the end of what %s wrote:\n%s", p.Name, p.Output.Lines(30))
	}
	for name, n := range c.nodes {
		t.Logf("the end of what %s wrote:\n%s", name, n.output.Lines(60))
	}
	for _, what := range []string{"get pods --all-namespaces --output=wide", "get events --all-namespaces --sort-by=.lastTimestamp",
		"--namespace=kube-system logs --selector=k8s-app=kube-dns --tail=20", "--namespace=ttlfloor logs deployment/ttlfloor-dns --tail=20"} {
		out, err := c.kubectl("", strings.Fields(what)...)
		t.Logf("%s: %v\n%s", what, err, out)
	}
}

// kubectl runs kubectl as the administrator and returns what it prints.
func (c *cluster) kubectl(stdin string, args ...string) (string, error) {
	cmd := exec.Command(bin("kubectl"), append([]string{"--cache-dir=" + c.path("kubectl")}, args...)...) // #nosec G204 -- from the code
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, &errs)
	}
	return out.String(), nil
}

// must is kubectl for what has to work, with its words in one.
func (c *cluster) must(t *testing.T, words string) string {
	t.Helper()
	out, err := c.kubectl("", strings.Fields(words)...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// apply applies manifests.
func (c *cluster) apply(t *testing.T, manifests string) {
	t.Helper()
	if _, err := c.kubectl(manifests, "apply", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// render is a kustomization with our image by the name that the nodes have it by.
func (c *cluster) render(t *testing.T, dir string) string {
	t.Helper()
	image, err := ourImage()
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(c.adapt(c.must(t, "kustomize "+dir)), "ghcr.io/ttlfloor/coredns:v0.1.0", image)
}

// adapt gives manifests the addresses and the domain of the cluster, as its user does.
func (c *cluster) adapt(manifests string) string {
	var pairs []string
	if c.only6 {
		pairs = append(pairs, "10.96.0.10", clusterDNS6, "10.96.0.53", standaloneIP6)
	}
	return strings.NewReplacer(append(pairs, "cluster.local", c.domain)...).Replace(manifests)
}

// eventually calls f until it returns nil, and fails with its last error.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	if err := process.Poll(patience, f); err != nil {
		t.Fatalf("after %v: %v", patience, err)
	}
}
