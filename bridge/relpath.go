package bridge

import (
	"os"
	"path/filepath"
)

// withRelPaths returns i as it is saved in the folder dir: with a relative path beside the
// absolute path of everything in the same project.
func (i Info) withRelPaths(dir string) Info {
	i.Vision = i.Vision.withRelPaths(i.Project, dir)
	if i.Language != nil {
		language := i.Language.withRelPaths(i.Project, dir)
		i.Language = &language
	}
	i.Stage1Rel = relPath(i.Project, dir, i.Stage1)
	return i
}

func (s Side) withRelPaths(project, dir string) Side {
	s.PathRel, s.PluginRel = relPath(project, dir, s.Path), relPath(project, dir, s.Plugin)
	return s
}

// relPath returns path relative to dir, with slashes, if both lie in the project, else "".
func relPath(project, dir, path string) string {
	dir, err := filepath.Abs(dir)
	if err != nil || project == "" || !filepath.IsAbs(path) || !Inside(project, dir) || !Inside(project, path) {
		return ""
	}
	rel, err := filepath.Rel(dir, path)
	if err != nil {
		return ""
	}
	return filepath.ToSlash(rel)
}

// Inside reports whether path is dir or lies below it; both are absolute.
func Inside(dir, path string) bool {
	from, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(from)
}

// resolveRelPaths returns i as it is read from the folder dir. Each relative path under
// which something exists replaces the absolute path that was saved beside it, so that a
// project can be moved as a whole.
func (i Info) resolveRelPaths(dir string) Info {
	resolveRelPath(&i.Vision.Path, &i.Vision.PathRel, dir)
	resolveRelPath(&i.Vision.Plugin, &i.Vision.PluginRel, dir)
	if i.Language != nil {
		resolveRelPath(&i.Language.Path, &i.Language.PathRel, dir)
		resolveRelPath(&i.Language.Plugin, &i.Language.PluginRel, dir)
	}
	resolveRelPath(&i.Stage1, &i.Stage1Rel, dir)
	return i
}

// resolveRelPath replaces path by rel, joined to dir, if that exists. It clears rel.
func resolveRelPath(path, rel *string, dir string) {
	if *rel == "" {
		return
	}
	found, err := filepath.Abs(filepath.Join(dir, filepath.FromSlash(*rel)))
	if _, statErr := os.Stat(found); err == nil && statErr == nil {
		*path = found
	}
	*rel = ""
}
