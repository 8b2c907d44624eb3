package node

import (
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// TestOverlays runs the overlays on a node.
func TestOverlays(t *testing.T) {
	onMachine(t, options{}, func(c *cluster) {
		c.apply(t, mesh)
		c.services(t, 0)
		for _, tt := range []struct {
			dir       string
			low, high uint32 // of an address of a mesh
		}{{"consul", 30, 30}, {"istio", 33, 45}} {
			t.Run(tt.dir, func(t *testing.T) {
				c.apply(t, c.render(t, "../../deploy/overlays/"+tt.dir))
				c.must(t, "--namespace=kube-system rollout restart deployment/coredns")
				c.must(t, coredns)
				served(t, clusterDNS, meshName, dns.TypeA, tt.low, tt.high)
			})
		}
	})
}

// TestNodeCache runs deploy/node-cache, and pods ask it.
func TestNodeCache(t *testing.T) {
	const address = "169.254.20.10"
	onMachine(t, options{dns: []string{address}}, func(c *cluster) {
		c.stock(t)
		c.apply(t, mesh)
		// The system that this was written on has no interfaces of the kind "dummy".
		manifests := regexp.MustCompile(`(?m)^( *- )-name$`).ReplaceAllString(c.render(t, "../../deploy/node-cache"), "$1-kind\n${1}bridge\n$1-name")
		if !strings.Contains(manifests, "- bridge\n") {
			t.Fatal("the interface is not made by nodeif")
		}
		c.apply(t, manifests)
		const ready = "--namespace=kube-system rollout status daemonset/node-local-dns --timeout=4m"
		c.must(t, ready)
		l := c.startClients(t, "shop", "", goAndLibc)
		for pod, s := range l.listen(t) {
			if !strings.Contains(s.Resolv, "nameserver "+address+"\n") {
				t.Errorf("%s has\n%s", pod, s.Resolv)
			}
		}
		l.during(t, "restart", many, func() {
			c.must(t, "--namespace=kube-system rollout restart daemonset/node-local-dns")
			c.must(t, ready)
		})
	})
}

// TestDualStack runs base and standalone where pods have addresses of both families.
func TestDualStack(t *testing.T) {
	onMachine(t, options{ipv6: true, dns: []string{clusterDNS}}, func(c *cluster) {
		c.apply(t, mesh)
		c.apply(t, c.render(t, "../../deploy/base"))
		c.must(t, coredns)
		c.services(t, 0)
		served(t, clusterDNS, meshName, dns.TypeA, 33, 45)
		served(t, clusterDNS, meshName, dns.TypeAAAA, 33, 45)
		c.standalone(t, standaloneIP)
	})
}

// TestIPv6 runs them where there is no IPv4, and in another domain.
func TestIPv6(t *testing.T) {
	onMachine(t, options{only6: true, domain: "example.internal"}, func(c *cluster) {
		c.apply(t, mesh)
		c.apply(t, c.render(t, "../../deploy/base"))
		c.must(t, coredns)
		c.services(t, 0)
		served(t, clusterDNS6, c.in(meshName), dns.TypeAAAA, 33, 45)
		c.standalone(t, standaloneIP6)
	})
}

// standalone installs deploy/standalone, and has pods ask it.
func (c *cluster) standalone(t *testing.T, address string) {
	t.Helper()
	c.apply(t, c.render(t, "../../deploy/standalone"))
	c.must(t, standaloneReady)
	served(t, address, c.in(meshName), dns.TypeAAAA, 33, 45)
	l := c.startClients(t, "shop", "linkerd.io/inject: enabled", goAndLibc)
	c.selected(t, true, "shop")
	l.again(t)
	for pod, s := range l.listen(t) {
		if !strings.Contains(s.Resolv, "nameserver "+address+"\n") || !strings.Contains(s.Resolv, "search shop.svc."+c.domain+" svc."+c.domain+" "+c.domain+"\n") {
			t.Errorf("%s has\n%s", pod, s.Resolv)
		}
	}
	l.orderly(t, "standalone", many, func() {
		c.must(t, "--namespace=ttlfloor rollout restart deployment/ttlfloor-dns")
		c.must(t, standaloneReady)
	})
}

// TestTwoNodes has deploy/base lose nodes: one that is drained, and one whose power fails.
func TestTwoNodes(t *testing.T) {
	onMachine(t, options{nodes: 2}, func(c *cluster) {
		c.apply(t, mesh)
		c.apply(t, c.render(t, "../../deploy/base"))
		c.must(t, "--namespace=kube-system scale deployment/coredns --replicas=2")
		c.must(t, coredns)
		l := c.startClients(t, "shop", "", goAndLibc)
		t.Run("drained", func(t *testing.T) {
			l.orderly(t, "drained", many, func() {
				c.must(t, "drain node-2 --ignore-daemonsets --timeout=3m")
				c.must(t, coredns)
			})
			l.orderly(t, "drained, the next one", many, func() {
				c.must(t, "uncordon node-2")
				c.must(t, "drain node-1 --ignore-daemonsets --timeout=3m")
				c.must(t, "uncordon node-1")
				c.must(t, coredns)
			})
		})
		t.Run("without power", func(t *testing.T) {
			c.must(t, "--namespace=kube-system rollout restart deployment/coredns") // one on each again
			c.must(t, coredns)
			c.powerFails(t, l, "node-2")
		})
	})
}
