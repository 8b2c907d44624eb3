package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// The programs, in the directory for what is built. They stay there, so that
// building them again takes no time.
var (
	etcdProgram      = program("etcd")
	apiServerProgram = program("kube-apiserver")
	kubectlProgram   = program("kubectl")
	coreDNSProgram   = program("coredns")       // with ttlfloor
	stockProgram     = program("coredns-stock") // the same version as its project has it
	stormProgram     = program("ttlstorm")
)

func program(name string) string {
	path, err := filepath.Abs(filepath.Join("..", "bin", "e2e", name))
	if err != nil {
		panic(err)
	}
	return path
}

// build builds the programs. Those of Kubernetes have the versions of this
// module, and both CoreDNS those of the plugin's.
func build() error {
	for _, b := range []struct{ dir, out, pkg string }{
		{".", etcdProgram, "go.etcd.io/etcd/server/v3"},
		{".", apiServerProgram, "k8s.io/kubernetes/cmd/kube-apiserver"},
		{".", kubectlProgram, "k8s.io/kubernetes/cmd/kubectl"},
		{"..", coreDNSProgram, "./cmd/coredns"},
		{"..", stockProgram, "github.com/coredns/coredns"},
		{"../cmd/ttlstorm", stormProgram, "."},
	} {
		cmd := exec.Command("go", "build", "-o", b.out, b.pkg)
		cmd.Dir, cmd.Stderr = b.dir, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("building %s: %w", b.pkg, err)
		}
	}
	return nil
}
