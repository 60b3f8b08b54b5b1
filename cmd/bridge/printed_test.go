//go:build unix

package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/runs"
)

// awkward is a folder name that a shell reads as something else.
const awkward = "it's a $HOME \"run\""

// cancelOn cancels a context when a text is written.
type cancelOn struct {
	bytes.Buffer
	text   string
	cancel context.CancelFunc
}

func (c *cancelOn) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.text) {
		c.cancel()
	}
	return c.Buffer.Write(p)
}

// paste runs a printed command in a shell, and checks that it succeeds.
func paste(t *testing.T, dir, command string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-e", "-c", command)
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("pasted %s: %v\n%s", command, err, out)
	}
	return string(out)
}

// printedCommand returns the only line of a text with a command, or the command in a remedy.
func printedCommand(t *testing.T, text, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1)
	if len(found) != 1 {
		t.Fatalf("%d commands like %s, want 1, in\n%s", len(found), pattern, text)
	}
	return found[0][1]
}

// In a folder with a blank, quotes and a dollar, what commands print can be pasted: the command
// that continues an interrupted run, the one for a stage-1 bridge, the runs of a folder, and the
// next steps of a new plugin.
func TestWhatIsPrintedCanBePasted(t *testing.T) {
	if testing.Short() {
		t.Skip("short: trains for some seconds")
	}
	dir := filepath.Join(guideShell(t), awkward)
	testenv.Cache(t)
	must(t, os.Mkdir(dir, 0o755))
	t.Chdir(dir)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log := &cancelOn{text: "features of kit:held-out", cancel: cancel}
	out := filepath.Join("-my 'runs'", "a $b")
	args := shortRun("bridge", "train", "tiny-stage1", "--out", out)
	if status := run(ctx, args, io.Discard, log); status != exitInterrupted {
		t.Fatalf("the interrupted run has status %d\n%s", status, log)
	}
	paste(t, dir, printedCommand(t, log.String(), `(?m)^  (bridge train .* --resume)$`))

	_, stderr := mustExit(t, exitFailed, "caption", "./"+out, "kit:held-out/0")
	command := printedCommand(t, stderr, `\(train stage 2 from it: (.*)\)\n`)
	paste(t, dir, strings.Replace(command, "train RECIPE", "recipes check tiny-stage2-opt", 1))

	_, stderr = mustExit(t, exitFailed, "compare", "./"+filepath.Dir(out))
	paste(t, dir, "bridge compare "+printedCommand(t, stderr, `\(name the runs in it: (.*)\)\n`))

	stdout, _ := mustExit(t, exitDone, "plugin", "new", "mine", "--lang", "go", "--kind", "vision-encoder", "--no-build", "--dir", "-the $plugin")
	paste(t, dir, printedCommand(t, stdout, `(?m)^  (cd .*)$`)+"; test -f plugin.toml")
}

// The shell reads the commands that the demo prints as the words that they are for.
func TestTheDemosNextCommandsCanBePasted(t *testing.T) {
	warm := filepath.Join("-runs", awkward, "warm")
	var out bytes.Buffer
	p := &program{stdout: &out}
	must(t, p.printDemo("-runs", runs.DemoResult{Warm: runs.Outcome{Dir: warm}}))
	cost, err := runs.DemoColdCost()
	must(t, err)
	if !strings.Contains(out.String(), "\n  "+cost.Cold.Command+"\n") {
		t.Errorf("the command of the cold start is not a line of its own:\n%s", out.String())
	}
	_, commands, _ := strings.Cut(out.String(), "Try next:\n")
	got := paste(t, t.TempDir(), "bridge() { printf '<%s>' \"$@\"; echo; }\n"+commands)
	at := "<./" + warm + ">"
	want := "<serve>" + at + "\n<caption>" + at + "<kit:held-out/17>\n<ask>" + at + "<kit:held-out/17><what color is the background?>\n" +
		"<retrain><--llm><tiny-opt><--from>" + at + "<--out><runs/back>\n<recipes><show><tiny-stage1>\n"
	if got != want {
		t.Errorf("the shell reads\n%swant\n%s", got, want)
	}
}
