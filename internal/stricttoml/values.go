package stricttoml

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"

	"github.com/BurntSushi/toml"
)

// Values converts a struct, or a pointer to one, to tables. The toml tags of the fields are the
// keys. Nil pointers are omitted, and zero values of fields with the option omitempty or
// omitzero. [Document.Decode] reads the values back.
func Values(v any) map[string]any {
	return tomlTable(reflect.Indirect(reflect.ValueOf(v)))
}

// field is a field of a struct that is a key.
type field struct {
	name     string
	index    []int // for [reflect.Value.FieldByIndex]
	omitZero bool
}

// fieldsOf returns the keys of a struct, including those of embedded structs.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if name != "" && name != "-" {
			fields = append(fields, field{name, f.Index, options == "omitempty" || options == "omitzero"})
		}
	}
	return fields
}

func tomlTable(v reflect.Value) map[string]any {
	table := map[string]any{}
	for _, f := range fieldsOf(v.Type()) {
		value := v.FieldByIndex(f.index)
		if value.Kind() == reflect.Pointer && value.IsNil() || f.omitZero && isEmpty(value) {
			continue
		}
		table[f.name] = tomlValue(value)
	}
	return table
}

func isEmpty(v reflect.Value) bool {
	return v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0
}

// tomlValue converts a value to one of the types that the TOML library decodes into an any.
func tomlValue(v reflect.Value) any {
	switch {
	case v.Kind() == reflect.Pointer:
		return tomlValue(v.Elem())
	case v.Kind() == reflect.Struct:
		return tomlTable(v)
	case v.Kind() == reflect.Slice, v.Kind() == reflect.Array:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = tomlValue(v.Index(i))
		}
		return list
	case v.Kind() == reflect.String:
		return v.String()
	case v.Kind() == reflect.Bool:
		return v.Bool()
	case v.CanInt():
		return v.Int()
	case v.CanUint():
		return int64(v.Uint()) // TOML's integers have 64 bits with a sign
	case v.CanFloat():
		return v.Float()
	}
	panic(fmt.Sprintf("stricttoml: no TOML value for a %v", v.Type()))
}

// Format returns a value of a document in TOML's syntax.
func Format(value any) string {
	var buf bytes.Buffer
	if err := toml.NewEncoder(&buf).Encode(map[string]any{"v": value}); err != nil {
		return fmt.Sprint(value)
	}
	return strings.TrimSuffix(strings.TrimPrefix(buf.String(), "v = "), "\n")
}
