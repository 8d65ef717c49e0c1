package main

import (
	"errors"
	"io"
	"maps"
	"path"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// manifest is the parts of a Kubernetes object, or of a kustomization, that the tests read. .ci/deploy checks the rest.
type manifest struct {
	Kind               string
	Resources          []string
	ConfigMapGenerator []struct{ Literals []string } `yaml:"configMapGenerator"`
	Spec               struct {
		Ports []struct { // of a service
			TargetPort string `yaml:"targetPort"`
		}
		Template struct {
			Metadata struct{ Annotations map[string]string }
			Spec     pod
		}
	}
}

type pod struct {
	GraceSeconds int `yaml:"terminationGracePeriodSeconds"`
	Containers   []struct {
		Args  []string
		Ports []struct {
			Name          string
			ContainerPort string `yaml:"containerPort"`
		}
		Resources struct{ Limits map[string]string }
		Lifecycle struct {
			PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
		}
		Startup      probe `yaml:"startupProbe"`
		Liveness     probe `yaml:"livenessProbe"`
		Readiness    probe `yaml:"readinessProbe"`
		VolumeMounts []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
		} `yaml:"volumeMounts"`
	}
	Volumes []struct {
		Name      string
		Projected struct {
			Sources []struct {
				Secret struct{ Items []struct{ Path string } }
			}
		}
	}
}

type probe struct {
	Get struct{ Path, Port string } `yaml:"httpGet"`
}

// deployed is what an overlay in deploy/kubernetes deploys.
type deployed struct {
	settings map[string]string
	pod      pod
	scraped  map[string]string // the annotations for Prometheus
	served   []string          // the ports of all services
}

// readDeployed follows the resources of an overlay.
func readDeployed(t *testing.T, folder string) deployed {
	t.Helper()
	d := deployed{settings: map[string]string{}}
	for _, k := range readManifests(t, path.Join(folder, "kustomization.yaml")) {
		for _, resource := range k.Resources {
			if path.Ext(resource) != "" {
				d.add(readManifests(t, path.Join(folder, resource)))
				continue
			}
			under := readDeployed(t, path.Join(folder, resource))
			maps.Copy(d.settings, under.settings)
			d.served = append(d.served, under.served...)
			if under.pod.Containers != nil {
				d.pod, d.scraped = under.pod, under.scraped
			}
		}
		for _, generated := range k.ConfigMapGenerator {
			for _, literal := range generated.Literals {
				name, value, _ := strings.Cut(literal, "=")
				d.settings[name] = value
			}
		}
	}
	return d
}

func (d *deployed) add(objects []manifest) {
	for _, object := range objects {
		switch object.Kind {
		case "Service":
			for _, port := range object.Spec.Ports {
				d.served = append(d.served, port.TargetPort)
			}
		case "Deployment", "StatefulSet":
			d.pod, d.scraped = object.Spec.Template.Spec, object.Spec.Template.Metadata.Annotations
		}
	}
}

func readManifests(t *testing.T, name string) (objects []manifest) {
	t.Helper()
	for decoder := yaml.NewDecoder(strings.NewReader(readPage(t, name))); ; {
		var object manifest
		switch err := decoder.Decode(&object); {
		case errors.Is(err, io.EOF):
			return objects
		case err != nil:
			t.Fatalf("%s: %v", name, err)
		}
		objects = append(objects, object)
	}
}

// imageSettings are the settings that the Dockerfile makes.
func imageSettings(t *testing.T) map[string]string {
	t.Helper()
	settings := map[string]string{}
	for _, match := range regexp.MustCompile(`(GIGAGATE_[A-Z_]+)=(\S+)`).FindAllStringSubmatch(
		regexp.MustCompile(`(?s)\nENV .*?[^\\]\n`).FindString(readPage(t, "Dockerfile")), -1) {
		settings[match[1]] = match[2]
	}
	if len(settings) < 4 {
		t.Fatalf("the Dockerfile sets %v", settings)
	}
	return settings
}
