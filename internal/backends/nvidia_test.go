package backends

import (
	"strings"
	"testing"
)

func TestParseCards(t *testing.T) {
	cards := parseCards("NVIDIA H200, 580.65.06, 143771, 143160, 9.0\nTesla V100, 535.1, 16384, [N/A], 7.0\nQuadro P4000, 580.1, 8192, 8000, 6.1\n")
	if len(cards) != 2 || cards[0] != (Card{"NVIDIA H200", "580.65.06", 143771, 143160, "9.0"}) {
		t.Fatalf("got %v, want the H200 and the P4000; a line without numbers is left out", cards)
	}
	if got := cards[0].String(); got != "NVIDIA H200, 140 GiB (140 free), driver 580.65.06, compute capability 9.0" {
		t.Errorf("the H200 is described as %q", got)
	}
	if parseCards("NVIDIA-SMI has failed\n") != nil {
		t.Error("a message was read as a card")
	}
}

func TestCardLacks(t *testing.T) {
	for _, c := range []struct {
		card Card
		want string
	}{
		{Card{Driver: "580.65.06", Capability: "9.0"}, ""},
		{Card{Driver: "535.104", Capability: "8.0"}, "driver 535.104 is too old: CUDA 13 needs 580"},
		{Card{Driver: "590.1", Capability: "7.0"}, "needs compute capability 7.5"},
		{Card{Driver: "unknown", Capability: "[N/A]"}, ""},
	} {
		if got := c.card.Lacks(); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%+v lacks %q, want %q", c.card, got, c.want)
		}
	}
}

func TestParseDriver(t *testing.T) {
	for text, want := range map[string]string{
		"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder)\nGCC version:  gcc 12\n": "580.65.06",
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\n":                               "535.183.01",
		"": "", "something else": "",
	} {
		if got := ParseDriver(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
