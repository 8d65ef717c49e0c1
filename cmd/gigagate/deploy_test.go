package main

import (
	"bytes"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5" //nolint:depguard // reads a URL as the journal does

	"gigagate.internal/purchase"
	"gigagate.internal/purchase/postgres/postgrestest"
)

// asFlags are settings as flags.
func asFlags(settings map[string]string) (flags []string) {
	for variable, value := range settings {
		flags = append(flags, "--"+strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, "GIGAGATE_"), "_", "-"))+"="+value)
	}
	return flags
}

// secretFiles makes every file that the settings name as a secret, below a folder that stands for mounted. It returns the
// settings with the paths of these files, and the names of the files.
func secretFiles(t *testing.T, settings map[string]string, mounted string) (map[string]string, []string) {
	t.Helper()
	servers := newAuthority(t, "servers")
	folder := newTLSFolder(t, servers, servers)
	certificate := servers.issue(t, nil)
	made := gigagate(t, "keys", "new", "--caller=shop")
	_, identity, _ := strings.Cut(made.err, "\n\n")
	contents := map[string][]byte{
		"tls.crt": certificate.certificatePEM, "tls.key": certificate.keyPEM, "client-secret": []byte("a-client-secret\n"),
		"journal-keys":    []byte(gigagate(t, "journal", "keys", "new").out),
		"callers.yaml":    []byte("callers:\n  - name: shop\n" + identity + "    may: {methods: [all]}\n"),
		"postgres-ca.crt": servers.pem(), "postgres-passfile": []byte("*:*:gigagate:gigagate:a-word\n"),
	}
	there, named := map[string]string{}, []string{}
	for variable, value := range settings {
		there[variable] = regexp.MustCompile(mounted+`/[a-z.-]+`).ReplaceAllStringFunc(value, func(file string) string {
			name := path.Base(file)
			named = append(named, name)
			if contents[name] == nil {
				t.Errorf("this test does not know what is in %s", file)
			}
			return folder.write(t, name, contents[name])
		})
	}
	return there, named
}

