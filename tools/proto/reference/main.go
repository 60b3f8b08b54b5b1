// Command reference writes docs/protocol.md from the .proto files and their
// comments:
//
//	go run ./tools/proto/reference > docs/protocol.md
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// protoFolder and protoFile are the path of the protocol, from the module's root.
const (
	protoFolder = "plugins/proto"
	protoFile   = "bridge/v1/adapter.proto"
)

func main() {
	if err := write(os.Stdout, protoFolder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write reads the protocol in a folder and writes the page.
func write(w io.Writer, folder string) error {
	compiler := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{folder}},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(context.Background(), protoFile)
	if err != nil {
		return err
	}
	p := &page{file: files[0]}
	p.write()
	_, err = io.WriteString(w, p.text.String())
	return err
}

// page is docs/protocol.md while it is written.
type page struct {
	file protoreflect.FileDescriptor
	text strings.Builder
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(&p.text, format+"\n", args...) }

func (p *page) write() {
	p.line("# The plugin protocol: services and messages\n")
	p.line("Generated from [%s](../%s/%s)\nby `go run ./tools/proto/reference > docs/protocol.md`; a test compares the two.", protoFile, protoFolder, protoFile)
	p.line("[plugins/proto/README.md](../%s/README.md) describes everything around the messages: start,\nhandshake, shared memory, errors.\n", protoFolder)
	const syntax = 12 // the field of FileDescriptorProto that has the file's comment
	p.line("%s\n", comment(p.file.SourceLocations().ByPath(protoreflect.SourcePath{syntax})))
	for i := range p.file.Services().Len() {
		p.service(p.file.Services().Get(i))
	}
	for i := range p.file.Messages().Len() {
		p.message(p.file.Messages().Get(i))
	}
	for i := range p.file.Enums().Len() {
		p.enum(p.file.Enums().Get(i))
	}
}

// comment returns the comment before a declaration.
func comment(at protoreflect.SourceLocation) string {
	var lines []string
	for line := range strings.Lines(at.LeadingComments) {
		lines = append(lines, strings.TrimPrefix(strings.TrimRight(line, "\n"), " "))
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// head writes a declaration's title and comment.
func (p *page) head(level string, d protoreflect.Descriptor) {
	p.line("%s %s\n", level, d.Name())
	if text := comment(p.file.SourceLocations().ByDescriptor(d)); text != "" {
		p.line("%s\n", text)
	}
}

func (p *page) service(s protoreflect.ServiceDescriptor) {
	p.head("## Service", s)
	p.line("| Method | Request | Answer | |\n|---|---|---|---|")
	for i := range s.Methods().Len() {
		m := s.Methods().Get(i)
		p.line("| `%s` | %s | %s | %s |", m.Name(), streamed(m.IsStreamingClient(), m.Input()), streamed(m.IsStreamingServer(), m.Output()), p.cell(m))
	}
	p.line("")
}

func streamed(stream bool, message protoreflect.MessageDescriptor) string {
	if stream {
		return "stream of " + link(message)
	}
	return link(message)
}

// link returns a link to a message or an enum on the page.
func link(d protoreflect.Descriptor) string {
	return fmt.Sprintf("[%s](#%s)", d.Name(), strings.ToLower(string(d.Name())))
}

// cell returns the comments of a declaration in one line.
func (p *page) cell(d protoreflect.Descriptor) string {
	at := p.file.SourceLocations().ByDescriptor(d)
	text := strings.TrimSpace(comment(at) + " " + strings.TrimSpace(at.TrailingComments))
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", "\\|")
}

func (p *page) message(m protoreflect.MessageDescriptor) {
	p.head("##", m)
	if m.Fields().Len() == 0 {
		p.line("It has no fields.\n")
		return
	}
	p.line("| # | Field | Type | |\n|---|---|---|---|")
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		p.line("| %d | `%s` | %s | %s |", f.Number(), f.Name(), fieldType(f), p.cell(f))
	}
	p.line("")
	for i := range m.Messages().Len() {
		p.message(m.Messages().Get(i))
	}
	for i := range m.Enums().Len() {
		p.enum(m.Enums().Get(i))
	}
}

// fieldType returns "repeated int32", "one of part: [Chunk](#chunk)".
func fieldType(f protoreflect.FieldDescriptor) string {
	name := f.Kind().String()
	switch {
	case f.Message() != nil:
		name = link(f.Message())
	case f.Enum() != nil:
		name = link(f.Enum())
	}
	oneof := f.ContainingOneof()
	switch {
	case f.IsList():
		return "repeated " + name
	case f.HasOptionalKeyword():
		return "optional " + name
	case oneof != nil:
		return fmt.Sprintf("one of `%s`: %s", oneof.Name(), name)
	}
	return name
}

func (p *page) enum(e protoreflect.EnumDescriptor) {
	p.head("##", e)
	p.line("| # | Value | |\n|---|---|---|")
	for i := range e.Values().Len() {
		v := e.Values().Get(i)
		p.line("| %d | `%s` | %s |", v.Number(), v.Name(), p.cell(v))
	}
	p.line("")
}
