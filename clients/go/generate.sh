#!/usr/bin/env bash
# Regenerates regsvc/v1 from the protos: generate.sh [OUTPUT_DIRECTORY]
# $BUF names the buf binary; the plugins come from go.mod.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(realpath -m "${1:-$here}")

cd "$here"
rm -rf "$out/regsvc/v1"
"${BUF:-buf}" generate ../../protos --template buf.gen.yaml --output "$out"
