package schema

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/modular-bridging/bridge/internal/testenv"
	"github.com/modular-bridging/bridge/plugins/internal/pb"
)

// released reads the schema that plugins in use were built with.
func released(t *testing.T) *descriptorpb.FileDescriptorProto {
	t.Helper()
	return readSet(t, filepath.Join("..", "..", "proto", "released", "v1.binpb"))
}

func readSet(t *testing.T, path string) *descriptorpb.FileDescriptorProto {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil || len(set.File) != 1 {
		t.Fatalf("%s holds %d files, %v; want one", path, len(set.File), err)
	}
	return set.File[0]
}

func describe(t *testing.T, f *descriptorpb.FileDescriptorProto) protoreflect.FileDescriptor {
	t.Helper()
	d, err := protodesc.NewFile(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// bridge/v1/adapter.proto breaks nothing that released plugins were built with.
func TestProtocolKeepsWhatWasReleased(t *testing.T) {
	for _, b := range Breaks(describe(t, released(t)), pb.File_bridge_v1_adapter_proto) {
		t.Errorf("%s: plugins that are in use rely on it; add another field, or a new major of the protocol", b)
	}
}

// The generated code, which the test above reads, was generated from adapter.proto.
func TestGeneratedCodeIsOfTheFile(t *testing.T) {
	protoc, err := exec.LookPath("protoc")
	if err != nil {
		testenv.Lacking(t, "protoc", err)
	}
	path := filepath.Join(t.TempDir(), "now.binpb")
	out, err := exec.Command(protoc, "--proto_path="+filepath.Join("..", "..", "proto"), "--descriptor_set_out="+path, "bridge/v1/adapter.proto").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if now := readSet(t, path); !proto.Equal(now, protodesc.ToFileDescriptorProto(pb.File_bridge_v1_adapter_proto)) {
		t.Error("plugins/internal/pb is not what adapter.proto says: run tools/proto/generate.sh")
	}
}

// file helps to edit a schema.
type file struct {
	*descriptorpb.FileDescriptorProto
}

func (f file) message(name string) *descriptorpb.DescriptorProto {
	i := slices.IndexFunc(f.MessageType, func(m *descriptorpb.DescriptorProto) bool { return m.GetName() == name })
	return f.MessageType[i]
}

func (f file) field(message, name string) *descriptorpb.FieldDescriptorProto {
	m := f.message(message)
	return m.Field[slices.IndexFunc(m.Field, func(d *descriptorpb.FieldDescriptorProto) bool { return d.GetName() == name })]
}

func (f file) remove(message, name string) {
	m := f.message(message)
	m.Field = slices.DeleteFunc(m.Field, func(d *descriptorpb.FieldDescriptorProto) bool { return d.GetName() == name })
}

func (f file) method(name string) *descriptorpb.MethodDescriptorProto {
	s := f.Service[0]
	return s.Method[slices.IndexFunc(s.Method, func(m *descriptorpb.MethodDescriptorProto) bool { return m.GetName() == name })]
}

func kind(t descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto_Type {
	return &t
}

// edits are changes of the schema; what an edit breaks is named, empty where it
// breaks nothing.
func edits() map[string]struct {
	edit   func(f file)
	breaks string
} {
	type change = struct {
		edit   func(f file)
		breaks string
	}
	return map[string]change{
		"nothing": {func(file) {}, ""},
		"another message": {func(f file) {
			f.MessageType = append(f.MessageType, &descriptorpb.DescriptorProto{Name: proto.String("More")})
		}, ""},
		"another field": {func(f file) {
			m := f.message("Hello")
			m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{Name: proto.String("more"), JsonName: proto.String("more"), Number: proto.Int32(99),
				Type: kind(descriptorpb.FieldDescriptorProto_TYPE_STRING), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()})
		}, ""},
		"another part of a oneof": {func(f file) {
			m := f.message("Reply")
			m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{Name: proto.String("more"), JsonName: proto.String("more"), Number: proto.Int32(99), OneofIndex: proto.Int32(0),
				Type: kind(descriptorpb.FieldDescriptorProto_TYPE_STRING), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()})
		}, ""},
		"another value": {func(f file) {
			f.EnumType[0].Value = append(f.EnumType[0].Value, &descriptorpb.EnumValueDescriptorProto{Name: proto.String("EARLY_STOPPING_MORE"), Number: proto.Int32(9)})
		}, ""},
		"another method": {func(f file) {
			m := proto.Clone(f.method("Settle")).(*descriptorpb.MethodDescriptorProto)
			m.Name = proto.String("More")
			f.Service[0].Method = append(f.Service[0].Method, m)
		}, ""},
		"another package": {func(f file) {
			f.Package = proto.String("bridge.v9")
			text := func(s *string) {
				if s != nil {
					*s = strings.Replace(*s, ".bridge.v1.", ".bridge.v9.", 1)
				}
			}
			for _, m := range f.MessageType {
				for _, d := range m.Field {
					text(d.TypeName)
				}
			}
			for _, m := range f.Service[0].Method {
				text(m.InputType)
				text(m.OutputType)
			}
		}, "package"},
		"message gone": {func(f file) {
			f.MessageType = slices.DeleteFunc(f.MessageType, func(m *descriptorpb.DescriptorProto) bool { return m.GetName() == "Candidates" })
			f.remove("ScoreRequest", "candidates")
		}, "Candidates is gone"},
		"field gone": {func(f file) { f.remove("Failure", "remedy") }, "Failure.remedy is gone"},
		"field gone and its number reserved": {func(f file) {
			f.remove("Failure", "remedy")
			m := f.message("Failure")
			m.ReservedName = append(m.ReservedName, "remedy")
			m.ReservedRange = append(m.ReservedRange, &descriptorpb.DescriptorProto_ReservedRange{Start: proto.Int32(4), End: proto.Int32(5)})
		}, "Failure.remedy is gone"},
		"field renumbered": {func(f file) { f.field("Failure", "remedy").Number = proto.Int32(44) }, "Failure.remedy is gone"},
		"field renamed": {func(f file) {
			d := f.field("Failure", "remedy")
			d.Name, d.JsonName = proto.String("cure"), proto.String("cure")
		}, "Failure.remedy had the name"},
		"JSON renamed": {func(f file) { f.field("Failure", "remedy").JsonName = proto.String("cure") }, "Failure.remedy had the JSON name"},
		"type changed": {func(f file) {
			f.field("Progress", "done").Type = kind(descriptorpb.FieldDescriptorProto_TYPE_INT32)
		}, "Progress.done had the type int64, has int32"},
		"message type changed": {func(f file) { f.field("LossRequest", "prompts").TypeName = proto.String(".bridge.v1.Chunk") }, "LossRequest.prompts had the type"},
		"enum type changed": {func(f file) {
			d := f.field("GenerateOptions", "early_stopping")
			d.Type, d.TypeName = kind(descriptorpb.FieldDescriptorProto_TYPE_INT32), nil
		}, "GenerateOptions.early_stopping had the type"},
		"repeated no more": {func(f file) {
			f.field("Tensor", "shape").Label = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()
		}, "Tensor.shape had the cardinality"},
		"repeated now": {func(f file) {
			f.field("Failure", "op").Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		}, "Failure.op had the cardinality"},
		"optional no more": {func(f file) {
			d := f.field("LoadRequest", "feature_layer")
			d.Proto3Optional, d.OneofIndex = nil, nil
			f.message("LoadRequest").OneofDecl = nil
		}, "LoadRequest.feature_layer had the presence"},
		"out of the oneof": {func(f file) { f.field("Reply", "failure").OneofIndex = nil }, "Reply.failure had the oneof part"},
		"oneof renamed":    {func(f file) { f.message("Reply").OneofDecl[0].Name = proto.String("body") }, "had the oneof part, has body"},
		"value gone": {func(f file) {
			f.EnumType[0].Value = f.EnumType[0].Value[:2]
		}, "EARLY_STOPPING_NEVER is gone"},
		"value renamed": {func(f file) { f.EnumType[0].Value[1].Name = proto.String("EARLY_STOPPING_YES") }, "EARLY_STOPPING_TRUE had the name"},
		"service gone":  {func(f file) { f.Service = nil }, "Adapter is gone"},
		"method gone": {func(f file) {
			f.Service[0].Method = slices.DeleteFunc(f.Service[0].Method, func(m *descriptorpb.MethodDescriptorProto) bool { return m.GetName() == "Score" })
		}, "Adapter.Score is gone"},
		"request changed":     {func(f file) { f.method("Settle").InputType = proto.String(".bridge.v1.Hello") }, "Adapter.Settle had the request"},
		"response changed":    {func(f file) { f.method("Settle").OutputType = proto.String(".bridge.v1.Hello") }, "Adapter.Settle had the response"},
		"stream of responses": {func(f file) { f.method("Load").ServerStreaming = nil }, "Adapter.Load had the stream of responses"},
		"stream of requests":  {func(f file) { f.method("Loss").ClientStreaming = nil }, "Adapter.Loss had the stream of requests"},
	}
}

func TestBreaks(t *testing.T) {
	older := describe(t, released(t))
	for name, c := range edits() {
		t.Run(name, func(t *testing.T) {
			edited := released(t)
			c.edit(file{edited})
			got := Breaks(older, describe(t, edited))
			if c.breaks == "" && len(got) > 0 || c.breaks != "" && !strings.Contains(strings.Join(got, "\n"), c.breaks) {
				t.Errorf("breaks %q, want %q", got, c.breaks)
			}
			askBuf(t, edited, c.breaks != "")
		})
	}
	t.Run("reserved no more", func(t *testing.T) {
		with := released(t)
		m := file{with}.message("Failure")
		m.ReservedName = []string{"cause"}
		m.ReservedRange = []*descriptorpb.DescriptorProto_ReservedRange{{Start: proto.Int32(40), End: proto.Int32(43)}}
		got := strings.Join(Breaks(describe(t, with), older), "\n")
		if !strings.Contains(got, "no longer reserves the number 40") || !strings.Contains(got, "no longer reserves the name cause") {
			t.Errorf("breaks %q", got)
		}
	})
}

// askBuf compares with buf's verdict, where there is a buf.
func askBuf(t *testing.T, edited *descriptorpb.FileDescriptorProto, breaks bool) {
	t.Helper()
	buf := os.Getenv("BRIDGE_TEST_BUF")
	if buf == "" {
		return
	}
	data, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{edited}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "edited.binpb")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(buf, "breaking", path, "--against", filepath.Join("..", "..", "proto", "released", "v1.binpb")).CombinedOutput()
	if (err != nil) != breaks {
		t.Errorf("buf says %v\n%s", err, out)
	}
}
