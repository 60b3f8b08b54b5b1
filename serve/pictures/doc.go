// Package pictures owns how a server gets the pictures of a request: from data URLs, from the kit,
// and from hosts that the configuration lists. It trusts neither the client nor the hosts.
package pictures