// parseServe parses the command line of a gateway as the program does.
func parseServe(t *testing.T, args []string) *serveCommand {
	t.Helper()
	var line commandLine
	var said bytes.Buffer
	parser, err := newParser(&line, console{out: &said, err: &said}, func(int) {})
	if err == nil {
		_, err = parser.Parse(args)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	return &line.Serve
}

// longestEnd is how long a gateway may take to end: its drain, and then its telemetry.
func longestEnd(c *serveCommand) time.Duration {
	return 3*c.GigastoreTimeout + purchase.AnswerMargin + 5*time.Second
}

var overlays = []string{"deploy/kubernetes/sqlite", "deploy/kubernetes/postgres", "deploy/kubernetes/example"}

// TestManifestsFitTheProgram: the program takes every setting of the manifests, and they name its ports and its paths.
func TestManifestsFitTheProgram(t *testing.T) {
	t.Parallel()
	_, variables := settings(t)
	for _, overlay := range overlays {
		t.Run(path.Base(overlay), func(t *testing.T) {
			t.Parallel()
			d := readDeployed(t, overlay)
			if len(d.pod.Containers) != 1 {
				t.Fatal("there is no gateway")
			}
			container := d.pod.Containers[0]
			all := imageSettings(t)
			maps.Copy(all, d.settings)
			for variable := range all {
				if !variables[variable] {
					t.Errorf("nothing reads %s", variable)
				}
			}
			if all["GIGAGATE_GIGASTORE_CLIENT_ID"] == "" {
				all["GIGAGATE_GIGASTORE_CLIENT_ID"] = "reseller-1" // the team's own overlay has it
			}
			all, named := secretFiles(t, all, "/secrets")
			line := parseServe(t, slices.Concat(container.Args, asFlags(all)))

			ports := map[string]string{}
			for _, port := range container.Ports {
				ports[port.Name] = "0.0.0.0:" + port.ContainerPort
			}
			if want := map[string]string{"grpc": string(line.GRPCListen), "rest": string(line.HTTPListen), "admin": string(line.AdminListen)}; !maps.Equal(ports, want) {
				t.Errorf("the container has the ports %v, and the gateway listens on %v", ports, want)
			}
			if d.scraped["prometheus.io/port"] != strings.TrimPrefix(ports["admin"], "0.0.0.0:") {
				t.Errorf("Prometheus scrapes another port: %v", d.scraped)
			}
			for _, served := range d.served {
				if served != "grpc" && served != "rest" { // the admin port asks nobody who they are
					t.Errorf("a service has the port %q", served)
				}
			}
			for _, p := range []probe{container.Startup, container.Liveness, container.Readiness} {
				if p.Get.Port != "admin" {
					t.Errorf("the probe %v has no port of the gateway", p)
				}
			}

			grace := time.Duration(d.pod.GraceSeconds) * time.Second
			if before := time.Duration(container.Lifecycle.PreStop.Sleep.Seconds) * time.Second; before <= 0 || grace <= before+longestEnd(line) {
				t.Errorf("the pod is killed after %s, but its end can take %s and then %s", grace, before, longestEnd(line))
			}
			limit, err := strconv.Atoi(strings.TrimSuffix(container.Resources.Limits["memory"], "Mi"))
			if err != nil || limit<<20 < 2*memoryLimit {
				t.Errorf("the pod is killed at %q of memory, but the Go runtime alone may use %d MiB", container.Resources.Limits["memory"], memoryLimit>>20)
			}
			checkMounts(t, d.pod, line.Journal, named)
		})
	}
}

// checkMounts: every secret that the settings name is mounted, no other one is, and a journal in SQLite is on a volume.
func checkMounts(t *testing.T, p pod, journal string, named []string) {
	t.Helper()
	mounts, mounted := map[string]string{}, []string{}
	for _, mount := range p.Containers[0].VolumeMounts {
		mounts[mount.MountPath] = mount.Name
	}
	for _, volume := range p.Volumes {
		if volume.Name != mounts["/secrets"] {
			continue
		}
		for _, source := range volume.Projected.Sources {
			for _, item := range source.Secret.Items {
				mounted = append(mounted, item.Path)
			}
		}
	}
	slices.Sort(mounted)
	slices.Sort(named)
	if !slices.Equal(mounted, named) {
		t.Errorf("the settings name the secrets %v, and mounted are %v", named, mounted)
	}
	if file, err := sqliteFile(journal); err != nil || file != "" && mounts[path.Dir(file)] == "" {
		t.Errorf("%s is on no volume: %v", journal, err)
	}
}

// TestManifestsHardenAlike: both kinds of journal run with the same rights, probes and resources.
func TestManifestsHardenAlike(t *testing.T) {
	t.Parallel()
	var pods []map[string]any
	for _, name := range []string{"deploy/kubernetes/sqlite/statefulset.yaml", "deploy/kubernetes/postgres/deployment.yaml"} {
		var object struct {
			Spec struct{ Template struct{ Spec map[string]any } }
		}
		readYAML(t, name, &object)
		spec := object.Spec.Template.Spec
		delete(spec, "topologySpreadConstraints")
		delete(spec, "volumes")
		if containers, ok := spec["containers"].([]any); !ok || len(containers) != 1 {
			t.Fatalf("%s: %v", name, spec)
		} else if container, ok := containers[0].(map[string]any); ok {
			delete(container, "volumeMounts")
		}
		pods = append(pods, spec)
	}
	if !reflect.DeepEqual(pods[0], pods[1]) {
		t.Errorf("they differ:\n%v\n%v", pods[0], pods[1])
	}
}

// TestManifestsServe: a gateway with the settings of the manifests becomes ready, and answers the probes and Prometheus.
func TestManifestsServe(t *testing.T) {
	t.Parallel()
	for _, overlay := range overlays {
		t.Run(path.Base(overlay), func(t *testing.T) {
			t.Parallel()
			d := readDeployed(t, overlay)
			all, _ := secretFiles(t, d.settings, "/secrets")
			journal := "sqlite:" + filepath.Join(t.TempDir(), "gigagate.db")
			if given := all["GIGAGATE_JOURNAL"]; isPostgres(given) {
				if config, err := pgx.ParseConfig(given); err != nil || config.Password != "a-word" || config.TLSConfig.RootCAs == nil {
					t.Errorf("the journal's URL: %v", err)
				}
				journal = postgrestest.New(t).URL
			}
			g := startServe(t, slices.Concat(asFlags(all), anyPort, []string{
				"--journal=" + journal, "--gigastore-url=http://127.0.0.1:1", "--gigastore-client-id=reseller-1",
			})...)
			container := d.pod.Containers[0]
			for _, asked := range []string{
				container.Startup.Get.Path, container.Liveness.Get.Path, container.Readiness.Get.Path, d.scraped["prometheus.io/path"],
			} {
				if got := get(t, "http://"+g.admin+asked); got.status != http.StatusOK {
					t.Errorf("%s: %+v", asked, got)
				}
			}
			if !strings.Contains(g.out.String(), "REST     https://") {
				t.Errorf("it does not speak TLS: %s", g.out)
			}
		})
	}
}

// TestUnitFitsTheProgram: the program takes every setting of the systemd unit, and may end in peace.
func TestUnitFitsTheProgram(t *testing.T) {
	t.Parallel()
	unit, _ := os.ReadFile(filepath.Join(repository, "deploy", "systemd", "gigagate.service"))
	given := func(name string) (values []string) {
		for _, match := range regexp.MustCompile(`(?m)^`+name+`=(.*)$`).FindAllStringSubmatch(string(unit), -1) {
			values = append(values, match[1])
		}
		return values
	}
	_, variables := settings(t)
	set := map[string]string{"GIGAGATE_GIGASTORE_CLIENT_ID": "reseller-1"}
	for _, setting := range given("Environment") {
		name, value, _ := strings.Cut(setting, "=")
		if set[name] = value; !variables[name] {
			t.Errorf("nothing reads %s", name)
		}
	}
	set, _ = secretFiles(t, set, "/etc/gigagate")
	line := parseServe(t, slices.Concat(strings.Fields(given("ExecStart")[0])[1:], asFlags(set)))
	if stop, err := strconv.Atoi(given("TimeoutStopSec")[0]); err != nil || time.Duration(stop)*time.Second <= longestEnd(line) {
		t.Errorf("systemd kills it after %d s, but its end can take %s", stop, longestEnd(line))
	}
	if file, err := sqliteFile(line.Journal); err != nil || path.Dir(file) != "/var/lib/"+given("StateDirectory")[0] {
		t.Errorf("%s is not in the folder that systemd makes: %v", line.Journal, err)
	}
	if limit, err := strconv.Atoi(strings.TrimSuffix(given("MemoryMax")[0], "M")); err != nil || limit<<20 < 2*memoryLimit {
		t.Errorf("systemd kills it at %s of memory", given("MemoryMax")[0])
	}
}
