#!/usr/bin/env bash
# Runs every fuzzer in git for the given time each. New fuzzers are found without an entry.
# usage: tools/fuzz.sh 10s
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
git grep -E '^func Fuzz' -- '*_test.go' | sed -E 's|^(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]*).*|\1 \2|' |
	while read -r folder name; do
		echo "$name in $folder"
		# Minimizing an interesting input may take a minute, in which nothing else is tried.
		# One second is enough. make lint vets the code.
		if "$go" test -vet=off -run '^$' -fuzz "^$name\$" -fuzztime "$1" -fuzzminimizetime 1s "./$folder" >"$log" 2>&1 </dev/null; then
			tail -n 3 "$log"
			continue
		fi
		cat "$log"
		# Go's fuzzer may report the end of its own time as a failure. For a real failure it
		# prints the input.
		if grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"; then
			echo "$name: the time was over, nothing failed"
			continue
		fi
		exit 1
	done
