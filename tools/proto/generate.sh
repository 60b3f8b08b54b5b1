#!/bin/sh
# Regenerates plugins/internal/pb and docs/protocol.md from plugins/proto. It needs Go and protoc
# (Debian: protobuf-compiler). The generators are pinned here.
#
# With --release it also records the schema as released. From then on a test
# (plugins/internal/schema) fails if a change breaks plugins that were built with it.
set -eu
cd "$(dirname "$0")/../.."

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
GOBIN=$bin go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.11
GOBIN=$bin go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.1

PATH=$bin:$PATH protoc \
	--proto_path=plugins/proto \
	--go_out=plugins/internal/pb --go_opt=module=github.com/modular-bridging/bridge/plugins/internal/pb \
	--go-grpc_out=plugins/internal/pb --go-grpc_opt=module=github.com/modular-bridging/bridge/plugins/internal/pb \
	bridge/v1/adapter.proto

if [ "${1:-}" = --release ]; then
	protoc --proto_path=plugins/proto --descriptor_set_out=plugins/proto/released/v1.binpb bridge/v1/adapter.proto
fi

go run ./tools/proto/reference > docs/protocol.md
