#!/bin/sh
# Trains the kit's bridges with bridge itself and its shipped recipes, and puts them into
# kit/models. Run tools/kit/build.sh models first. With XLA for the CPU (make xla-cpu) it
# takes about 25 minutes on two cores.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
work=${1:-$(mktemp -d)}
began=$(date +%s)
cd "$root"

make build
bin/bridge train tiny-stage1 --out "$work/stage1"
go run ./tools/kit/pack "$work/stage1/bridge" kit/models/stage1
make build
bin/bridge train tiny-stage2-opt --out "$work/stage2"
go run ./tools/kit/pack "$work/stage2/bridge" kit/models/stage2 kit:stage1
make build
echo "the kit's bridges took $((($(date +%s) - began) / 60)) minutes; the runs are in $work"
