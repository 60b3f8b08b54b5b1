#!/usr/bin/env bash
# Runs the tests of every package that starts a goroutine, in its own code or in its
# tests, under the race detector. A new package needs no entry here.
# usage: tools/race.sh [PACKAGES...]   (default: all of them)
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}

if [ $# -eq 0 ]; then
	mapfile -t packages < <(git grep -lE '(^|[[:space:]])go (func|[A-Za-z_.]+\()|\.Go\(func' -- '*.go' ':!*/template/*' |
		xargs -n1 dirname | sort -u | sed 's|^|./|')
	set -- "${packages[@]}"
fi
echo "the race detector on: $*"
# GoMLX's vector kernels convert pointers in a way that checkptr, which -race turns on,
# takes for a mistake.
"$go" test -race -vet=off -gcflags=all=-d=checkptr=0 -timeout 60m -short "$@"
