// Package credentials writes what lets the parts of a cluster know each other.
package credentials

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
)

// WriteKey writes the key that tokens of ServiceAccounts are signed with, in PEM.
func WriteKey(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

// WriteKubeconfig writes the access of one with a token to an API server, whose certificate has
// its authority behind it. It is an error if the server has not written both yet: with no
// authority a client has those of the system.
func WriteKubeconfig(path, server, certificate, token string) error {
	ca, err := os.ReadFile(certificate) // #nosec G304 -- of the test
	if err != nil {
		return err
	}
	if known, err := cert.ParseCertsPEM(ca); len(known) < 2 {
		return errors.Join(fmt.Errorf("%s has %d certificates, want the server's and its authority's", certificate, len(known)), err)
	}
	return clientcmd.WriteToFile(api.Config{
		Clusters:       map[string]*api.Cluster{"test": {Server: server, CertificateAuthorityData: ca}},
		AuthInfos:      map[string]*api.AuthInfo{"test": {Token: token}},
		Contexts:       map[string]*api.Context{"test": {Cluster: "test", AuthInfo: "test"}},
		CurrentContext: "test",
	}, path)
}
