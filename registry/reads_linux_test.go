package registry

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/backends"
)

// opened returns the names of the files in a folder that are opened while work runs.
func opened(t *testing.T, dir string, work func()) []string {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_OPEN); err != nil {
		t.Fatal(err)
	}
	work()
	names := map[string]bool{}
	buffer := make([]byte, 64<<10)
	for {
		n, err := unix.Read(fd, buffer)
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < n; {
			event := (*unix.InotifyEvent)(unsafe.Pointer(&buffer[at]))
			at += unix.SizeofInotifyEvent
			name := string(bytes.TrimRight(buffer[at:at+int(event.Len)], "\x00"))
			at += int(event.Len)
			if name != "" && event.Mask&unix.IN_ISDIR == 0 {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// usualFiles are files that folders of the hub have, so that a family that begins to read one of
// them is noticed.
func usualFiles() []string {
	return append(DefaultFiles(), "chat_template.jinja", "chat_template.json", "sentencepiece.bpe.model", "open_clip_config.json",
		"model_index.json", "quantize_config.json", "video_preprocessor_config.json", "tokenizer.tiktoken", "pytorch_model.bin")
}

// Every file of its folder that a family opens is in the lock and, of an encoder, in the key of
// its features.
func TestEveryFileThatAFamilyReadsIsInTheLock(t *testing.T) {
	for _, f := range goldenFolders(t) {
		t.Run(f.family.Name+"/"+filepath.Base(f.Dir), func(t *testing.T) {
			b := f.copied(t)
			mustLock(t, b, opened(t, b.Path, func() { tryToOpen(t, f.family, b.Path) }))
			for _, name := range usualFiles() {
				path := filepath.Join(b.Path, name)
				if _, err := os.Stat(path); err != nil && !bytes.ContainsAny([]byte(name), "*") && filepath.Ext(name) != ".safetensors" &&
					name != "processor_config.json" { // it replaces preprocessor_config.json
					write(t, path, "{}")
				}
			}
			mustLock(t, b, opened(t, b.Path, func() { tryToOpen(t, f.family, b.Path) }))
			for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} { // then others take its place
				if err := os.Remove(filepath.Join(b.Path, name)); err != nil {
					t.Fatal(err)
				}
			}
			write(t, filepath.Join(b.Path, "processor_config.json"), "{}")
			mustLock(t, b, opened(t, b.Path, func() { tryToOpen(t, f.family, b.Path) }))
		})
	}
}

// mustLock checks that a model's lock has the files that its family has opened.
func mustLock(t *testing.T, b Backbone, names []string) {
	t.Helper()
	if len(names) < 2 {
		t.Errorf("only %v were opened", names)
	}
	e, err := b.FilesEntry("")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if e.Files[name] == "" {
			t.Errorf("%s is read, and not in the lock", name)
		}
		if b.Kind == adapters.KindVision && slices.Contains(languageFiles(), name) {
			t.Errorf("the encoder reads %s, which is not in the key of its features", name)
		}
	}
}

// tryToOpen opens a model. An error is no failure, because the folder has files of other models.
func tryToOpen(t *testing.T, family adapters.Family, dir string) {
	t.Helper()
	req := &adapters.LoadRequest{Checkpoint: dir, Backend: backends.TestName()}
	if family.Kind == adapters.KindVision {
		if m, err := family.OpenVision(t.Context(), req); err == nil {
			m.Close()
		}
		return
	}
	if m, err := family.OpenLanguage(t.Context(), req); err == nil {
		m.Close()
	}
}
