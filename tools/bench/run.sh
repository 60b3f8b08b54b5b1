#!/bin/sh
# Compares bridge's speed and memory with PyTorch + transformers, in one run.
#
#   tools/bench/run.sh [OPTION]...     takes the options of bench.py; --help lists them
#
# The Python packages are those of tools/kit, in its tools/kit/.venv. Set PYTHON to use an
# interpreter that has them already. Checkpoints with random weights (8 GB) are made in
# tools/bench/.work, or in the folder WORK, and kept for the next run.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${WORK:-$here/.work}

[ -r /proc/self/status ] || { echo "run.sh: peak memory is read from /proc, which this system lacks: use Linux" >&2; exit 1; }
python=${PYTHON:-}
if [ -z "$python" ]; then
    venv=$root/tools/kit/.venv
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --requirement "$root/tools/kit/requirements.txt"
    python=$venv/bin/python
fi
mkdir -p "$work"
(cd "$root" && GOEXPERIMENT=simd go build -buildvcs=false -o "$work/bridge-side" ./tools/bench &&
    GOEXPERIMENT=simd go build -buildvcs=false -o "$work/bridge" ./cmd/bridge) # serves the language model of rows that train
exec "$python" -u "$here/bench.py" --bridge "$work/bridge-side" --work "$work" "$@"
