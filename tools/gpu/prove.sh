#!/bin/sh
# Proves that bridge works on this machine's GPU, and measures how fast.
#
#   ./prove.sh [--platform cuda|cpu] [--small] [--out DIR] [--minutes N] [--wheels DIR] [--only STEP]...
#
# It needs Python 3.9 or newer, and nothing else: no Go, no network. README.md describes the steps.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=$(command -v "${PYTHON:-python3}") || { echo "prove.sh: ${PYTHON:-python3} is not installed: install Python 3.9 or newer, or set PYTHON to its path" >&2; exit 1; }
# Python finds its own file by this path. By its name alone it needs PATH, which an empty environment lacks.
exec "$python" -u "$here/prove.py" "$@"
