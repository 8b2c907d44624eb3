package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// archive is what "make image" writes.
const archive = "../../bin/image/coredns.tar"

// descriptor is that of the OCI image specification.
type descriptor struct {
	MediaType   string
	Digest      string
	Size        int64
	Platform    struct{ Architecture, OS string }
	Annotations map[string]string
}

// platform is the image of one architecture.
type platform struct {
	Architecture, OS string
	Created          string
	Config           struct {
		User                             string
		ExposedPorts, Volumes            map[string]struct{}
		Env, Entrypoint, Cmd, WorkingDir any
		Labels                           map[string]string
	}

	packed int64    // octets of the layers as they are pulled
	layers [][]byte // unpacked
}

// open returns the images in the archive by their architecture, and the name under
// which a node imports them.
func open(t *testing.T) (images map[string]*platform, name string) {
	t.Helper()
	f, err := os.Open(archive)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("needs the image: run make image, which takes buildah of the Debian package buildah")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	blobs := make(map[string][]byte)
	for _, file := range untar(t, f) {
		blobs[file.Name] = file.content
	}

	var index struct{ Manifests []descriptor }
	decode(t, blobs["index.json"], &index)
	if len(index.Manifests) != 1 {
		t.Fatalf("%d images in the archive, want one for all architectures", len(index.Manifests))
	}
	name = index.Manifests[0].Annotations["org.opencontainers.image.ref.name"]

	images = make(map[string]*platform)
	var walk func(content []byte)
	walk = func(content []byte) {
		var index struct{ Manifests []descriptor }
		decode(t, content, &index)
		for _, d := range index.Manifests {
			if strings.Contains(d.MediaType, "index") {
				walk(blob(t, blobs, d))
				continue
			}
			p := image(t, blobs, d)
			if p.Architecture != d.Platform.Architecture || p.OS != d.Platform.OS {
				t.Errorf("the index says %+v, the image %s/%s", d.Platform, p.OS, p.Architecture)
			}
			images[p.Architecture] = p
		}
	}
	walk(blobs["index.json"])
	return images, name
}

func image(t *testing.T, blobs map[string][]byte, d descriptor) *platform {
	t.Helper()
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	decode(t, blob(t, blobs, d), &manifest)
	var p platform
	decode(t, blob(t, blobs, manifest.Config), &p)
	for _, layer := range manifest.Layers {
		r, err := gzip.NewReader(bytes.NewReader(blob(t, blobs, layer)))
		if err != nil {
			t.Fatal(err)
		}
		unpacked, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		p.packed += layer.Size
		p.layers = append(p.layers, unpacked)
	}
	return &p
}

// blob returns what a descriptor is about, if it is that.
func blob(t *testing.T, blobs map[string][]byte, d descriptor) []byte {
	t.Helper()
	b := blobs["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
	sum := sha256.Sum256(b)
	if d.Digest != "sha256:"+hex.EncodeToString(sum[:]) || d.Size != int64(len(b)) {
		t.Fatalf("the blob of %+v has %d octets and another digest", d, len(b))
	}
	return b
}

func decode(t *testing.T, content []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(content, v); err != nil {
		t.Fatalf("%v in %.80q", err, content)
	}
}

// entry is a file of a tar archive.
type entry struct {
	*tar.Header
	content []byte
}

func untar(t *testing.T, r io.Reader) []entry {
	t.Helper()
	var entries []entry
	for files := tar.NewReader(r); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry{header, content})
	}
}
