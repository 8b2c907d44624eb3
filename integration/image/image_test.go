// Package image tests the image that "make image" writes: what is in it, and
// that it runs as a container runtime would run it.
package image

import (
	"archive/tar"
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// limit is what the files of an image may take at most, in octets.
const limit = 90e6

// files are all that an image has, with their modes.
var files = map[string]int64{
	"coredns":          0o555,
	"nodeif":           0o555,
	"LICENSE":          0o444,
	"coredns.cdx.json": 0o444,
}

// TestImage looks at the image of each architecture.
func TestImage(t *testing.T) {
	images, name := open(t)
	if got := slices.Sorted(maps.Keys(images)); !slices.Equal(got, []string{"amd64", "arm64"}) {
		t.Errorf("the image is for %q, want amd64 and arm64", got)
	}
	repository, tag, _ := strings.Cut(name, ":")
	manifest, err := os.ReadFile("../../deploy/base/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if repository == "" || !strings.Contains(string(manifest), "image: "+repository+"\n") {
		t.Errorf("the archive names its image %q, want the one of deploy/base/deployment.yaml with a tag", name)
	}
	for arch, p := range images {
		if version := p.Config.Labels["org.opencontainers.image.version"]; strings.TrimPrefix(tag, "v") != version {
			t.Errorf("the archive names its image %q, which is version %q", name, version)
		}
		t.Run(arch, func(t *testing.T) {
			t.Run("config", p.testConfig)
			t.Run("files", p.testFiles)
			t.Run("coredns", program{p, "coredns"}.test)
			t.Run("nodeif", program{p, "nodeif"}.test)
			t.Run("roots", p.testRoots)
			t.Run("SBOM", p.testSBOM)
		})
	}
}

func (p *platform) testConfig(t *testing.T) {
	if !regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`).MatchString(p.Config.User) {
		t.Errorf("the user is %q, want one in numbers that is not root", p.Config.User)
	}
	if got, ok := p.Config.Entrypoint.([]any); !ok || len(got) != 1 || got[0] != "/coredns" {
		t.Errorf("the entry point is %q", p.Config.Entrypoint)
	}
	if p.Config.Cmd != nil || p.Config.Volumes != nil {
		t.Errorf("got command %q and volumes %q, want none", p.Config.Cmd, p.Config.Volumes)
	}
	if got := slices.Sorted(maps.Keys(p.Config.ExposedPorts)); !slices.Equal(got, []string{"53/tcp", "53/udp"}) {
		t.Errorf("the ports are %q", got)
	}
	for label, want := range map[string]string{
		"title":         `^coredns-ttlfloor$`,
		"description":   `ttlfloor`,
		"licenses":      `^Apache-2\.0$`,
		"source":        `^https://`,
		"documentation": `^https://`,
		"version":       `^[0-9a-f]`,
		"revision":      `^[0-9a-f]{40}$`,
		"created":       `^20[0-9T:-]{17}Z$`,
	} {
		if got := p.Config.Labels["org.opencontainers.image."+label]; !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("the label %s is %q, want it like %s", label, got, want)
		}
	}
	if got := p.Config.Labels["org.opencontainers.image.created"]; got != p.Created {
		t.Errorf("the label says that it was created at %s, the image %s", got, p.Created)
	}
}

// testFiles has every file there is, and when and whose it is.
func (p *platform) testFiles(t *testing.T) {
	created, err := time.Parse(time.RFC3339, p.Created)
	if err != nil {
		t.Fatal(err)
	}
	seen, size := make(map[string]int64), 0
	for _, layer := range p.layers {
		for _, f := range untar(t, bytes.NewReader(layer)) {
			seen[f.Name] = f.Mode & 0o7777
			size += len(f.content)
			if f.Typeflag != tar.TypeReg || f.Uid != 0 || f.Gid != 0 || !f.ModTime.Equal(created) {
				t.Errorf("%s is of type %c, of %d:%d, of %v; want a file of root's of %v",
					f.Name, f.Typeflag, f.Uid, f.Gid, f.ModTime, created)
			}
		}
	}
	if !maps.Equal(seen, files) {
		t.Errorf("the files and their modes are %v, want %v", seen, files)
	}
	if size >= limit {
		t.Errorf("%d octets, want less than %d", size, int(limit))
	}
	t.Logf("%.1f MB, %.1f MB to pull", float64(size)/1e6, float64(p.packed)/1e6)
}

