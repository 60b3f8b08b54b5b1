package stricttoml

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/modular-bridging/bridge/internal/didyoumean"
)

// Decode writes the document's values into the struct that v points to. A field without a value
// in the document is unchanged, so the struct can hold defaults. The toml tags of the fields are
// the keys. A field without a tag is ignored, except that the fields of an embedded struct
// belong to the outer struct. A map accepts any key. For a table or an array, a string is accepted
// if the type is a TextUnmarshaler. For a string, a number is accepted if the string's type is a
// TextUnmarshaler. A type with a method Wanted() string says in messages what it takes.
//
// Decode adds values and keys that do not fit to the document's problems.
func (d *Document) Decode(v any) {
	d.table(reflect.ValueOf(v).Elem(), d.values, "")
}

func (d *Document) table(dst reflect.Value, src map[string]any, at string) {
	fields := map[string]reflect.Value{}
	var names []string
	for _, f := range fieldsOf(dst.Type()) {
		fields[f.name] = dst.FieldByIndex(f.index)
		names = append(names, f.name)
	}
	for _, key := range sortedKeys(src) {
		field, ok := fields[key]
		if !ok {
			d.unknown(at, key, names)
			continue
		}
		d.value(field, src[key], join(at, key))
	}
}

func (d *Document) unknown(at, key string, names []string) {
	if near := didyoumean.Name(key, names); near != "" {
		d.Errorf(join(at, key), "unknown key; did you mean %s?", join(at, near))
	} else {
		d.Errorf(join(at, key), "unknown key, want one of %s", strings.Join(names, ", "))
	}
	d.problems[len(d.problems)-1].Unknown = true
}

func (d *Document) value(dst reflect.Value, src any, key string) {
	if dst.Kind() == reflect.Pointer {
		if dst.IsNil() {
			dst.Set(reflect.New(dst.Type().Elem()))
		}
		dst = dst.Elem()
	}
	if text, ok := src.(string); ok && (dst.Kind() == reflect.Struct || dst.Kind() == reflect.Slice) {
		if u, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); ok {
			if err := u.UnmarshalText([]byte(text)); err != nil {
				d.Errorf(key, "%v", err)
			}
			return
		}
	}
	if number, ok := numberText(src); ok && dst.Kind() == reflect.String {
		if u, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); ok {
			if err := u.UnmarshalText(number); err != nil {
				d.Errorf(key, "%v", err)
			}
			return
		}
	}
	switch dst.Kind() {
	case reflect.Struct:
		if table, ok := src.(map[string]any); ok {
			d.table(dst, table, key)
			return
		}
	case reflect.Map:
		if table, ok := src.(map[string]any); ok {
			d.entries(dst, table, key)
			return
		}
	case reflect.Slice, reflect.Array:
		if list, ok := listOf(src); ok {
			d.list(dst, list, key)
			return
		}
	default:
		if scalar(dst, src) {
			return
		}
	}
	want := wanted(dst.Type(), src)
	if w, ok := dst.Addr().Interface().(interface{ Wanted() string }); ok {
		want = w.Wanted()
	}
	d.Errorf(key, "is %s, want %s", describe(src), want)
}

// numberText returns the text of a number.
func numberText(src any) (text []byte, ok bool) {
	switch n := src.(type) {
	case int64:
		return strconv.AppendInt(nil, n, 10), true
	case float64:
		return strconv.AppendFloat(nil, n, 'g', -1, 64), true
	}
	return nil, false
}

// listOf returns the values of an array, or the tables of an array of tables.
func listOf(src any) (list []any, ok bool) {
	if tables, ok := src.([]map[string]any); ok {
		for _, t := range tables {
			list = append(list, t)
		}
		return list, true
	}
	list, ok = src.([]any)
	return list, ok
}

func (d *Document) entries(dst reflect.Value, table map[string]any, key string) {
	dst.Set(reflect.MakeMapWithSize(dst.Type(), len(table)))
	for _, k := range sortedKeys(table) {
		entry := reflect.New(dst.Type().Elem()).Elem()
		d.value(entry, table[k], join(key, k))
		dst.SetMapIndex(reflect.ValueOf(k), entry)
	}
}

func (d *Document) list(dst reflect.Value, list []any, key string) {
	if dst.Kind() == reflect.Slice {
		dst.Set(reflect.MakeSlice(dst.Type(), len(list), len(list)))
	} else if dst.Len() != len(list) {
		d.Errorf(key, "has %d values, want %d", len(list), dst.Len())
		return
	}
	for i, v := range list {
		d.value(dst.Index(i), v, key)
	}
}

// scalar assigns src if its type fits. An integer fits a float.
func scalar(dst reflect.Value, src any) bool {
	switch v := src.(type) {
	case string:
		if dst.Kind() != reflect.String {
			return false
		}
		dst.SetString(v)
	case bool:
		if dst.Kind() != reflect.Bool {
			return false
		}
		dst.SetBool(v)
	case float64:
		if dst.Kind() != reflect.Float64 || !finite(v) {
			return false
		}
		dst.SetFloat(v)
	case int64:
		switch dst.Kind() {
		case reflect.Int, reflect.Int64:
			dst.SetInt(v)
		case reflect.Uint64:
			if v < 0 {
				return false
			}
			dst.SetUint(uint64(v))
		case reflect.Float64:
			dst.SetFloat(float64(v))
		default:
			return false
		}
	default:
		return false
	}
	return true
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func describe(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("the string %q", v)
	case map[string]any:
		return "a table"
	case []any, []map[string]any:
		return "an array"
	case int64:
		return fmt.Sprintf("the integer %d", v)
	case float64:
		if !finite(v) {
			return fmt.Sprint(v)
		}
		return fmt.Sprintf("the number %v", v)
	case bool:
		return fmt.Sprintf("%v", v)
	}
	return fmt.Sprintf("a %T", v)
}

// wanted describes the values that fit t, for an error about src.
func wanted(t reflect.Type, src any) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "an integer"
	case reflect.Uint64:
		return "an integer of at least 0"
	case reflect.Float64:
		if _, ok := src.(float64); ok {
			return "a finite number"
		}
		return "a number"
	case reflect.Struct, reflect.Map:
		return "a table"
	}
	return "an array"
}

func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}
