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
RUN="$PYTHON -m tests.benchmarks.candidate"
$RUN --device cuda --budget 16000 --repeat 2 --json "$OUT/shipped.json"
$RUN --device cuda --shapes 135m --tokens 193 --budget 0 --repeat 2 --json "$OUT/135m.json"
$RUN --device cuda --shapes 1.6b --tokens 193 --siblings 4 --budget 0 --repeat 2 --json "$OUT/1.6b.json"
$RUN --device cpu --budget 16000 --repeat 2 --json "$OUT/cpu.json"
