package deploy

import (
	"bytes"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/coredns/caddy/caddyfile"

	"sigs.k8s.io/yaml"
)

// values are those of the chart coredns/coredns that become a Corefile.
type values struct {
	Servers []struct {
		Zones []struct {
			Zone   string `json:"zone"`
			Scheme string `json:"scheme"`
		} `json:"zones"`
		Port    int `json:"port"`
		Plugins []struct {
			Name        string `json:"name"`
			Parameters  any    `json:"parameters"` // some charts' values have bare numbers
			ConfigBlock string `json:"configBlock"`
		} `json:"plugins"`
	} `json:"servers"`
}

// corefile stands for the template of the chart's ConfigMap. What it promises: a
// server block for each of servers, whose keys are scheme, zone and port, "." where
// there is no zone; in it a line for each plugin, with its parameters, and its
// configBlock in braces.
func (v values) corefile() string {
	var b strings.Builder
	for _, server := range v.Servers {
		port := ""
		if server.Port != 0 {
			port = ":" + strconv.Itoa(server.Port)
		}
		var keys []string
		for _, zone := range server.Zones {
			name := zone.Zone
			if name == "" {
				name = "."
			}
			keys = append(keys, zone.Scheme+name)
		}
		if len(keys) == 0 {
			keys = []string{"."}
		}
		b.WriteString(strings.Join(keys, " ") + port + " {\n") // the port is that of the last one
		for _, plugin := range server.Plugins {
			b.WriteString(plugin.Name)
			if plugin.Parameters != nil {
				b.WriteString(" " + toString(plugin.Parameters))
			}
			if plugin.ConfigBlock != "" {
				b.WriteString(" {\n" + plugin.ConfigBlock + "\n}")
			}
			b.WriteString("\n")
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func toString(parameters any) string {
	if n, ok := parameters.(float64); ok {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	s, _ := parameters.(string)
	return s
}

// block is a server block: its keys, and the lines of each directive by name.
// Directives of one name keep their order; that of the names means nothing.
type block struct {
	keys  []string
	lines map[string][][]string
}

// parsed returns the server blocks of a Corefile.
func parsed(t *testing.T, name, corefile string) []block {
	t.Helper()
	from, err := caddyfile.Parse(name, strings.NewReader(corefile), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, corefile)
	}
	var blocks []block
	for _, b := range from {
		in := block{lines: make(map[string][][]string)}
		for _, key := range b.Keys {
			in.keys = append(in.keys, strings.TrimPrefix(key, "dns://")) // the default
		}
		for directive, tokens := range b.Tokens {
			line := -1
			for _, token := range tokens {
				if lines := in.lines[directive]; token.Line != line {
					in.lines[directive] = append(lines, []string{token.Text})
				} else {
					lines[len(lines)-1] = append(lines[len(lines)-1], token.Text)
				}
				line = token.Line
			}
		}
		blocks = append(blocks, in)
	}
	return blocks
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tree returns a YAML file of one document.
func tree(t *testing.T, path string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(read(t, path), &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

// at returns what lies at a path of keys in a tree; a number picks from a list. It
// has to be there.
func at(t *testing.T, v any, path string) any {
	t.Helper()
	for key := range strings.SplitSeq(path, "/") {
		ok := false
		switch in := v.(type) {
		case map[string]any:
			v, ok = in[key]
		case []any:
			i, err := strconv.Atoi(key)
			if ok = err == nil && i < len(in); ok {
				v = in[i]
			}
		}
		if !ok {
			t.Fatalf("no %q of %s", key, path)
		}
	}
	return v
}

// TestHelm compares the values for the chart with the manifests.
func TestHelm(t *testing.T) {
	const path, base = "../../deploy/helm/values.yaml", "../../deploy/base/"
	var v values
	if err := yaml.Unmarshal(read(t, path), &v); err != nil {
		t.Fatal(err)
	}
	t.Run("Corefile", func(t *testing.T) {
		got, want := parsed(t, path, v.corefile()), parsed(t, "Corefile", string(read(t, base+"Corefile")))
		if len(want) == 0 || len(want[0].lines) < 10 {
			t.Fatalf("deploy/base/Corefile has %v", want)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the chart would make\n%v\nand deploy/base/Corefile is\n%v", got, want)
		}
	})

	helm := tree(t, path)
	deployment, pdb := tree(t, base+"deployment.yaml"), tree(t, base+"pdb.yaml")
	services := bytes.Split(read(t, base+"service.yaml"), []byte("\n---\n"))
	var service any
	if err := yaml.Unmarshal(services[0], &service); err != nil {
		t.Fatal(err)
	}
	const pod = "spec/template/spec/"
	for _, row := range []struct {
		helm string
		in   any
		path string
	}{
		{"deployment/name", deployment, "metadata/name"},
		{"deployment/selector", deployment, "spec/selector"},
		{"rollingUpdate", deployment, "spec/strategy/rollingUpdate"},
		{"service/name", service, "metadata/name"},
		{"service/clusterIP", service, "spec/clusterIP"},
		{"service/selector", service, "spec/selector"},
		{"serviceAccount/name", deployment, pod + "serviceAccountName"},
		{"priorityClassName", deployment, pod + "priorityClassName"},
		{"nodeSelector", deployment, pod + "nodeSelector"},
		{"tolerations", deployment, pod + "tolerations"},
		{"topologySpreadConstraints", deployment, pod + "topologySpreadConstraints"},
		{"podSecurityContext", deployment, pod + "securityContext"},
		{"image/repository", deployment, pod + "containers/0/image"},
		{"securityContext", deployment, pod + "containers/0/securityContext"},
		{"readinessProbe/periodSeconds", deployment, pod + "containers/0/readinessProbe/periodSeconds"},
		{"readinessProbe/timeoutSeconds", deployment, pod + "containers/0/readinessProbe/timeoutSeconds"},
		{"readinessProbe/successThreshold", deployment, pod + "containers/0/readinessProbe/successThreshold"},
		{"readinessProbe/failureThreshold", deployment, pod + "containers/0/readinessProbe/failureThreshold"},
		{"resources/requests", deployment, pod + "containers/0/resources/requests"},
		{"resources/limits/memory", deployment, pod + "containers/0/resources/limits/memory"},
		{"podDisruptionBudget", pdb, "spec"},
	} {
		t.Run(row.helm, func(t *testing.T) {
			if got, want := at(t, helm, row.helm), at(t, row.in, row.path); !reflect.DeepEqual(got, want) {
				t.Errorf("%v, and %s of deploy/base is %v", got, row.path, want)
			}
		})
	}
}

// TestImage has one name and tag of the image everywhere.
func TestImage(t *testing.T) {
	helm := tree(t, "../../deploy/helm/values.yaml")
	name, tag := at(t, helm, "image/repository"), at(t, helm, "image/tag")
	for _, dir := range []string{"base", "node-cache"} {
		kustomization := tree(t, "../../deploy/"+dir+"/kustomization.yaml")
		if got := at(t, kustomization, "images/0/name"); got != name {
			t.Errorf("%s: image %v, want %v", dir, got, name)
		}
		if got := at(t, kustomization, "images/0/newTag"); got != tag {
			t.Errorf("%s: tag %v, want %v", dir, got, tag)
		}
	}
	for i, doc := range bytes.Split(read(t, "../../deploy/node-cache/daemonset.yaml"), []byte("\n---\n")) {
		var v any
		if err := yaml.Unmarshal(doc, &v); err != nil {
			t.Fatal(err)
		}
		if i == 0 { // the ServiceAccount
			continue
		}
		for _, container := range []string{"containers/0", "initContainers/0"} {
			if got := at(t, v, "spec/template/spec/"+container+"/image"); got != name {
				t.Errorf("node-cache, %s: image %v, want %v", container, got, name)
			}
		}
	}
}
