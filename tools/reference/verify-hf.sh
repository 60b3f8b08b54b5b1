#!/bin/sh
# Compares bin/bridge with transformers on whole BLIP-2 folders. It runs verify_hf.py in the
# environment tools/reference/.venv, which the first run makes.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
venv=$here/.venv
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
cmp -s "$here/requirements.txt" "$venv/requirements.txt" || {
    "$venv/bin/python" -m pip install --quiet --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/requirements.txt"
}
exec "$venv/bin/python" "$here/verify_hf.py" "$here/../../bin/bridge" "$@"
