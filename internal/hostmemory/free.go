package hostmemory

// Host is the memory of the machine, or of the control group that bounds this process.
type Host struct {
	Total int64  // bytes that processes may have at most
	Free  int64  // bytes that they can have now, without the pages of files that the system may drop
	Bound string // what bounds Total: "the machine" or "the control group"
}
