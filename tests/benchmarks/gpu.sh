#!/usr/bin/env bash
# What a candidate and a merge cost on a GPU, in one go, in under eight minutes on one card:
#
#     tests/benchmarks/gpu.sh [OUT]
#
# Founders in the shape of larger models are made on the spot. Results go to OUT/*.json (bench/gpu).
set -euo pipefail
cd "$(dirname "$0")/../.."
OUT=${1:-bench/gpu}
PYTHON=${PYTHON:-python}
mkdir -p "$OUT"
$PYTHON -m tests.benchmarks.candidate --device cuda --shapes 135m --budget 16000 --json "$OUT/135m.json"
$PYTHON -m tests.benchmarks.candidate --device cuda --shapes 1.6b --siblings 4 --repeat 2 --budget 0 \
    --json "$OUT/1.6b.json"
$PYTHON -m tests.benchmarks.candidate --device cpu --budget 16000 --json "$OUT/cpu.json"
