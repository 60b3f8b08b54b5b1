// Package schema compares two versions of a protocol: what programs that were
// built with the older one rely on must be in the newer one.
//
// buf does the same and more, and is no library: its checks are in private
// packages, and building its command takes longer than all other checks of CI.
// The rules here are those of buf's category FILE for what the protocol uses;
// BRIDGE_TEST_BUF=/path/to/buf makes the tests ask buf as well.
package schema

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Breaks lists what a newer version of a file takes from those who use the older
// one, in words; nothing where all of it is still there.
func Breaks(older, newer protoreflect.FileDescriptor) []string {
	c := &comparison{}
	c.same(older, "syntax", older.Syntax(), newer.Syntax())
	c.same(older, "package", older.Package(), newer.Package())
	c.messages(older.Messages(), newer.Messages())
	c.enums(older.Enums(), newer.Enums())
	c.services(older.Services(), newer.Services())
	return c.breaks
}

type comparison struct{ breaks []string }

func (c *comparison) add(of protoreflect.Descriptor, format string, args ...any) {
	c.breaks = append(c.breaks, string(of.FullName())+" "+fmt.Sprintf(format, args...))
}

// same reports a property that has changed.
func (c *comparison) same(of protoreflect.Descriptor, what string, was, is any) {
	if was != is {
		c.add(of, "had the %s %v, has %v", what, was, is)
	}
}

// list is one of protoreflect's, of descriptors of one kind.
type list[D protoreflect.Descriptor] interface {
	Len() int
	Get(int) D
}

// each compares every descriptor of an older list with what find, which is nil where
// nothing is, takes for the same in the newer file.
func each[D protoreflect.Descriptor](c *comparison, older list[D], find func(was D) D, compare func(was, is D)) {
	for i := range older.Len() {
		was := older.Get(i)
		is := find(was)
		if any(is) == nil {
			c.add(was, "is gone")
			continue
		}
		compare(was, is)
	}
}

func (c *comparison) messages(older, newer protoreflect.MessageDescriptors) {
	find := func(was protoreflect.MessageDescriptor) protoreflect.MessageDescriptor {
		return newer.ByName(was.Name())
	}
	each(c, older, find, func(was, is protoreflect.MessageDescriptor) {
		c.fields(was, is)
		c.reserved(was, is)
		c.messages(was.Messages(), is.Messages())
		c.enums(was.Enums(), is.Enums())
	})
}

func (c *comparison) fields(older, newer protoreflect.MessageDescriptor) {
	find := func(was protoreflect.FieldDescriptor) protoreflect.FieldDescriptor {
		return newer.Fields().ByNumber(was.Number())
	}
	each(c, older.Fields(), find, func(was, is protoreflect.FieldDescriptor) {
		c.same(was, "name", was.Name(), is.Name())
		c.same(was, "JSON name", was.JSONName(), is.JSONName())
		c.same(was, "type", typeOf(was), typeOf(is))
		c.same(was, "cardinality", was.Cardinality(), is.Cardinality())
		c.same(was, "presence", was.HasPresence(), is.HasPresence())
		c.same(was, "packing", was.IsPacked(), is.IsPacked())
		c.same(was, "oneof", oneofOf(was), oneofOf(is))
	})
}

// typeOf names a field's type, that of a message or an enum by its full name.
func typeOf(f protoreflect.FieldDescriptor) string {
	switch {
	case f.Message() != nil:
		return string(f.Message().FullName())
	case f.Enum() != nil:
		return string(f.Enum().FullName())
	}
	return f.Kind().String()
}

// oneofOf names the oneof that a field is in; that which protoc makes for a
// single optional field is none.
func oneofOf(f protoreflect.FieldDescriptor) string {
	if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
		return string(o.Name())
	}
	return "none"
}

// reserved reports what was reserved, so that nobody uses it again, and is not.
func (c *comparison) reserved(older, newer protoreflect.MessageDescriptor) {
	for i := range older.ReservedRanges().Len() {
		r := older.ReservedRanges().Get(i)
		for n := r[0]; n < r[1]; n++ {
			if !newer.ReservedRanges().Has(n) {
				c.add(older, "no longer reserves the number %d", n)
				break
			}
		}
	}
	for i := range older.ReservedNames().Len() {
		if name := older.ReservedNames().Get(i); !newer.ReservedNames().Has(name) {
			c.add(older, "no longer reserves the name %s", name)
		}
	}
}

func (c *comparison) enums(older, newer protoreflect.EnumDescriptors) {
	find := func(was protoreflect.EnumDescriptor) protoreflect.EnumDescriptor { return newer.ByName(was.Name()) }
	each(c, older, find, func(was, is protoreflect.EnumDescriptor) {
		find := func(was protoreflect.EnumValueDescriptor) protoreflect.EnumValueDescriptor {
			return is.Values().ByNumber(was.Number())
		}
		each(c, was.Values(), find, func(was, is protoreflect.EnumValueDescriptor) {
			c.same(was, "name", was.Name(), is.Name())
		})
	})
}

func (c *comparison) services(older, newer protoreflect.ServiceDescriptors) {
	find := func(was protoreflect.ServiceDescriptor) protoreflect.ServiceDescriptor {
		return newer.ByName(was.Name())
	}
	each(c, older, find, func(was, is protoreflect.ServiceDescriptor) { c.methods(was.Methods(), is.Methods()) })
}

func (c *comparison) methods(older, newer protoreflect.MethodDescriptors) {
	find := func(was protoreflect.MethodDescriptor) protoreflect.MethodDescriptor { return newer.ByName(was.Name()) }
	each(c, older, find, func(was, is protoreflect.MethodDescriptor) {
		c.same(was, "request", was.Input().FullName(), is.Input().FullName())
		c.same(was, "response", was.Output().FullName(), is.Output().FullName())
		c.same(was, "stream of requests", was.IsStreamingClient(), is.IsStreamingClient())
		c.same(was, "stream of responses", was.IsStreamingServer(), is.IsStreamingServer())
	})
}
