#!/bin/sh
# Builds tokenizer/tokenizer.wasm.gz from this folder's crate. You can run it from any
# folder. It needs cargo and gzip:
#
#	rustup target add wasm32-wasip1
#	tools/tokenizer/build.sh
#
# Cargo.lock pins every dependency. The result is the same byte for byte only with the same
# rustc (rust-toolchain.toml).
set -eu
cd "$(dirname "$0")"
# This keeps paths of the building machine out of the module.
RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo --remap-path-prefix=$PWD=/crate"
export RUSTFLAGS
cargo build --release --locked --target wasm32-wasip1
gzip -9 -n -c target/wasm32-wasip1/release/bridge_tokenizer.wasm >../../tokenizer/tokenizer.wasm.gz
