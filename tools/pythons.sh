#!/usr/bin/env bash
# Tests the Python SDK and the numpy example with the Python of other Debian releases:
#
#   tools/pythons.sh DIR [SUITE...]      bullseye trixie sid: Python 3.9, 3.13, 3.14
#
# For each release it makes a system in DIR with debootstrap. It runs the tests of the SDK and
# of the example with the newest grpcio and numpy that pip finds for that Python. On the oldest
# Python it also runs them with the oldest versions that pyproject.toml allows. It needs root and
# the network, and you run it by hand.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD dir=$(realpath -m "$1")
shift
[ $# -gt 0 ] || set -- bullseye trixie sid
mkdir -p "$dir"
CGO_ENABLED=0 go test -c -o "$dir/numpy.test" ./examples/adapter-python-numpy

# inside SYSTEM COMMAND... runs the command in the system. The checkout is mounted at its own
# path, and is always unmounted in the end.
inside() {
	unshare --mount --propagation private sh -ec '
		system=$1 root=$2; shift 2
		mkdir -p "$system$root" && mount --bind "$root" "$system$root" && mount -o remount,bind,ro "$system$root"
		mount -t proc proc "$system/proc" && mount --bind /dev "$system/dev"
		exec chroot "$system" env HOME=/root PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1 "$@"' sh "$1" "$root" "${@:2}"
}

# try SYSTEM PACKAGE... runs the tests with these packages.
try() {
	inside "$1" sh -ec '
		root=$1; shift
		rm -rf /venv && python3 -m venv /venv && /venv/bin/pip install --quiet --upgrade pip && /venv/bin/pip install --quiet "$@"
		/venv/bin/python --version && /venv/bin/pip list 2>/dev/null | grep -E "^(grpcio|numpy) "
		PYTHONPATH=$root/sdk/python /venv/bin/python -m unittest discover -s "$root/sdk/python/tests"
		cd "$root/examples/adapter-python-numpy" && BRIDGE_TEST_PYTHON=/venv/bin/python /numpy.test' sh "$root" "${@:2}"
}

for suite; do
	system=$dir/$suite
	if ! [ -e "$system/made" ]; then
		debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$suite" "$system" >"$dir/$suite.log"
		cp /etc/ssl/certs/ca-certificates.crt "$system/etc/ssl/certs/"
		cp /etc/resolv.conf "$system/etc/"
		touch "$system/made"
	fi
	cp "$dir/numpy.test" "$system/"
	try "$system" grpcio numpy tokenizers
	[ "$suite" != bullseye ] || try "$system" grpcio==1.51.1 numpy==1.21.6
done
