#!/bin/sh
# Rebuilds the files that package kit embeds, from artwork and scripts only.
#
#   tools/kit/build.sh sprites   kit/scene/sprites, from three npm packages (needs npm; seconds)
#   tools/kit/build.sh models    kit/models: the frozen models and the tokenizer (an hour and a half
#                              next to other work, 41 minutes on an idle machine)
#   tools/kit/build.sh check     measures the frozen models; fails if one is not good enough (minutes)
#   tools/kit/build.sh all       all three, in this order
#
# Python packages go into tools/kit/.venv, and all other intermediate files into a temporary folder.
# New sprites change every picture, so train the models again after them.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=$here/.venv
began=$(date +%s)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python_ready() {
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --requirement "$here/requirements.txt"
}

scenes_ready() {
    [ -x "$work/scenes" ] || (cd "$root" && go build -o "$work/scenes" ./tools/kit/scenes)
}

sprites() {
    python_ready
    npm install --prefix "$work/npm" --no-save --no-audit --no-fund --ignore-scripts \
        emoji-datasource-google@16.0.0 emoji-datasource-twitter@16.0.0 \
        @iconify-json/fluent-emoji-flat@1.2.6
    "$venv/bin/python" "$here/sprites.py" --packages "$work/npm" --out "$root/kit/scene/sprites"
}

# train SCRIPT FOLDER [OPTION]... runs one training in the temporary folder and moves the result into place.
train() {
    echo "== $2"
    script=$1 folder=$2
    shift 2
    "$venv/bin/python" -u "$here/$script.py" --scenes "$work/scenes" --out "$work/$folder" "$@"
    chmod 644 "$work/$folder"/*
    mkdir -p "$root/kit/models"
    rm -rf "${root:?}/kit/models/$folder"
    mv "$work/$folder" "$root/kit/models/$folder"
}

models() {
    python_ready
    scenes_ready
    train qformer_tokenizer qformer-tokenizer
    train vit tiny-vit
    train vit tiny-vit-wide --width 160 --layers 3 --heads 5 --mlp 3 --steps 3000
    train opt tiny-opt
    train opt small-opt --width 144 --layers 5 --heads 6 --vocabulary 448 --context 192 --steps 4000 --rate 1.3e-3
    train t5 tiny-flan-t5
}

check() {
    python_ready
    scenes_ready
    "$venv/bin/python" "$here/check.py" --scenes "$work/scenes" --models "$root/kit/models" --strict
}

case ${1:-} in
sprites | models | check) "$1" ;;
all) sprites; models; check ;;
*)
    echo "usage: $0 sprites | models | check | all" >&2
    exit 2
    ;;
esac

echo "build.sh $1 took $((($(date +%s) - began) / 60)) minutes"
