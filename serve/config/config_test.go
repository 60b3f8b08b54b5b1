package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// write writes a configuration file and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "serve.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	t.Setenv(KeysVariable, "")
	keys := write(t, "# keys of the lab\nanna: 0123456789abcdef-anna\n\n0123456789abcdef-other\n")
	c, err := Read(write(t, fmt.Sprintf(`
address = "0.0.0.0:9000"
origins = ["https://chat.example.org"]
picture_hosts = ["images.example.org"]
memory = "16GB"
watch = "0s"
[keys]
file = %q
[models.warm]
model = "runs/demo/warm"
backend = "go"
templates = { turn = "{question}|{answer}|" }
[models.cold]
model = "runs/demo/cold"
[templates.encoder-decoder]
system = "<{}>"
[limits]
tokens = 100
body = "1MB"
request_timeout = "10s"
`, keys)))
	if err != nil {
		t.Fatal(err)
	}
	if c.Address != "0.0.0.0:9000" || c.Memory != 16e9 || c.Watch != 0 || c.Keys.Len() != 2 || c.Limits.Chat.Tokens != 100 || c.Limits.Chat.Beams != 8 ||
		c.Limits.BodyBytes != 1e6 || c.Limits.Request != 10*time.Second || !slices.Equal(c.Hosts, []string{"images.example.org"}) {
		t.Errorf("%+v", c)
	}
	if len(c.Bridges) != 2 || c.Bridges[0].Name != "cold" || c.Bridges[1].Backend != "go" || c.Bridges[1].Templates.Turn != "{question}|{answer}|" || c.Bridges[1].Templates.System != "{} " {
		t.Errorf("bridges %+v", c.Bridges)
	}
	if got := c.Templates["encoder-decoder"]; got.System != "<{}>" || got.Turn == "" {
		t.Errorf("templates %+v", c.Templates)
	}
	if name, ok := c.Keys.Name("0123456789abcdef-anna"); !ok || name != "anna" {
		t.Errorf("anna's key is of %q", name)
	}
	if _, ok := c.Keys.Name("0123456789abcdef-ann"); ok {
		t.Error("a part of a key is accepted")
	}
	if strings.Contains(fmt.Sprintf("%+v %#v", c, c), "abcdef-anna") {
		t.Error("a configuration prints a key")
	}
	if err := c.CheckAddress(); err != nil {
		t.Error(err)
	}
}

// An empty file must mean the defaults.
func TestTheFileHasAllSettings(t *testing.T) {
	t.Setenv(KeysVariable, "")
	c, err := Read(write(t, ""))
	want := Default()
	c.Templates, want.Templates = nil, nil
	if err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, c, want)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		`adress = "x"`:                                       "did you mean address",
		"[limits]\ntoken = 3":                                "did you mean limits.tokens",
		"[limits]\ntokens = 0":                               "at least 1",
		"[limits]\nbody = 3":                                 "a size with a unit",
		"[limits]\nrequest_timeout = \"fast\"":               "a time with a unit",
		"[limits]\ntokens = 10":                              "default_tokens",
		`origins = ["https://a.org/x"]`:                      "without a path",
		`origins = ["*"]`:                                    "an origin",
		`picture_hosts = ["https://a.org"]`:                  "the name of a host",
		`picture_hosts = ["*.a.org"]`:                        "the name of a host",
		"[models.a]\nbackend = \"go\"":                       "models.a.model",
		"[models.a]\nmodel = \"x\"\nisolation = \"docker\"":  "process or none",
		"[templates.decoder]\nturn = \"{question}{answer}\"": "decoder-only",
		"[templates.decoder-only]\nturn = \"{question}\"":    "{answer}",
	} {
		_, err := Read(write(t, text))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "serve.toml") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestKeyFiles(t *testing.T) {
	for text, want := range map[string]string{
		"short": "at least 16",
		"":      "no key",
		"a: 0123456789abcdef\na: 0123456789abcdeg": "same name",
		"a: 0123456789abcdef\nb: 0123456789abcdef": "same name or value",
		"a: 0123456789 abcdef":                     "ASCII",
	} {
		var k Keys
		err := k.ReadFile(write(t, text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "0123456789") {
			t.Errorf("%q: %v, want %q and no key", text, err, want)
		}
	}
	open := write(t, "0123456789abcdef")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	var k Keys
	if err := k.ReadFile(open); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others can read: %v", err)
	}
	t.Setenv(KeysVariable, "0123456789abcdef-1, 0123456789abcdef-2")
	if err := k.ReadEnvironment(KeysVariable); err != nil || k.Len() != 2 {
		t.Errorf("%d keys of the environment, %v", k.Len(), err)
	}
}

func TestOtherMachinesNeedKeys(t *testing.T) {
	for address, ok := range map[string]bool{
		"127.0.0.1:1": true, "localhost:1": true, "[::1]:1": true, "127.8.8.8:1": true,
		"0.0.0.0:1": false, ":1": false, "[::]:1": false, "192.168.1.2:1": false, "example.org:1": false, "127.0.0.1": false,
	} {
		c := Default()
		c.Address = address
		if err := c.CheckAddress(); (err == nil) != ok {
			t.Errorf("%s without keys: %v", address, err)
		}
	}
}

// docs/serving.md must name each key of the file.
func TestTheDocumentationNamesEveryKey(t *testing.T) {
	page, err := os.ReadFile("../../docs/serving.md")
	if err != nil {
		t.Fatal(err)
	}
	var names func(reflect.Type)
	names = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Map {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct {
			return
		}
		for f := range slices.Values(reflect.VisibleFields(typ)) {
			key := f.Tag.Get("toml")
			if key == "" {
				continue
			}
			if !regexp.MustCompile(`\b` + key + `\b`).Match(page) {
				t.Errorf("docs/serving.md does not name the key %s", key)
			}
			names(f.Type)
		}
	}
	names(reflect.TypeOf(file{}))
}
