package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ttlfloor/ttlfloor/e2e/internal/credentials"
	"github.com/ttlfloor/ttlfloor/e2e/internal/process"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// plane is the control plane of the whole package.
var plane *controlPlane

// controlPlane is etcd and kube-apiserver on loopback.
type controlPlane struct {
	dir        string
	etcd, api  *process.Process
	etcdURL    string
	port       int
	kubeconfig string // of the administrator
	admin      *kubernetes.Clientset
}

const adminToken = "administrator"

// startControlPlane starts one that keeps everything in dir.
func startControlPlane(dir string) (*controlPlane, error) {
	c := &controlPlane{dir: dir, port: freePort(), kubeconfig: filepath.Join(dir, "admin.kubeconfig")}
	if err := credentials.WriteKey(c.path("service-account.key")); err != nil {
		return nil, err
	}
	if err := os.WriteFile(c.path("tokens.csv"), []byte(adminToken+`,admin,admin,"system:masters"`+"\n"), 0o600); err != nil {
		return nil, err
	}
	c.etcdURL = "http://" + local(freePort())
	peers := "http://" + local(freePort())
	var err error
	c.etcd, err = process.Start("etcd", etcdProgram, nil, "--name=e2e", "--data-dir="+c.path("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+c.etcdURL, "--advertise-client-urls="+c.etcdURL,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=e2e="+peers)
	if err != nil {
		return nil, err
	}
	if err := c.startAPI(); err != nil {
		return c, err
	}
	return c, nil
}

func (c *controlPlane) path(name string) string { return filepath.Join(c.dir, name) }

// startAPI starts the API server and returns when it is ready. Started again, it
// has the port, the certificate and the keys that it had.
func (c *controlPlane) startAPI() error {
	var err error
	c.api, err = process.Start("kube-apiserver", apiServerProgram, nil,
		"--etcd-servers="+c.etcdURL,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", c.port), "--cert-dir="+c.path("certificates"),
		"--endpoint-reconciler-type=none",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+c.path("service-account.key"),
		"--service-account-signing-key-file="+c.path("service-account.key"),
		"--token-auth-file="+c.path("tokens.csv"), "--authorization-mode=RBAC",
		"--disable-admission-plugins=ServiceAccount",
		"--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112")
	if err != nil {
		return err
	}
	return process.Poll(patience, func() error {
		if c.api.Exited() {
			return errors.New("kube-apiserver has exited")
		}
		if c.admin == nil {
			if err := c.connect(); err != nil {
				return err
			}
		}
		return c.admin.Discovery().RESTClient().Get().AbsPath("/readyz").Do(background).Error()
	})
}

// connect makes the client of the administrator, as soon as the API server has
// written its certificate.
func (c *controlPlane) connect() error {
	if err := c.writeKubeconfig(c.kubeconfig, c.port, adminToken); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst, config.Timeout = 100, 200, patience
	c.admin, err = kubernetes.NewForConfig(config)
	return err
}

// writeKubeconfig writes the access of one with a token, at a port of loopback.
func (c *controlPlane) writeKubeconfig(path string, port int, token string) error {
	return credentials.WriteKubeconfig(path, "https://"+local(port), c.path("certificates/apiserver.crt"), token)
}

// stop ends both.
func (c *controlPlane) stop() {
	for _, p := range []*process.Process{c.api, c.etcd} {
		if p != nil {
			p.Kill()
		}
	}
}

// show writes the ends of their logs.
func (c *controlPlane) show() {
	for _, p := range []*process.Process{c.etcd, c.api} {
		if p != nil {
			fmt.Fprintf(os.Stderr, "the end of what %s wrote:\n%s\n", p.Name, p.Output.Lines(40))
		}
	}
}
