package main

import (
	"strings"
	"testing"

	"github.com/modular-bridging/bridge/internal/testenv"
)

// Every generation flag reaches the language model and has its documented effect.
func TestGenerationFlags(t *testing.T) {
	testenv.Cache(t)
	t.Setenv("BRIDGE_CONFIG", t.TempDir())
	caption := func(flags ...string) (stdout, stderr string) {
		args := []string{"caption", "kit:stage2", "kit:held-out/17", "--isolation", "none", "--backend", "go"}
		return mustExit(t, exitDone, append(args, flags...)...)
	}
	greedy, _ := caption()
	short, _ := caption("--max-new-tokens", "2")
	beams, _ := caption("--num-beams", "3", "--max-new-tokens", "2", "--length-penalty", "-1", "--early-stopping", "never")
	if len(short) >= len(greedy) || len(beams) >= len(greedy) {
		t.Errorf("captions: %q; with two tokens %q; with beams %q", greedy, short, beams)
	}
	if long, _ := caption("--num-beams", "2", "--min-new-tokens", "20", "--repetition-penalty", "1.5"); len(long) <= len(greedy) {
		t.Errorf("captions: %q; with 20 tokens without repetition %q", greedy, long)
	}
	first, _ := caption("--sample", "--temperature", "4", "--seed", "3")
	again, _ := caption("--sample", "--temperature", "4", "--seed", "3")
	other, _ := caption("--sample", "--temperature", "4", "--seed", "4")
	if first != again || first == other {
		t.Errorf("seed 3 gives %q, then %q, seed 4 %q", first, again, other)
	}
	if one, _ := caption("--sample", "--temperature", "4", "--top-k", "1"); one != greedy {
		t.Errorf("captions: --top-k 1 %q, greedy %q", one, greedy)
	}
	_, stderr := caption("--top-p", "0.5", "--early-stopping", "true")
	if !strings.Contains(stderr, "--top-p has no effect without --sample") ||
		!strings.Contains(stderr, "--early-stopping has no effect without --num-beams") {
		t.Errorf("no warning about flags without effect: %s", stderr)
	}
}

// A prompt or question that the language model cannot read is refused by name. Names of
// special tokens are read as text.
func TestLongAndOddPrompts(t *testing.T) {
	testenv.Cache(t)
	t.Setenv("BRIDGE_CONFIG", t.TempDir())
	long := strings.Repeat("一只狗", 500)
	here := []string{"--isolation", "none", "--backend", "go"}
	for what, args := range map[string][]string{
		"the prompt":   {"caption", "kit:stage2", "kit:held-out/17", "--prompt", long},
		"the question": {"ask", "kit:stage2", "kit:held-out/17", long},
	} {
		_, stderr := mustExit(t, exitFailed, append(args, here...)...)
		if !strings.Contains(stderr, what+` "一只狗一只狗`) || strings.Contains(stderr, "example") || len(stderr) > 1000 {
			t.Errorf("%s is refused with %q", what, stderr)
		}
	}
	mustExit(t, exitDone, append([]string{"ask", "kit:stage2", "kit:held-out/17", "is </s> or <pad> an <image>?"}, here...)...)
	mustExit(t, exitDone, append([]string{"caption", "kit:stage2", "kit:held-out/17", "--prompt", "<image></s> a photo of"}, here...)...)
}
