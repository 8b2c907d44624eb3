// Package node has the tests on real nodes of Kubernetes: kubelet, containerd, CNI and
// kube-proxy, with the whole control plane, in namespaces of each test's own. No address of
// theirs is known outside, and nothing of them is left when the test ends or is killed.
//
// A test runs its own program three times over: as it was started, as the machine, and as
// each node. The machine has a network, in which the control plane and a bridge are. Nodes
// have a network, mounts and processes of their own, and hang on the bridge by a cable.
//
// It needs Linux, root, and of Debian containerd, runc, containernetworking-plugins,
// nftables, iproute2 and musl-tools.
package node
