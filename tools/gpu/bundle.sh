#!/bin/sh
# Packs dist/bridge-gpu.tar.gz: what prove.sh needs on a bare machine with a GPU and Python.
#
#   tools/gpu/bundle.sh [FILE]      default: dist/bridge-gpu.tar.gz
#
# The programs are packed with xz, which Python's standard library reads: bridge, and the tests
# of the Q-Former and of the optimizer. One golden folder of each family goes with them.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
file=${1:-$root/dist/bridge-gpu.tar.gz}
most=45000000
go=${GO:-go}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

command -v xz >/dev/null || { echo "bundle.sh: xz is not installed, and it packs the programs (on Debian: apt install xz-utils)" >&2; exit 1; }
cd "$root"
export GOEXPERIMENT=simd GOFLAGS=-buildvcs=false
out=$work/bridge-gpu
mkdir -p "$out/bin" "$out/golden" "$out/qformer" "$out/optim" "$out/tokenizers"

"$go" build -ldflags='-s -w' -o "$out/bin/bridge" ./cmd/bridge
"$go" test -c -vet=off -ldflags='-s -w' -o "$out/bin/qformer.test" ./qformer
"$go" test -c -vet=off -ldflags='-s -w' -o "$out/bin/optim.test" ./train/optim
for program in bridge qformer.test optim.test; do
    xz --threads=0 -6 "$out/bin/$program"
done

for folder in vit/golden-smaller eva/golden-alone siglip/golden-alone dinov2/golden-registers opt/golden-pre-norm \
    t5/golden-flan llama/golden-llama-3 qwen/golden-qwen3 gpt2/golden-released gemma2/golden-alternating; do
    cp -R "adapters/${folder%/*}/testdata/${folder#*/}" "$out/golden/${folder%/*}"
done
cp -R bridge/testdata/golden-opt "$out/golden/blip2"
cp -R qformer/testdata "$out/qformer/testdata"
cp -R train/optim/testdata "$out/optim/testdata"
for model in tiny-opt tiny-flan-t5; do
    mkdir -p "$out/tokenizers/$model"
    for name in tokenizer.json tokenizer_config.json vocab.json merges.txt; do
        [ ! -f "kit/models/$model/$name" ] || cp "kit/models/$model/$name" "$out/tokenizers/$model/"
    done
done
cp -R kit/models/qformer-tokenizer "$out/tokenizers/qformer"
cp tools/gpu/prove.sh tools/gpu/prove.py tools/gpu/models.py tools/gpu/torch_step.py tools/gpu/README.md LICENSE NOTICE "$out/"
git rev-parse --verify --quiet HEAD >"$out/commit" || echo unknown >"$out/commit"

mkdir -p "$(dirname "$file")"
tar -C "$work" -czf "$file" bridge-gpu
size=$(wc -c <"$file")
if [ "$size" -gt "$most" ]; then
    echo "bundle.sh: $file has $size bytes, want at most $most: leave something out" >&2
    exit 1
fi
echo "wrote $file ($size bytes)"
