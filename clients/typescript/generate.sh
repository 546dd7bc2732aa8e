#!/bin/sh
# Writes src/gen from the contract in protos/, or into the folder given, to compare.
# Needs `npm ci` to have run, and buf (https://buf.build): $BUF, or the one on PATH.
set -eu
out=${1:-src/gen}
case $out in /*) ;; *) out=$PWD/$out ;; esac
cd "$(dirname "$0")"
if [ $# -eq 0 ]; then
  out=$PWD/src/gen
  rm -rf "$out"
fi
"${BUF:-buf}" generate --template buf.gen.yaml --output "$out"
