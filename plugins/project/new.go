package project

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/modular-bridging/bridge/adapters"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/plugins/manifest"
)

// templateName is the plugin's name in the templates.
const templateName = "mybackbone"

//go:embed all:template
var templates embed.FS

// New writes a project that can be built. It writes the whole project or nothing.
func New(o Options) (*Project, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(o.Dir); err == nil {
		return nil, adapters.Errorf(adapters.Invalid, "%s already exists", o.Dir).
			WithRemedy("nothing was changed; choose another name, or another folder with --dir")
	}
	if err := atomicfile.Dir(o.Dir, o.write); err != nil {
		return nil, err
	}
	return Open(o.Dir)
}

// write fills the project's folder.
func (o Options) write(dir string) error {
	goTemplate := "template/go-" + string(o.Kind)
	if o.Language == "go" {
		if err := o.writeTemplates(dir, "template/common", goTemplate); err != nil {
			return err
		}
		return writeGoSDK(dir, o.module())
	}
	if err := o.writeTemplates(dir, "template/common", "template/python", "template/python-"+string(o.Kind)); err != nil {
		return err
	}
	if err := o.writeTemplates(filepath.Join(dir, "checkpoint"), goTemplate+"/checkpoint"); err != nil { // both languages use the same one
		return err
	}
	return writePythonSDK(dir)
}

// module returns the path of a Go project's module.
func (o Options) module() string { return "example.com/" + manifest.Prefix + o.Name }

// writeTemplates copies the templates in folders. It executes files that end in .tmpl, with
// the options as data. In all files and file names, the project's name replaces NAME and
// [templateName].
func (o Options) writeTemplates(dir string, folders ...string) error {
	for _, from := range folders {
		err := fs.WalkDir(templates, from, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.Contains(file, "__pycache__") { // which tests leave behind
				return err
			}
			return o.writeTemplate(dir, file, strings.TrimPrefix(file, from+"/"))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (o Options) writeTemplate(dir, file, name string) error {
	text, err := fs.ReadFile(templates, file)
	if err != nil {
		return err
	}
	name, executed := strings.CutSuffix(strings.ReplaceAll(name, "NAME", o.Name), ".tmpl")
	if executed {
		if text, err = o.execute(file, text); err != nil {
			return err
		}
	}
	text = bytes.ReplaceAll(text, []byte(templateName), []byte(o.Name))
	return writeFile(filepath.Join(dir, filepath.FromSlash(name)), text)
}

func (o Options) execute(file string, text []byte) ([]byte, error) {
	t, err := template.New(path.Base(file)).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, map[string]any{
		"Go": o.Language == "go", "Vision": o.Kind == adapters.KindVision, "Kind": o.Kind, "Name": o.Name, "Program": manifest.Prefix + o.Name,
	})
	return out.Bytes(), err
}

// writeFile writes a file and the folders above it. A script gets the mode of a program.
func writeFile(file string, text []byte) error {
	mode := os.FileMode(0o644)
	if bytes.HasPrefix(text, []byte("#!")) {
		mode = 0o755
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, text, mode); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
