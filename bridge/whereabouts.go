package bridge

import (
	"os"
	"path/filepath"
)

// portable is the information as it is saved in a folder: what lies in the same
// project is named from there, too.
func (i Info) portable(dir string) Info {
	i.Vision = i.Vision.portable(i.Project, dir)
	if i.Language != nil {
		language := i.Language.portable(i.Project, dir)
		i.Language = &language
	}
	i.Stage1Here = fromHere(i.Project, dir, i.Stage1)
	return i
}

func (s Side) portable(project, dir string) Side {
	s.PathHere, s.PluginHere = fromHere(project, dir, s.Path), fromHere(project, dir, s.Plugin)
	return s
}

// fromHere returns path as it is from dir where both lie in the project, else "".
func fromHere(project, dir, path string) string {
	dir, err := filepath.Abs(dir)
	if err != nil || project == "" || !filepath.IsAbs(path) || !Inside(project, dir) || !Inside(project, path) {
		return ""
	}
	here, err := filepath.Rel(dir, path)
	if err != nil {
		return ""
	}
	return filepath.ToSlash(here)
}

// Inside reports whether an absolute path is a folder, or lies below it.
func Inside(dir, path string) bool {
	from, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(from)
}

// located is the information as it is read from a folder: paths are absolute, and
// what lies where it lay from there is meant.
func (i Info) located(dir string) Info {
	there(&i.Vision.Path, &i.Vision.PathHere, dir)
	there(&i.Vision.Plugin, &i.Vision.PluginHere, dir)
	if i.Language != nil {
		there(&i.Language.Path, &i.Language.PathHere, dir)
		there(&i.Language.Plugin, &i.Language.PluginHere, dir)
	}
	there(&i.Stage1, &i.Stage1Here, dir)
	return i
}

// there replaces a path by where it is from dir, if there is something.
func there(path, here *string, dir string) {
	if *here == "" {
		return
	}
	found, err := filepath.Abs(filepath.Join(dir, filepath.FromSlash(*here)))
	if _, statErr := os.Stat(found); err == nil && statErr == nil {
		*path = found
	}
	*here = ""
}
