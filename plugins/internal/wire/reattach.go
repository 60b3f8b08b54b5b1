package wire

// DebugKey names the environment variable that lets an author start a plugin by hand.
const DebugKey = "BRIDGE_DEBUG"

// ReattachKey names the environment variable that lists plugins which the host did not
// start, because their authors run them under a debugger. It holds a JSON object from
// names to attachments. The host connects to such a plugin and never starts, restarts
// or ends it. The connection has no TLS, and the process no lifeline.
const ReattachKey = "BRIDGE_REATTACH"

// Attachment says where such a plugin listens, in the form of go-plugin's
// ReattachConfig.
type Attachment struct {
	Protocol        string
	ProtocolVersion int
	Pid             int
	Test            bool // go-plugin's word for "the host does not end it"
	Addr            Address
}

// Address is the address of a listener, as [net.Addr] reports it.
type Address struct{ Network, String string }
