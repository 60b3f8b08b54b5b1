#!/bin/sh
# Installs XLA's CPU plugin where bridge looks for it. Run it once; nothing else
# of bridge needs it: without a plugin the Go backend computes.
#
#   tools/xla/install-cpu.sh [FOLDER]      default: ~/.local/lib/go-xla
#
# The plugin comes out of a PyPI wheel, fetched by pip as pip is configured. Set
# PIP to use another one ("python3 -m pip", "uv pip").
set -eu

version=0.11.2
sha256=1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1
member=lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so
folder=${1:-${HOME:?set HOME or name a folder}/.local/lib/go-xla}
target=$folder/pjrt_c_api_cpu_plugin.so

case "$(uname -s)-$(uname -m)" in
Linux-x86_64) ;;
*) echo "install-cpu.sh: the plugin exists for Linux on x86-64 only, this is $(uname -s) on $(uname -m)" >&2; exit 1 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

${PIP:-python3 -m pip} download --quiet --no-deps --only-binary :all: --dest "$work" "lammps-jax-pjrt-cpu==$version"
wheel=$(echo "$work"/*.whl)
echo "$sha256  $wheel" | sha256sum --check --quiet || {
    echo "install-cpu.sh: the wheel is not the one that was checked; nothing installed" >&2
    exit 1
}
python3 - "$wheel" "$member" "$work/plugin.so" <<'PYTHON'
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel, wheel.open(sys.argv[2]) as source, open(sys.argv[3], "wb") as target:
    shutil.copyfileobj(source, target)
PYTHON
mkdir -p "$folder"
cp "$work/plugin.so" "$target.partial"
mv "$target.partial" "$target"
echo "installed $target"