// file returns a file of the image.
func (p *platform) file(t *testing.T, name string) []byte {
	t.Helper()
	for _, layer := range p.layers {
		for _, f := range untar(t, bytes.NewReader(layer)) {
			if f.Name == name {
				return f.content
			}
		}
	}
	t.Fatalf("no %s in the image", name)
	return nil
}

// program is one of the files that run.
type program struct {
	*platform
	name string
}

func (p program) test(t *testing.T) {
	content := p.file(t, p.name)
	binary := bytes.NewReader(content)
	f, err := elf.NewFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[p.Architecture]; f.Machine != want {
		t.Errorf("it is for %v, want %v", f.Machine, want)
	}
	for _, prog := range f.Progs {
		if prog.Type == elf.PT_INTERP || prog.Type == elf.PT_DYNAMIC {
			t.Error("it is linked with libraries, of which the image has none")
		}
	}
	info, err := buildinfo.Read(binary)
	if err != nil {
		t.Fatal(err)
	}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	for key, want := range map[string]string{"CGO_ENABLED": "0", "-trimpath": "true", "GOARCH": p.Architecture} {
		if settings[key] != want {
			t.Errorf("it was built with %s=%q, want %q", key, settings[key], want)
		}
	}
	if wd, err := os.Getwd(); err != nil || bytes.Contains(content, []byte(strings.TrimSuffix(wd, "/integration/image")+"/")) {
		t.Errorf("it has the directory that it was built in (%v)", err)
	}
}

// testRoots looks whether the module of root certificates is linked in: its
// import is all that it takes for crypto/x509 to use them where the system has
// none, and the image has none.
func (p *platform) testRoots(t *testing.T) {
	if mods := p.modules(t); mods["golang.org/x/crypto/x509roots/fallback"] == "" {
		t.Errorf("no root certificates among %d modules", len(mods))
	}
}

// modules returns the versions of the modules that coredns is made of.
func (p *platform) modules(t *testing.T) map[string]string {
	t.Helper()
	info, err := buildinfo.Read(bytes.NewReader(p.file(t, "coredns")))
	if err != nil {
		t.Fatal(err)
	}
	mods := make(map[string]string)
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		mods[dep.Path] = dep.Version
	}
	return mods
}

// testSBOM compares the list of modules with those in the binary.
func (p *platform) testSBOM(t *testing.T) {
	type component struct{ Name, Version, PURL string }
	var sbom struct {
		BOMFormat  string
		Metadata   struct{ Component component }
		Components []component
	}
	decode(t, p.file(t, "coredns.cdx.json"), &sbom)
	if sbom.BOMFormat != "CycloneDX" || sbom.Metadata.Component.Name != "github.com/ttlfloor/ttlfloor" {
		t.Errorf("it is a %q of %q", sbom.BOMFormat, sbom.Metadata.Component.Name)
	}
	if got, want := sbom.Metadata.Component.Version, p.Config.Labels["org.opencontainers.image.version"]; got != want {
		t.Errorf("it is for version %q, the image %q", got, want)
	}
	listed := make(map[string]string)
	for _, c := range sbom.Components {
		listed[c.Name] = c.Version
	}
	if listed["std"] == "" {
		t.Error("the standard library is not listed")
	}
	delete(listed, "std")
	if built := p.modules(t); !maps.Equal(listed, built) {
		t.Errorf("%d modules are listed, %d are in the binary, and they differ", len(listed), len(built))
	}
}
