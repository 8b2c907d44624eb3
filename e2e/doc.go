// Package e2e has the tests of CoreDNS with ttlfloor in front of a real
// Kubernetes control plane: etcd and kube-apiserver, built from their modules and
// started on loopback, to which the manifests in deploy are applied as an
// administrator applies them. There is no kubelet and no controller: the tests
// stand in for them, start CoreDNS as the Deployment says, with the rights of its
// ServiceAccount, and lay out its ConfigMap as the kubelet does.
//
// It is a module of its own, so that Kubernetes is no requirement of the plugin.
package e2e
