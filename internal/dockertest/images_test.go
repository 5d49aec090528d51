// Package dockertest_test checks that the containers of the Dockerfile and the
// Compose file are hardened.
package dockertest_test

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

const root = "../../"

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(root + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestImageIsHardened: built from scratch, run as nobody, with only the
// programs in it.
func TestImageIsHardened(t *testing.T) {
	t.Parallel()
	_, last, found := strings.Cut(read(t, "Dockerfile"), "\nFROM scratch\n")
	if !found || strings.Contains(last, "\nFROM ") {
		t.Fatal("the image is not made from scratch")
	}
	user := regexp.MustCompile(`(?m)^USER ([0-9]+):([0-9]+)$`).FindStringSubmatch(last)
	if user == nil || user[1] == "0" || user[2] == "0" {
		t.Errorf("the user is %v, not one by number that is not root", user)
	}
	for _, line := range strings.Split(last, "\n") {
		if strings.HasPrefix(line, "ADD ") || strings.HasPrefix(line, "COPY ") && !strings.HasPrefix(line, "COPY --from=build ") || strings.Contains(line, "SECRET") || strings.Contains(line, "PASSWORD") {
			t.Errorf("the image gets more than the programs: %s", line)
		}
	}
}

// TestImageIsBuiltFromAllItNeeds: the build sees the directory of every package
// that the programs import, and no more.
func TestImageIsBuiltFromAllItNeeds(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard", "./cmd/...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	needed := map[string]bool{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ ImportPath string }
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if path, ours := strings.CutPrefix(p.ImportPath, "rollcall/"); ours {
			dir, _, _ := strings.Cut(path, "/")
			needed["!"+dir+"/"] = true
		}
	}
	ignored := strings.Split(read(t, ".dockerignore"), "\n")
	for dir := range needed {
		if !slices.Contains(ignored, dir) {
			t.Errorf(".dockerignore keeps %s out of the build", dir)
		}
	}
}

type service struct {
	Image       string
	Command     []string
	Environment map[string]string
	User        string
	ReadOnly    bool     `yaml:"read_only"`
	Privileged  bool     `yaml:"privileged"`
	CapDrop     []string `yaml:"cap_drop"`
	CapAdd      []string `yaml:"cap_add"`
	SecurityOpt []string `yaml:"security_opt"`
	Ports       []string
	NetworkMode string `yaml:"network_mode"`
	Volumes     []string
}

// TestComposeIsHardened: every service is read-only, has no capabilities and no
// new privileges, and is reachable only from this machine.
func TestComposeIsHardened(t *testing.T) {
	t.Parallel()
	var compose struct{ Services map[string]service }
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "docker-compose.yml")), &compose, yaml.AllowDuplicateMapKey()); err != nil {
		t.Fatal(err)
	}
	if len(compose.Services) < 5 {
		t.Fatalf("%d services", len(compose.Services))
	}
	for name, s := range compose.Services {
		if !s.ReadOnly || s.Privileged || s.NetworkMode != "" || len(s.CapAdd) > 0 ||
			!slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: %+v", name, s)
		}
		if s.Image != "rollcall:local" && (!regexp.MustCompile(`:v?\d`).MatchString(s.Image) || s.User == "" || strings.HasPrefix(s.User, "0") || s.User == "root") {
			t.Errorf("%s runs %q as %q: name a version and a user", name, s.Image, s.User)
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s is published at %s", name, port)
			}
		}
		for _, volume := range s.Volumes {
			if (strings.HasPrefix(volume, "/") || strings.HasPrefix(volume, ".")) && !strings.HasSuffix(volume, ":ro") {
				t.Errorf("%s may write to %s of the host", name, volume)
			}
		}
	}
}

// TestComposeAsksForPasswords: PostgreSQL and Redis require a password, each is
// a variable that must be set, and none appears in a command line.
func TestComposeAsksForPasswords(t *testing.T) {
	t.Parallel()
	var compose struct{ Services map[string]service }
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "docker-compose.yml")), &compose, yaml.AllowDuplicateMapKey()); err != nil {
		t.Fatal(err)
	}
	const redisPassword = "${REDIS_PASSWORD:?set it in .env}"
	redis := compose.Services["redis"]
	if command := strings.Join(redis.Command, " "); redis.Environment["REDIS_PASSWORD"] != redisPassword ||
		!strings.Contains(command, "exec redis-server - ") || !strings.Contains(command, "\nrequirepass $$REDIS_PASSWORD\n") {
		t.Errorf("Redis is started by %q with %v", command, redis.Environment)
	}
	for _, name := range []string{"api", "worker", "migrate"} {
		environment := compose.Services[name].Environment
		if !regexp.MustCompile(`^postgres://\w+:\$\{POSTGRES_(APP_)?PASSWORD:\?set it in \.env\}@postgres:`).MatchString(environment["DATABASE_URL"]) {
			t.Errorf("%s comes to PostgreSQL by %q", name, environment["DATABASE_URL"])
		}
		if url := environment["REDIS_URL"]; name != "migrate" && url != "redis://:"+redisPassword+"@redis:6379/0" {
			t.Errorf("%s comes to Redis by %q", name, url)
		}
	}
	example := read(t, ".env.example")
	for _, required := range regexp.MustCompile(`\$\{(\w+):\?`).FindAllStringSubmatch(read(t, "docker-compose.yml"), -1) {
		if !strings.Contains(example, "\n"+required[1]+"=\n") {
			t.Errorf(".env.example does not name %s, or gives it a value", required[1])
		}
	}
}

// TestComposePassesSecurityOn: the security settings in .env reach the programs
// that read them, with the programs' defaults for those that are not set.
func TestComposePassesSecurityOn(t *testing.T) {
	t.Parallel()
	var compose struct{ Services map[string]service }
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "docker-compose.yml")), &compose, yaml.AllowDuplicateMapKey()); err != nil {
		t.Fatal(err)
	}
	example := read(t, ".env.example")
	for variable, services := range map[string][]string{
		"ROLLCALL_IMPORT_ADMINS": {"api", "worker"}, "ROLLCALL_SECOND_FACTOR": {"api"}, "ROLLCALL_REQUIRE_TLS": {"api", "worker"},
		"ROLLCALL_TRUSTED_PROXIES": {"api"}, "ROLLCALL_WEBHOOK_ALLOW_PRIVATE": {"api", "worker"}, "ROLLCALL_SMTP_ALLOW_PRIVATE": {"api", "worker"},
		"ROLLCALL_LIMIT_UPLOADS": {"api"}, "ROLLCALL_LIMIT_POLLS": {"api"}, "ROLLCALL_LIMIT_AUTH_FAILURES": {"api"}, "ROLLCALL_LIMIT_IMPORTS": {"api"},
	} {
		for _, name := range services {
			if value := compose.Services[name].Environment[variable]; !strings.HasPrefix(value, "${"+variable+":-") {
				t.Errorf("%s of %s is %q", variable, name, value)
			}
		}
		value := regexp.MustCompile(`(?m)^` + variable + `=(.*)$`).FindStringSubmatch(example)
		if value == nil {
			t.Errorf(".env.example does not name %s", variable)
		} else if given := compose.Services[services[0]].Environment[variable]; given != "${"+variable+":-"+value[1]+"}" {
			t.Errorf("%s is %s in .env.example, %s in Compose", variable, value[1], given)
		}
	}
}
