package xlaflags

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/modular-bridging/bridge/internal/atomicfile"
)

// Answer says whether a plugin computes with some flags.
type Answer struct {
	Works bool   `json:"works"`
	Why   string `json:"why,omitempty"` // what the plugin said, if it does not
}

// file is the name of the file with the answers, by the names of the flags.
const file = "flags.json"

// kept is the content of the file.
type kept struct {
	Plugin  string            `json:"plugin"`
	Answers map[string]Answer `json:"answers"`
}

// Kept returns the kept answer for each group of flags, or nil. It starts no process.
func (t Trial) Kept(groups [][]string) []*Answer {
	found := make([]*Answer, len(groups))
	known := t.read()
	for i, group := range groups {
		if answer, ok := known.Answers[key(group)]; ok {
			found[i] = &answer
		}
	}
	return found
}

// read returns the content of the file, which is empty if the file cannot be read: asking again costs
// time, and nothing else.
func (t Trial) read() (k kept) {
	if t.Folder == "" {
		return kept{}
	}
	data, err := os.ReadFile(filepath.Join(t.Folder, file))
	if err != nil || json.Unmarshal(data, &k) != nil || k.Plugin != t.Plugin {
		return kept{}
	}
	return k
}

// keep adds answers to the file. If it cannot be written, the next process asks again.
func (t Trial) keep(groups [][]string, found []Answer) {
	if t.Folder == "" || os.MkdirAll(t.Folder, 0o755) != nil {
		return
	}
	all := t.read()
	all.Plugin = t.Plugin
	if all.Answers == nil {
		all.Answers = map[string]Answer{}
	}
	for i, answer := range found {
		all.Answers[key(groups[i])] = answer
	}
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return
	}
	_ = atomicfile.WriteBytes(filepath.Join(t.Folder, file), append(data, '\n'))
}

// key names a group by its flags without their values.
func key(group []string) string {
	names := make([]string, len(group))
	for i, flag := range group {
		names[i] = name(flag)
	}
	return strings.Join(names, " ")
}
