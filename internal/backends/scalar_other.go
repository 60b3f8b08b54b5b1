//go:build !unix

package backends

// replaceProcess does nothing: a process cannot be replaced here.
func replaceProcess(string) {}
