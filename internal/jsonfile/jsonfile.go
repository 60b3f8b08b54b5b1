// Package jsonfile decodes JSON files of checkpoint folders. Its errors are for people: they have
// the key, the value and the expected type. It must not know the keys of any file.
package jsonfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/modular-bridging/bridge/adapters"
)

// Decode decodes the text of a file into v. Errors have kind [adapters.Corrupt], except that an
// error of package adapters from a value's UnmarshalJSON keeps its kind and remedy.
func Decode(path string, data []byte, v any) error { return DecodePart(path, "", data, v) }

// DecodePart is like [Decode], for the value of a key in a file.
func DecodePart(path, key string, data []byte, v any) error {
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	var refused *adapters.Error // returned by a value's own UnmarshalJSON
	if errors.As(err, &refused) {
		c := *refused
		c.Message = path + ": " + c.Message
		return &c
	}
	return adapters.Errorf(adapters.Corrupt, "%s: %w", path, Explain(key, data, err)).WithRemedy("download or write the file again")
}

// Explain converts an error of encoding/json to an error with the file's keys and values. data is
// the value of key in its file.
func Explain(key string, data []byte, err error) error {
	var wrong *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrong):
		return describe(data, key, wrong)
	case errors.As(err, &syntax):
		return fmt.Errorf("not valid JSON: %w", err)
	}
	return err
}

// describe returns the error for a value in data with a wrong type. before is the key of data in
// its file.
func describe(data []byte, before string, wrong *json.UnmarshalTypeError) error {
	key, value := find(data, wrong.Field)
	key = strings.Trim(before+"."+key, ".")
	found, _, _ := strings.Cut(wrong.Value, " ") // "number 1.5"
	switch wanted := wantedType(wrong.Type); {
	case key == "":
		return fmt.Errorf("got %s, want %s", name(found), wanted)
	case kind(value) != found: // the error is inside the key's value
		return fmt.Errorf("in %s: got %s, want %s", key, name(found), wanted)
	default:
		return fmt.Errorf("%s is %s, want %s", key, abbreviate(value), wanted)
	}
}

// find returns the key and the value in the file for a path of encoding/json, which also contains
// the names of embedded structs.
func find(data []byte, path string) (key string, value json.RawMessage) {
	value = data
	var keys []string
	for _, part := range strings.Split(path, ".") {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			break
		}
		for k, v := range object {
			if strings.EqualFold(k, part) {
				keys, value = append(keys, k), v
				break
			}
		}
	}
	return strings.Join(keys, "."), value
}

// kind returns encoding/json's name of a value's kind.
func kind(value json.RawMessage) string {
	if len(value) == 0 {
		return ""
	}
	switch value[0] {
	case '"':
		return "string"
	case '[':
		return "array"
	case '{':
		return "object"
	case 't', 'f':
		return "bool"
	}
	return "number"
}

// name returns the name of a kind in error messages.
func name(kind string) string {
	if plain, ok := map[string]string{"string": "text", "array": "a list", "object": "an object", "bool": "true or false"}[kind]; ok {
		return plain
	}
	return "a " + kind
}

// wantedType describes the JSON values that a Go type accepts.
func wantedType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return wantedType(t.Elem())
	case reflect.Bool:
		return name("bool")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number of 0 or more"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return name("string")
	case reflect.Slice, reflect.Array:
		return name("array")
	}
	return name("object")
}

// abbreviate returns the text of a value, truncated if it is long.
func abbreviate(value json.RawMessage) string {
	const most = 40
	text := strings.Join(strings.Fields(string(value)), " ")
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "…"
}
