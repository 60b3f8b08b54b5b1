package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/modular-bridging/bridge/internal/sandbox"
)

// commandVariable makes the test binary run as the command.
const commandVariable = "BRIDGE_TEST_COMMAND"

// TestMain lets the test binary serve adapters, because tests start it as a plugin. With
// commandVariable set it runs as the whole command, including its signal handling.
func TestMain(m *testing.M) {
	sandbox.Enter()
	if os.Getenv(panicVariable) != "" {
		os.Exit(servePanicking())
	}
	if defect := os.Getenv(unsoundVariable); defect != "" {
		os.Exit(serveUnsound(defect))
	}
	if os.Getenv(stallVariable) != "" {
		os.Exit(serveStalling())
	}
	if os.Getenv(commandVariable) != "" {
		main()
	}
	if len(os.Args) > 2 && os.Args[1] == "adapter" {
		os.Exit(run(context.Background(), os.Args, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// runCommand runs a command line with an empty configuration folder and an empty hub cache.
func runCommand(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	t.Setenv("BRIDGE_CONFIG", t.TempDir())
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	var out, errs bytes.Buffer
	status = run(t.Context(), append([]string{"bridge"}, args...), &out, &errs)
	return status, out.String(), errs.String()
}

// mustExit is [runCommand] with a check of the exit status.
func mustExit(t *testing.T, status int, args ...string) (stdout, stderr string) {
	t.Helper()
	got, stdout, stderr := runCommand(t, args...)
	if got != status {
		t.Fatalf("bridge %s: status %d, want %d\n%s%s", strings.Join(args, " "), got, status, stdout, stderr)
	}
	return stdout, stderr
}

// leafCommands returns every command that takes arguments or has no subcommands, by path.
func leafCommands(commands []*cli.Command, path ...string) map[string]*cli.Command {
	all := map[string]*cli.Command{}
	for _, c := range commands {
		here := append(slices.Clone(path), c.Name)
		if len(c.Subcommands) == 0 || c.ArgsUsage != "" {
			all[strings.Join(here, " ")] = c
		}
		for name, sub := range leafCommands(c.Subcommands, here...) {
			all[name] = sub
		}
	}
	return all
}

func allCommands() map[string]*cli.Command { return leafCommands((&program{}).app().Commands) }

func TestEveryCommandRefusesUnknownFlagsAnywhere(t *testing.T) {
	for name := range allCommands() {
		path := strings.Fields(name)
		for _, args := range [][]string{
			append(slices.Clone(path), "--no-such-flag"),
			append(slices.Clone(path), "--no-such-flag", "x"),
			append(slices.Clone(path), "a", "b", "--no-such-flag=1"),
			append(slices.Clone(path), "a", "-no-such-flag", "b"),
		} {
			_, stderr := mustExit(t, exitUsage, args...)
			if !strings.Contains(stderr, "bridge: "+name+" has no flag --no-such-flag") {
				t.Errorf("%v: %s", args, stderr)
			}
		}
	}
}

// A flag means the same before and after the positional arguments.
func TestEveryCommandTakesItsFlagsAnywhere(t *testing.T) {
	app := (&program{}).app()
	for name, c := range allCommands() {
		path := strings.Fields(name)
		for _, f := range append(c.Flags, app.Flags...) {
			flag := []string{"--" + f.Names()[0]}
			if _, isBool := f.(*cli.BoolFlag); !isBool {
				flag = append(flag, "1")
			}
			var orders [][]string
			for _, args := range [][]string{
				slices.Concat([]string{"bridge"}, path, flag, []string{"a", "b"}),
				slices.Concat([]string{"bridge"}, path, []string{"a"}, flag, []string{"b"}),
				slices.Concat([]string{"bridge"}, path, []string{"a", "b"}, flag),
			} {
				got, err := reorder(app, args)
				if err != nil {
					t.Fatalf("%v: %v", args, err)
				}
				orders = append(orders, got)
			}
			if !slices.Equal(orders[0], orders[1]) || !slices.Equal(orders[0], orders[2]) {
				t.Errorf("%s %v: %v", name, flag, orders)
			}
			if end := orders[0][len(orders[0])-3:]; !slices.Equal(end, []string{"--", "a", "b"}) {
				t.Errorf("%s %v: the positional arguments are not last: %v", name, flag, orders[0])
			}
		}
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	for name, c := range allCommands() {
		if name == "help" {
			continue // `bridge help --help` is `bridge --help`
		}
		stdout, _ := mustExit(t, exitDone, append(strings.Fields(name), "--help")...)
		if !strings.Contains(stdout, "Example: bridge "+name) || !strings.Contains(stdout, c.Usage) {
			t.Errorf("the help of %s has no example or no summary:\n%s", name, stdout)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"trian"}, "did you mean train?"},
		{[]string{"help", "trian"}, "did you mean train?"},
		{[]string{"models", "lst"}, "did you mean list?"},
		{[]string{"models"}, "bridge: models: missing command (one of list, show, add, pull, verify, measure)"},
		{[]string{"caption", "m", "i", "--promt", "x"}, "did you mean --prompt?"},
		{[]string{"train"}, "got 0 arguments, want: bridge train RECIPE"},
		{[]string{"doctor", "x"}, "got 1 arguments"},
		{[]string{"train", "x", "--out"}, "--out needs a value"},
		{[]string{"caption", "m", "i", "--top-k", "many"}, "top-k"},
		{[]string{"caption", "m", "i", "--max-new-tokens", "-5"}, "--max-new-tokens is -5, want at least 1"},
		{[]string{"ask", "m", "i", "q", "--min-new-tokens=-1"}, "--min-new-tokens is -1, want at least 0"},
		{[]string{"ask", "m", "i", " "}, "the QUESTION is empty"},
		{[]string{"caption", "m", "i", "--prompt", "  "}, `the --prompt "  " is blank`},
		{[]string{"ask", "m", "i", "q", "--top-p", "7"}, "--top-p is 7, want a number above 0 and at most 1"},
		{[]string{"caption", "m", "i", "--temperature", "NaN"}, "--temperature is NaN, want a number above 0"},
		{[]string{"caption", "m", "i", "--repetition-penalty", "0"}, "--repetition-penalty is 0, want a number above 0"},
		{[]string{"caption", "m", "i", "--num-beams", "-1"}, "--num-beams is -1, want at least 1"},
		{[]string{"ask", "m", "i", "q", "--length-penalty", "-Inf"}, "--length-penalty is -Inf, want a finite number"},
		{[]string{"caption", "m", "i", "--early-stopping", "later"}, "--early-stopping is \"later\", want true, false or never"},
		{[]string{"caption", "m", "i", "--num-beams", "2", "--sample"}, "--sample cannot be combined with --num-beams 2"},
		{[]string{"ask", "m", "i", "q", "--min-new-tokens", "21"}, "--min-new-tokens is 21, want at most --max-new-tokens, 20"},
		{[]string{"caption", "m", "i", "--isolation", "some"}, "--isolation is \"some\""},
		{[]string{"models", "show"}, "bridge: models show got 0 arguments, want: bridge models show ID"},
		{[]string{"recipes", "list", "x"}, "bridge: recipes list got 1 arguments, want: bridge recipes list [--json]\n"},
		{[]string{"adapter", "serve"}, "bridge: adapter serve got 0 arguments, want: bridge adapter serve FAMILY"},
		{[]string{"doctor", "--log-level", "loud"}, "--log-level"},
		{[]string{"retrain"}, "missing --llm ID"},
		{[]string{"models", "add", "opt-2.7b"}, "needs --path DIR"},
		{[]string{"adapter", "serve", "optt"}, "did you mean opt?"},
		{[]string{"verify", "x", "--isolation", "some"}, "--isolation is \"some\""},
		{[]string{"ask", "m", "i", "q", "--transport", "pigeon"}, "--transport is \"pigeon\", want auto, shared-memory or grpc"},
		{[]string{"recipes", "check", "tiny-stage1", "--set", "optimizer.lrr=1"}, "did you mean optimizer.lr?"},
		{[]string{"train", "tiny-stage1", "--backend", "cuda"}, "bridge: --backend: backend \"cuda\" is not known"},
		{[]string{"retrain", "--llm", "no such"}, "bridge: --llm no such: language.id: no model \"no such\""},
		{[]string{"recipes", "check", "tiny-stage1", "--set", "optimizer.lr=2", "--set", "seed=x"},
			"bridge: --set seed=x: seed: is the string"},
	} {
		_, stderr := mustExit(t, exitUsage, c.args...)
		if !strings.Contains(stderr, c.want) {
			t.Errorf("bridge %s: no %q in\n%s", strings.Join(c.args, " "), c.want, stderr)
		}
	}
}

// A wrong --backend is reported before anything else.
func TestWrongBackendIsWrongUsage(t *testing.T) {
	for name, c := range allCommands() {
		if !slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return f.Names()[0] == "backend" }) {
			continue
		}
		_, stderr := mustExit(t, exitUsage, append(strings.Fields(name), "a", "b", "c", "--backend", "bogus")...)
		if !strings.Contains(stderr, "--backend: backend \"bogus\" is not known, want auto") {
			t.Errorf("bridge %s: %s", name, stderr)
		}
	}
}

// copyModel copies one of the kit's models and returns the folder.
func copyModel(t *testing.T, id string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "..", "kit", "models", id))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDamagedModelIsAFailure(t *testing.T) {
	for file, damage := range map[string]func(path string) error{
		"config.json":       func(path string) error { return os.WriteFile(path, []byte("{"), 0o644) },
		"model.safetensors": func(path string) error { return os.Truncate(path, 1000) },
	} {
		dir := copyModel(t, "tiny-opt")
		if err := damage(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
		_, stderr := mustExit(t, exitFailed, "retrain", "--llm", dir, "--backend", "go", "--set", "language.isolation=none",
			"--out", filepath.Join(t.TempDir(), "run"))
		if !strings.Contains(stderr, file) {
			t.Errorf("with a damaged %s: %s", file, stderr)
		}
	}
}

func TestFailures(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.toml")
	if err := os.WriteFile(broken, []byte("name = \"x\"\nstage = 3\nelephant = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"recipes", "check", broken}, "bridge: " + broken + ":3: elephant: unknown key, want one of name, stage"},
		{[]string{"recipes", "show", "tiny-stag1"}, "did you mean tiny-stage1?"},
		{[]string{"models", "show", "tiny-op"}, "did you mean tiny-opt"},
		{[]string{"caption", dir, "x.png"}, "holds no bridge"},
		{[]string{"caption", filepath.Join(dir, "none"), "x.png"}, "no such folder"},
		{[]string{"compare", dir}, "is not the folder of a finished run"},
		{[]string{"verify", dir}, dir},
		{[]string{"train", "tiny-stage1", "--resume", "--out", dir}, "no run to resume in"},
		{[]string{"retrain", "--llm", "flant5-xl", "--out", filepath.Join(dir, "run")},
			"download 11.4 GB; stage 2 in total, with training: 6000 examples, about "},
		{[]string{"retrain", "--llm", "flant5-xl", "--out", filepath.Join(dir, "run2")},
			"`bridge models pull flant5-xl` fetches google/flan-t5-xl"},
		{[]string{"train", "vit-l-stage1", "--out", filepath.Join(dir, "run3")}, "`bridge models pull clip-vit-l-14`"},
	} {
		_, stderr := mustExit(t, exitFailed, c.args...)
		if !strings.Contains(stderr, c.want) {
			t.Errorf("bridge %s: no %q in\n%s", strings.Join(c.args, " "), c.want, stderr)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if status := run(ctx, []string{"bridge", "train", "tiny-stage1", "--out", t.TempDir()}, &out, &out); status != exitInterrupted {
		t.Errorf("status %d, want %d: %s", status, exitInterrupted, out.String())
	}
}

// decodeLines decodes text with one JSON object a line.
func decodeLines(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(text) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%q is not a JSON object: %v", line, err)
		}
		all = append(all, o)
	}
	return all
}

func TestJSONIsOneObjectALine(t *testing.T) {
	for _, args := range [][]string{
		{"doctor", "--json"}, {"models", "list", "--json"}, {"models", "show", "--json", "tiny-opt"}, {"recipes", "list", "--json"},
	} {
		stdout, _ := mustExit(t, exitDone, args...)
		if len(decodeLines(t, stdout)) == 0 {
			t.Errorf("bridge %s printed nothing", strings.Join(args, " "))
		}
	}
}

func TestTextOutput(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"doctor"}, []string{"backend ", "simd ", "adapters       vit, eva, ", "opt, ",
			"tensors        sent between processes through "}},
		{[]string{"models", "list"}, []string{"ID ", "tiny-flan-t5", "11.4 GB", "missing"}},
		{[]string{"models", "show", "opt-2.7b"}, []string{"2.7B", "bridge models add opt-2.7b --path DIR", `"Question: {} Answer:"`}},
		{[]string{"recipes", "list"}, []string{"tiny-retrain ", "The default recipe of bridge retrain"}},
		{[]string{"recipes", "show", "tiny-stage1"}, []string{"# Command:  bridge train tiny-stage1"}},
		{[]string{"recipes", "check", "tiny-stage2-opt", "--set", "optimizer.betas=[0.9, 0.95]"},
			[]string{"betas = [0.9, 0.95]", `caption_prompt = "a photo of"`}},
		{[]string{}, []string{"bridge demo", "COMMANDS"}},
		{[]string{"help"}, []string{"bridge demo", "\n   help     show all commands", "--help, -h"}},
		{[]string{"help", "models", "show"}, []string{"Example: bridge models show "}},
	} {
		stdout, _ := mustExit(t, exitDone, c.args...)
		for _, w := range c.want {
			if !strings.Contains(stdout, w) {
				t.Errorf("bridge %s: no %q in\n%s", strings.Join(c.args, " "), w, stdout)
			}
		}
	}
}

