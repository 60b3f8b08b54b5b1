#!/bin/sh
# Installs XLA's CPU plugin in the folder where bridge looks for it. Run it once. It is
# optional: without the plugin, bridge uses the Go backend.
#
#   tools/xla/install-cpu.sh [FOLDER]      default: ~/.local/lib/go-xla
#
# The binary contains this script: bridge doctor --install xla-cpu runs it.
#
# The plugin is part of a PyPI wheel, which pip downloads with its own configuration. Set
# PIP to use another pip ("python3.12 -m pip").
set -eu

version=0.11.2
sha256=1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1
package=lammps-jax-pjrt-cpu
member=lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so

fail() {
    echo "install-cpu.sh: $*; nothing installed" >&2
    exit 1
}

case "$(uname -s)-$(uname -m)" in
Linux-x86_64) ;;
*) fail "the plugin exists for Linux on x86-64 only, this is $(uname -s) on $(uname -m)" ;;
esac
command -v python3 >/dev/null || fail "python3 is not installed, and pip and the unpacking need it (on Debian: apt install python3 python3-pip)"
command -v sha256sum >/dev/null || fail "sha256sum is not installed, and the download is checked with it"
folder=${1:-${HOME:?set HOME or name a folder}/.local/lib/go-xla}
target=$folder/pjrt_c_api_cpu_plugin.so
pip=${PIP:-python3 -m pip}

work=$(mktemp -d)
trap 'rm -rf "$work" "$target.$$"' EXIT
trap 'exit 130' INT TERM

echo "install-cpu.sh: fetching $package $version (62 MB, 201 MB unpacked)" >&2
if ! $pip download --quiet --no-deps --only-binary :all: --dest "$work" "$package==$version"; then
    $pip --version >/dev/null 2>&1 || fail "\`$pip\` does not run: install pip (on Debian: apt install python3-pip), or set PIP to one that does"
    fail "pip could not fetch $package $version, see above; without a network, fetch the wheel elsewhere and unpack $member from it into $folder"
fi
wheel=$(echo "$work"/*.whl)
echo "$sha256  $wheel" | sha256sum -c >/dev/null 2>&1 || fail "the wheel is not the one that was checked (its SHA-256 is not $sha256)"
python3 - "$wheel" "$member" "$work/plugin.so" <<'PYTHON'
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel, wheel.open(sys.argv[2]) as source, open(sys.argv[3], "wb") as target:
    shutil.copyfileobj(source, target)
PYTHON
mkdir -p "$folder"
cp "$work/plugin.so" "$target.$$"
mv "$target.$$" "$target"
echo "installed $target"
