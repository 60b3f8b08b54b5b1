// Package xla contains the script that installs XLA's CPU plugin, so that the
// binary can run it without a checkout (bridge doctor --install xla-cpu).
package xla

import _ "embed"

//go:embed install-cpu.sh
var installCPU string

// InstallCPU returns install-cpu.sh, for sh.
func InstallCPU() string { return installCPU }
