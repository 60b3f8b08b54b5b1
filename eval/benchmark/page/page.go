// Package page writes evaluations as one HTML file, which loads nothing from a network: figures with
// their intervals beside those of papers, bars by type, and samples with pictures. A reader filters
// the samples by type, score and text. The page can be used on a phone, in dark mode and by
// keyboard; without JavaScript it shows all of its samples.
//
// All text is escaped and has no control characters, because answers come from models and names
// come from files. The page's own policy forbids every script but its own.
//
// The package reads no files: [Pick] chooses the samples to show, and the caller opens their
// pictures.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"

	"github.com/modular-bridging/bridge/eval/benchmark"
	"github.com/modular-bridging/bridge/internal/atomicfile"
	"github.com/modular-bridging/bridge/internal/printable"
)

// PictureSide is the longer side of the pictures on a page, in pixels.
const PictureSide = 192

// Page is the content of a page, in its order.
type Page struct {
	Title string
	// Tasks are evaluations of one model.
	Tasks  []Task
	Footer string // how to make the page again
}

// Task is an evaluated task.
type Task struct {
	Result  *benchmark.Result
	Samples []Sample // those that are shown
	All     int      // samples of the run
}

// Sample is a sample with its pictures.
type Sample struct {
	benchmark.Sample
	Pictures [][]byte // JPEG files
	// Missing says why a picture is not shown; empty if all are.
	Missing string
}

//go:embed page.html
var text string

//go:embed page.js
var script string

// Write renders the page.
func (p Page) Write(w io.Writer) error {
	t, err := template.New("page").Parse(text)
	if err != nil {
		return fmt.Errorf("page template: %w", err)
	}
	v := view{Title: p.Title, Footer: p.Footer, Policy: policy(), Script: template.JS(script)}
	for i, task := range p.Tasks {
		v.Tasks = append(v.Tasks, viewOf(i, task))
	}
	var buf bytes.Buffer
	if err := t.Execute(&buf, v); err != nil {
		return err
	}
	_, err = io.WriteString(w, printable.Text(buf.String()))
	return err
}

// policy returns the element with the page's policy: it loads pictures and styles of its own file, and
// runs the one script that has the digest.
func policy() template.HTML {
	digest := sha256.Sum256([]byte(script))
	return template.HTML(`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-` +
		base64.StdEncoding.EncodeToString(digest[:]) + `'; base-uri 'none'; form-action 'none'">`)
}

// WriteFile renders the page into a file. After an error, the file is unchanged.
func (p Page) WriteFile(path string) error { return atomicfile.Write(path, p.Write) }
