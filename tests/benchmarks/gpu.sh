#!/usr/bin/env bash
# What a candidate, a gradient step and a merge cost on a GPU, in one go, in under eight minutes on one card:
#
#     tests/benchmarks/gpu.sh [OUT]
#
# Founders in the shape of larger models are made on the spot. Results go to OUT/*.json and, of the merge, to
# OUT/merge.txt (bench/gpu). With SHAPE=tiny DEVICE=cpu the script itself can be tried anywhere.
set -euo pipefail
cd "$(dirname "$0")/../.."
OUT=${1:-bench/gpu}
PYTHON=${PYTHON:-python}
SHAPE=${SHAPE:-1.6b}
DEVICE=${DEVICE:-cuda}
mkdir -p "$OUT"
RUN="$PYTHON -m tests.benchmarks.candidate"
$RUN --device "$DEVICE" --budget 16000 --repeat 2 --json "$OUT/shipped.json"
if [ "$SHAPE" != tiny ]; then
    $RUN --device "$DEVICE" --shapes 135m --tokens 193 --budget 0 --repeat 2 --json "$OUT/135m.json"
fi
$RUN --device "$DEVICE" --shapes "$SHAPE" --tokens 193 --siblings 4 --budget 0 --repeat 2 --json "$OUT/$SHAPE.json"

FOUNDERS=$(mktemp -d)
trap 'rm -rf "$FOUNDERS"' EXIT
$PYTHON -c "
import sys
from pathlib import Path
from tests.benchmarks.candidate import founders_of_chance
founders_of_chance(sys.argv[1], Path(sys.argv[2]), device=sys.argv[3])" "$SHAPE" "$FOUNDERS" "$DEVICE"
{
    echo "merge_method: ties"
    echo "base_model: $FOUNDERS/founder-0"
    echo "dtype: bfloat16"
    echo "models:"
    for NUMBER in 1 2 3; do
        echo "- {model: $FOUNDERS/founder-$NUMBER, parameters: {weight: 0.4, density: 0.5}}"
    done
} > "$FOUNDERS/ties.yml"
: > "$OUT/merge.txt"
for WHERE in cpu "$DEVICE" cpu "$DEVICE"; do  # the first of each compiles
    rm -rf "$FOUNDERS/merged"
    TIMEFORMAT="ties of $SHAPE on $WHERE: %R s"
    { time $PYTHON -c "from tui.cli.main import main; main()" \
        merge "$FOUNDERS/ties.yml" "$FOUNDERS/merged" --device "$WHERE" > /dev/null; } 2>> "$OUT/merge.txt"
done
cat "$OUT/merge.txt"

$RUN --device cpu --budget 16000 --repeat 2 --json "$OUT/cpu.json"
