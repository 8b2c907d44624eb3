package credentials

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/util/cert"
)

// TestWriteKubeconfig reads a certificate while an API server writes it.
func TestWriteKubeconfig(t *testing.T) {
	whole, _, err := cert.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	half := bytes.Index(whole[1:], []byte("-----BEGIN")) + 1
	for _, tt := range []struct {
		name string
		text []byte
		ok   bool
	}{
		{"nothing of it", nil, false},
		{"the server's alone", whole[:half], false},
		{"a part of its authority's", whole[:half+100], false},
		{"all of it", whole, true},
	} {
		dir := t.TempDir()
		path, certificate := filepath.Join(dir, "kubeconfig"), filepath.Join(dir, "server.crt")
		if err := os.WriteFile(certificate, tt.text, 0o600); err != nil {
			t.Fatal(err)
		}
		err := WriteKubeconfig(path, "https://127.0.0.1:6443", certificate, "token")
		if _, none := os.Stat(path); (err == nil) != tt.ok || (none == nil) != tt.ok {
			t.Errorf("with %s: %v, and the file: %v", tt.name, err, none)
		}
	}
}