func TestVerify(t *testing.T) {
	golden := filepath.Join("..", "..", "adapters", "opt", "testdata", "golden-pre-norm")
	results := map[string]string{}
	for _, flag := range []string{"--isolation=none", "--transport=grpc", "--transport=auto"} {
		results[flag], _ = mustExit(t, exitDone, "verify", golden, flag, "--backend", "go", "--json")
		for _, o := range decodeLines(t, results[flag]) {
			if o["ok"] != true {
				t.Errorf("%s: %v", flag, o)
			}
		}
		if results[flag] != results["--isolation=none"] {
			t.Errorf("%s gives other numbers than --isolation=none:\n%s\n%s", flag, results[flag], results["--isolation=none"])
		}
	}
	vision := filepath.Join("..", "..", "adapters", "vit", "testdata", "golden-quick-gelu")
	stdout, _ := mustExit(t, exitDone, "verify", "--backend=go", "--isolation=none", vision)
	if !strings.Contains(stdout, "encode") {
		t.Errorf("the table: %s", stdout)
	}
	// The pictures have another size than the checkpoint's, and the encoder is in another process.
	resized := filepath.Join("..", "..", "adapters", "eva", "testdata", "golden-larger")
	mustExit(t, exitDone, "verify", "--backend=go", "--isolation=process", resized)
	// The pictures have two sizes, one of which is the checkpoint's.
	both := filepath.Join("..", "..", "adapters", "vit", "testdata", "golden-two-sizes")
	if stdout, _ := mustExit(t, exitDone, "verify", "--backend=go", "--isolation=none", both); strings.Count(stdout, "ok") != 8 {
		t.Errorf("two sizes: want 8 cases\n%s", stdout)
	}
}
