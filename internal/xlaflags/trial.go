package xlaflags

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/modular-bridging/bridge/internal/printable"
)

// Trial tries flags with a plugin.
type Trial struct {
	Plugin string // absolute path of the plugin's file
	Folder string // keeps the answers; it need not exist. Empty keeps none
}

// timeout bounds a process that tries flags. A plugin for GPUs takes seconds to start.
const timeout = time.Minute

// Identity returns a name for a plugin's file that changes with its path, size and time of change.
func Identity(plugin string) (string, error) {
	info, err := os.Stat(plugin)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d", plugin, info.Size(), info.ModTime().UnixNano()))
	return hex.EncodeToString(sum[:8]), nil
}

// Ask returns for each group of flags whether the plugin computes with it beside the user's flags. It
// starts processes for groups without a kept answer: one if all of them work, at most two more than
// there are groups otherwise. If the plugin does not compute without the flags either, Ask returns
// an error and keeps nothing.
func (t Trial) Ask(ctx context.Context, groups [][]string) ([]Answer, error) {
	answers := t.Kept(groups)
	var open []int
	var all []string
	for i, answer := range answers {
		if answer == nil {
			open = append(open, i)
			all = append(all, groups[i]...)
		}
	}
	found, err := t.try(ctx, all, len(open), func(i int) []string { return groups[open[i]] })
	if err != nil {
		return nil, err
	}
	for i, answer := range found {
		answers[open[i]] = &answer
	}
	result := make([]Answer, len(groups))
	for i, answer := range answers {
		result[i] = *answer
	}
	if len(open) > 0 {
		t.keep(groups, result)
	}
	return result, nil
}

// try tries n groups, first all at once and then each by itself.
func (t Trial) try(ctx context.Context, all []string, n int, group func(i int) []string) ([]Answer, error) {
	answers := make([]Answer, n)
	if n == 0 {
		return answers, nil
	}
	together := t.run(ctx, all)
	if together != nil {
		if err := t.run(ctx, nil); err != nil {
			return nil, fmt.Errorf("the plugin does not compute without more flags either: %w", err)
		}
	}
	for i := range answers {
		err := together
		if err != nil && n > 1 {
			err = t.run(ctx, group(i))
		}
		if answers[i].Works = err == nil; err != nil {
			answers[i].Why = err.Error()
		}
	}
	return answers, ctx.Err()
}

// run computes with the plugin in a process of its own, with the user's flags and others.
func (t Trial) run(ctx context.Context, flags []string) error {
	if !canAnswer.Load() {
		return errors.New("this program cannot try flags: its main function does not call xlaflags.AnswerTrial")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = []string{marker, t.Plugin}
	cmd.Env = append(os.Environ(), Variable+"="+join(User(), flags), "GOTRACEBACK=none")
	cmd.Stderr, cmd.WaitDelay = &stderr, time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, reason(stderr.String()))
	}
	return nil
}

// reason returns the line that says why a process ended: that of XLA about flags, or the first.
func reason(stderr string) string {
	first := ""
	for line := range strings.Lines(stderr) {
		line = printable.Name(strings.TrimSpace(line))
		if _, after, found := strings.Cut(line, "] Unknown flag"); found {
			return "Unknown flag" + after
		}
		if first == "" && !strings.HasPrefix(line, "WARNING: All log messages before absl::InitializeLog") {
			first = line
		}
	}
	if first == "" {
		return "it said nothing"
	}
	return first
}

// marker is the first argument of this program when it is started to compute with a plugin.
const marker = "bridge-xla-trial"

// canAnswer says that this program calls [AnswerTrial].
var canAnswer atomic.Bool

// AnswerTrial must be called at the beginning of main. It returns at once, unless the process was started
// by [Trial.Ask]. In that process it calls compute with the path of the plugin, and does not return.
func AnswerTrial(compute func(plugin string) error) {
	canAnswer.Store(true)
	if len(os.Args) != 2 || os.Args[0] != marker {
		return
	}
	time.AfterFunc(timeout, func() { os.Exit(1) }) // also if the process that asked was killed
	if err := compute(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
