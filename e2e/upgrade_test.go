package e2e

import (
	"io"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	kubeadmapi "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/constants"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/addons/dns"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/upgrade"
)

// TestUpgrade has kubeadm's own code upgrade a cluster with deploy/base: what its preflight
// says, and what its phase for CoreDNS leaves of ours. docs/platforms.md says what to set.
func TestUpgrade(t *testing.T) {
	const ours = "ghcr.io/ttlfloor/coredns"
	const target = constants.CoreDNSVersion
	all := sets.New("corednsunsupportedplugins", "corednsmigration")
	for _, tt := range []struct {
		name      string
		image     string // that is installed
		set       kubeadmapi.ImageMeta
		preflight bool   // passes
		phase     string // its error
		want      string // the image afterwards
	}{
		{"our tag", ours + ":v0.1.0", kubeadmapi.ImageMeta{}, false, "start version '0.1.0' not supported", ours + ":v0.1.0"},
		{"our tag, and our image set", ours + ":v0.1.0", kubeadmapi.ImageMeta{ImageRepository: "ghcr.io/ttlfloor", ImageTag: "v0.1.0"},
			false, "start version '0.1.0' not supported", ours + ":v0.1.0"},
		{"a tag of an older CoreDNS", ours + ":v1.13.1", kubeadmapi.ImageMeta{}, false, "", "registry.k8s.io/coredns/coredns:" + target},
		{"the tag that kubeadm has", ours + ":" + target, kubeadmapi.ImageMeta{}, true, "", "registry.k8s.io/coredns/coredns:" + target},
		{"the tag that kubeadm has, and our image set", ours + ":" + target, kubeadmapi.ImageMeta{ImageRepository: "ghcr.io/ttlfloor", ImageTag: target},
			true, "", ours + ":" + target},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reinstall(t)
			t.Cleanup(func() { reinstall(t) })
			mustKubectl(t, "", "--namespace=kube-system", "set", "image", "deployment/coredns", "coredns="+tt.image)
			corefile := deployment(t).corefile(t)

			if err := upgrade.RunCoreDNSMigrationCheck(plane.admin, nil); (err == nil) != tt.preflight {
				t.Errorf("the preflight says %v, want that it passes: %t", err, tt.preflight)
			}
			if err := upgrade.RunCoreDNSMigrationCheck(plane.admin, all); err != nil {
				t.Errorf("the preflight says %v, and was told to ignore that", err)
			}
			err := dns.EnsureDNSAddon(&kubeadmapi.ClusterConfiguration{
				ImageRepository: "registry.k8s.io", DNS: kubeadmapi.DNS{ImageMeta: tt.set},
				Networking: kubeadmapi.Networking{DNSDomain: "cluster.local", ServiceSubnet: "10.96.0.0/16"},
			}, plane.admin, "", io.Discard, false)
			switch {
			case tt.phase == "" && err != nil:
				t.Errorf("the phase fails: %v", err)
			case tt.phase != "" && (err == nil || !strings.Contains(err.Error(), tt.phase)):
				t.Errorf("the phase says %v, want %s", err, tt.phase)
			}
			if got := theDeployment(t).Spec.Template.Spec.Containers[0].Image; got != tt.want {
				t.Errorf("the image is %s, want %s", got, tt.want)
			}
			if got := deployment(t).corefile(t); got != corefile {
				t.Errorf("the Corefile is\n%s\nwant it as it was", got)
			}
		})
	}
}
