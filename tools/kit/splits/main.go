// Command splits writes the pictures and texts of splits of the kit's data set, for the Python
// scripts in docs/swapping/ideas.
//
//	splits DIR SPLIT...
//
// For each split it writes DIR/SPLIT.rgb, uint8[n, 64, 64, 3], and DIR/SPLIT.jsonl, a line for each
// picture: {"caption": TEXT, "questions": [[QUESTION, ANSWER], ...]}.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/modular-bridging/bridge/kit"
)

// texts is the line of a picture.
type texts struct {
	Caption   string      `json:"caption"`
	Questions [][2]string `json:"questions"`
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: splits DIR SPLIT...")
		os.Exit(2)
	}
	for _, split := range os.Args[2:] {
		if err := write(filepath.Join(os.Args[1], split), kit.Split(split)); err != nil {
			fmt.Fprintln(os.Stderr, "splits:", err)
			os.Exit(1)
		}
	}
}

// write writes a split as base.rgb and base.jsonl.
func write(base string, split kit.Split) error {
	data, err := kit.Open(split)
	if err != nil {
		return err
	}
	pictures, err := os.Create(base + ".rgb")
	if err != nil {
		return err
	}
	defer pictures.Close()
	lines, err := os.Create(base + ".jsonl")
	if err != nil {
		return err
	}
	defer lines.Close()
	pixels, encoded := bufio.NewWriterSize(pictures, 1<<18), bufio.NewWriter(lines)
	encoder := json.NewEncoder(encoded)
	for i := range data.Len() {
		example := data.Example(i)
		t := texts{Caption: example.Caption}
		for _, q := range example.Questions {
			t.Questions = append(t.Questions, [2]string{q.Question, q.Answer})
		}
		if _, err := pixels.Write(data.Image(i)); err != nil {
			return err
		}
		if err := encoder.Encode(t); err != nil {
			return err
		}
	}
	return errors.Join(pixels.Flush(), encoded.Flush(), pictures.Close(), lines.Close())
}
