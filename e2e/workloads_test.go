package e2e

import (
	"fmt"
	"net/netip"
	"strings"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What the control plane of Linkerd has in a cluster with two address families:
// headless services and their endpoints, which have no hostnames.
var mesh = []headless{
	{"linkerd", "linkerd-dst-headless", "grpc", 8086, endpoints("10.42.0.15", "10.42.1.7", "10.42.2.31", "fd00:10:42::f", "fd00:10:42:1::7", "fd00:10:42:2::1f")},
	{"linkerd", "linkerd-policy", "grpc", 8090, endpoints("10.42.0.15", "10.42.1.7", "10.42.2.31", "fd00:10:42::f", "fd00:10:42:1::7", "fd00:10:42:2::1f")},
	{"linkerd", "linkerd-identity-headless", "grpc", 8080, endpoints("10.42.0.16", "10.42.1.8", "fd00:10:42::10", "fd00:10:42:1::8")},
}

// db is what a StatefulSet has: endpoints with hostnames.
var db = headless{"shop", "db", "sql", 5432, []endpoint{{"10.42.3.1", "db-0"}, {"10.42.3.2", "db-1"}, {"fd00:10:42:3::1", "db-0"}, {"fd00:10:42:3::2", "db-1"}}}

type endpoint struct{ address, hostname string }

func endpoints(addresses ...string) []endpoint {
	all := make([]endpoint, len(addresses))
	for i, a := range addresses {
		all[i].address = a
	}
	return all
}

// headless is a headless service with one port.
type headless struct {
	namespace, name, portName string
	port                      int32
	endpoints                 []endpoint
}

// makeWorkloads makes what the tests ask for: the mesh, and services of a shop.
func makeWorkloads() error {
	for _, namespace := range []string{"linkerd", "shop"} {
		if err := makeNamespace(namespace); err != nil {
			return err
		}
	}
	for _, h := range append(mesh, db) {
		if err := h.make(); err != nil {
			return err
		}
	}
	dual := core.IPFamilyPolicyRequireDualStack
	for _, s := range []core.Service{
		{ObjectMeta: meta.ObjectMeta{Name: "web"}, Spec: core.ServiceSpec{IPFamilyPolicy: &dual, Ports: []core.ServicePort{{Name: "http", Port: 80}, {Name: "https", Port: 443}}}},
		{ObjectMeta: meta.ObjectMeta{Name: "outside"}, Spec: core.ServiceSpec{Type: core.ServiceTypeExternalName, ExternalName: "www.example.org"}},
	} {
		if _, err := plane.admin.CoreV1().Services("shop").Create(background, &s, meta.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func makeNamespace(name string) error {
	_, err := plane.admin.CoreV1().Namespaces().Create(background, &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: name}}, meta.CreateOptions{})
	return err
}

// make creates the service and a slice of its endpoints for each address family.
func (h headless) make() error {
	dual := core.IPFamilyPolicyRequireDualStack
	_, err := plane.admin.CoreV1().Services(h.namespace).Create(background, &core.Service{
		ObjectMeta: meta.ObjectMeta{Name: h.name},
		Spec: core.ServiceSpec{ClusterIP: core.ClusterIPNone, IPFamilyPolicy: &dual, Selector: map[string]string{"app": h.name},
			Ports: []core.ServicePort{{Name: h.portName, Port: h.port}}},
	}, meta.CreateOptions{})
	if err != nil {
		return err
	}
	for _, family := range []discovery.AddressType{discovery.AddressTypeIPv4, discovery.AddressTypeIPv6} {
		if _, err := plane.admin.DiscoveryV1().EndpointSlices(h.namespace).Create(background, h.slice(family), meta.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// update writes the endpoints anew, as the controller of the control plane does.
func (h headless) update() error {
	for _, family := range []discovery.AddressType{discovery.AddressTypeIPv4, discovery.AddressTypeIPv6} {
		if _, err := plane.admin.DiscoveryV1().EndpointSlices(h.namespace).Update(background, h.slice(family), meta.UpdateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func (h headless) slice(family discovery.AddressType) *discovery.EndpointSlice {
	tcp, yes := core.ProtocolTCP, true
	s := &discovery.EndpointSlice{
		ObjectMeta:  meta.ObjectMeta{Name: h.name + "-" + strings.ToLower(string(family)), Labels: map[string]string{discovery.LabelServiceName: h.name}},
		AddressType: family,
		Endpoints:   []discovery.Endpoint{},
		Ports:       []discovery.EndpointPort{{Name: &h.portName, Port: &h.port, Protocol: &tcp}},
	}
	for _, e := range h.endpoints {
		if netip.MustParseAddr(e.address).Is4() != (family == discovery.AddressTypeIPv4) {
			continue
		}
		end := discovery.Endpoint{Addresses: []string{e.address}, Conditions: discovery.EndpointConditions{Ready: &yes}}
		if e.hostname != "" {
			end.Hostname = &e.hostname
		}
		s.Endpoints = append(s.Endpoints, end)
	}
	return s
}

// fqdn is the name of the service in DNS.
func (h headless) fqdn() string { return h.name + "." + h.namespace + ".svc.cluster.local." }

// target is the name of an endpoint in DNS.
func (h headless) target(e endpoint) string {
	label := e.hostname
	if label == "" {
		label = strings.NewReplacer(".", "-", ":", "-").Replace(e.address)
	}
	return label + "." + h.fqdn()
}

// weight is what the plugin kubernetes gives each of n targets.
func weight(n int) int { return max(1, 100/n) }

// srv is the RDATA of an endpoint's SRV record.
func (h headless) srv(e endpoint) string {
	return fmt.Sprintf("0 %d %d %s", weight(len(h.endpoints)), h.port, h.target(e))
}
