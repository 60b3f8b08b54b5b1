package plugins

// Environ is the environment that the host starts the plugin with, without what
// differs from one start to the next: sockets, certificates, descriptors. The
// conformance kit starts plugins with it.
func (c Config) Environ() []string {
	c, err := c.resolve()
	if err != nil {
		return nil // the start says what is wrong
	}
	return append(c.environment(), cookieKey+"="+cookieValue)
}
