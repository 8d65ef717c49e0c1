package main

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// composeFile has the parts of compose.yaml that the tests check. The container engine checks the rest.
type composeFile struct {
	Services map[string]struct {
		Image       string
		Environment map[string]*string
		Ports       []string
		Volumes     []string
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
		Healthcheck any
	}
	Volumes map[string]any
}

// collectorFile is a configuration of the OpenTelemetry collector.
type collectorFile struct {
	Receivers, Processors, Exporters map[string]any
	Service                          struct {
		Pipelines map[string]struct{ Receivers, Processors, Exporters []string }
	}
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, name))
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// TestComposeFits checks that compose.yaml fits what it starts: the gateway's settings, the volumes and the dependencies.
func TestComposeFits(t *testing.T) {
	t.Parallel()
	var compose composeFile
	readYAML(t, "compose.yaml", &compose)
	_, variables := settings(t)
	for name, service := range compose.Services {
		if _, tag, ok := strings.Cut(service.Image, ":"); !ok || tag == "latest" {
			t.Errorf("%s: the image %q is not pinned", name, service.Image)
		}
		for variable := range service.Environment {
			if strings.HasPrefix(variable, "GIGAGATE_") && !variables[variable] {
				t.Errorf("%s: nothing reads %s", name, variable)
			}
		}
		for _, port := range service.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: port %s is for everyone", name, port)
			}
		}
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			_, declared := compose.Volumes[source]
			if _, err := os.Stat(filepath.Join(repository, source)); !declared && err != nil {
				t.Errorf("%s: there is no %s", name, source)
			}
		}
		for other, wait := range service.DependsOn {
			awaited, there := compose.Services[other]
			if !there || wait.Condition == "service_healthy" && awaited.Healthcheck == nil {
				t.Errorf("%s waits for %s to be %s, which never happens", name, other, wait.Condition)
			}
		}
	}
}

// TestComposeSetsTheGatewayUp: with the settings of the file, the gateway reaches its journal and its
// collector by the names of these services.
func TestComposeSetsTheGatewayUp(t *testing.T) {
	t.Parallel()
	var compose composeFile
	var collector collectorFile
	readYAML(t, "compose.yaml", &compose)
	readYAML(t, "docs/compose/collector.yaml", &collector)
	environment := compose.Services["gateway"].Environment
	for variable, scheme := range map[string]string{"GIGAGATE_JOURNAL": "postgres", "OTEL_EXPORTER_OTLP_ENDPOINT": "http"} {
		if environment[variable] == nil {
			t.Fatalf("%s is not set", variable)
		}
		// No variable is set, so each one has its default.
		text := os.Expand(*environment[variable], func(name string) string {
			_, value, _ := strings.Cut(name, ":-")
			return value
		})
		address, err := url.Parse(text)
		if err != nil || address.Scheme != scheme {
			t.Fatalf("%s is %q: %v", variable, text, err)
		}
		if _, ok := compose.Services[address.Hostname()]; !ok {
			t.Errorf("%s names %s, which is not a service", variable, address.Hostname())
		}
	}
	for signal, pipeline := range collector.Service.Pipelines {
		for _, used := range []struct {
			names    []string
			declared map[string]any
		}{
			{pipeline.Receivers, collector.Receivers}, {pipeline.Processors, collector.Processors}, {pipeline.Exporters, collector.Exporters},
		} {
			for _, name := range used.names {
				if _, ok := used.declared[name]; !ok {
					t.Errorf("the collector's %s use %s, which is not declared", signal, name)
				}
			}
		}
	}
	// The image listens on all interfaces. Without TLS or this word, the gateway does not start.
	if allowed := environment["GIGAGATE_INSECURE"]; environment["GIGAGATE_TLS_CERT"] == nil && (allowed == nil || *allowed != "true") {
		t.Error("there is neither TLS nor GIGAGATE_INSECURE")
	}
	for _, signal := range []string{"traces", "metrics", "logs"} {
		// If an endpoint is set, the gateway exports all three signals.
		if !slices.Contains(collector.Service.Pipelines[signal].Receivers, "otlp") {
			t.Errorf("the collector does not take %s", signal)
		}
	}
}
