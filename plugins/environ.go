package plugins

// Environ is the environment that the host starts the plugin with in a private
// folder, without what differs from one start to the next: sockets, certificates,
// descriptors. The conformance kit starts plugins with it.
func (c Config) Environ(private string) []string {
	c, err := c.resolve()
	if err != nil {
		return nil // the start says what is wrong
	}
	return append(c.environment(private), cookieKey+"="+cookieValue)
}
