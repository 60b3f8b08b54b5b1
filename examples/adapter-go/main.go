// Command adapter-go is a plugin with a language model in plain Go.
//
//	bridge-adapter-bigram -init DIR [-text FILE]   make a checkpoint folder
//	bridge-adapter-bigram                          serve (bridge starts it like this)
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/plugins"
)

const sampleText = `a dog on a red background
a cat on a blue background
an apple left of a dog on a green background
two cats on a yellow background`

func main() {
	dir := flag.String("init", "", "make a checkpoint in this `folder` instead of serving")
	text := flag.String("text", "", "`file` to count words in, one sentence on each line (default: a few sentences)")
	flag.Parse()
	if *dir == "" {
		plugins.Serve(family()) // does not return
	}
	if err := initialize(*dir, *text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// family describes the models that this plugin serves.
func family() adapters.Family {
	return adapters.Family{
		Name: "bigram", Kind: adapters.KindLanguage, ModelTypes: []string{"bigram"},
		OpenLanguage: func(_ context.Context, req *adapters.LoadRequest) (adapters.LanguageModel, error) {
			return open(req)
		},
	}
}

// checkpoint is config.json, the only file of a checkpoint folder. Counting words is so
// quick that the text itself serves as the weights.
type checkpoint struct {
	ModelType string `json:"model_type"`
	Width     int    `json:"width"` // D of the soft prompts
	Text      string `json:"text"`  // one sentence on each line
}

func initialize(dir, textFile string) error {
	c := checkpoint{ModelType: "bigram", Width: 32, Text: sampleText}
	if textFile != "" {
		text, err := os.ReadFile(textFile)
		if err != nil {
			return err
		}
		c.Text = string(text)
	}
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), b, 0o644)
}
