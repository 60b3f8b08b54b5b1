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
	"slices"
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
// there are groups otherwise. It returns an error, and keeps nothing, if the plugin does not compute
// without the flags either, or if a process was ended from outside or took more than a minute.
func (t Trial) Ask(ctx context.Context, groups [][]string) ([]Answer, error) {
	answers := make([]Answer, len(groups))
	var open [][]string // groups without a kept answer
	var places []int    // of these in answers
	for i, kept := range t.Kept(groups) {
		if kept != nil {
			answers[i] = *kept
			continue
		}
		open, places = append(open, groups[i]), append(places, i)
	}
	if len(open) == 0 {
		return answers, nil
	}
	found, err := t.try(ctx, open)
	if err != nil {
		return nil, err
	}
	for i, place := range places {
		answers[place] = found[i]
	}
	t.keep(open, found)
	return answers, nil
}

// try tries all groups at once and, if that fails, each by itself.
func (t Trial) try(ctx context.Context, groups [][]string) ([]Answer, error) {
	answers := make([]Answer, len(groups))
	together, err := t.run(ctx, slices.Concat(groups...))
	if err != nil {
		return nil, err
	}
	if !together.Works {
		alone, err := t.run(ctx, nil)
		if err != nil {
			return nil, err
		}
		if !alone.Works {
			return nil, fmt.Errorf("the plugin does not compute without more flags either: %s", alone.Why)
		}
	}
	for i, group := range groups {
		answers[i] = together
		if together.Works || len(groups) == 1 {
			continue
		}
		if answers[i], err = t.run(ctx, group); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// run computes with the plugin in a process of its own, with the user's flags and others. Its error says
// that the process did not come to its own end.
func (t Trial) run(ctx context.Context, flags []string) (Answer, error) {
	if !canAnswer.Load() {
		return Answer{}, errors.New("this program cannot try flags: its main function does not call xlaflags.AnswerTrial")
	}
	self, err := os.Executable()
	if err != nil {
		return Answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = []string{marker, t.Plugin}
	cmd.Env = append(os.Environ(), Variable+"="+join(User(), flags), "GOTRACEBACK=none")
	cmd.Stderr, cmd.WaitDelay = &stderr, time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return Answer{Works: true}, nil
	case ctx.Err() != nil || !errors.As(err, &exit) || !exit.Exited():
		return Answer{}, fmt.Errorf("a process that tries flags was ended: %w", errors.Join(ctx.Err(), err))
	}
	return Answer{Why: fmt.Sprintf("%v: %s", err, reason(stderr.String()))}, nil
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
