#!/usr/bin/env bash
# From a local corpus to scores. Usage: recipes/NAME/run.sh PATH [WORK] [prepare options...]
# PATH is the corpus, a folder or an archive; all output goes to WORK (default: work/NAME).
set -euo pipefail
name=$1 corpus=$(realpath "$2") work=${3:-work/$1}
recipe=$(realpath "$(dirname "$0")/$name")
shift $(($# < 3 ? $# : 3))
mkdir -p "$work"
cd "$work"
export MADG_CORPUS=$PWD/data
madg-speech prepare "$name" "$corpus" -o data "$@"
source "$recipe/../stage.sh"
stage static "$recipe/config.yaml"
stage two-stage "$recipe/two_stage.yaml"
heldout=data/test.jsonl
[ -f "$heldout" ] || heldout=data/dev.jsonl
madg-speech evaluate --checkpoint two-stage/checkpoint --checkpoint static/checkpoint \
  --adapter-from generated --adapter-from none \
  --manifest "$heldout" --train-text data/train.jsonl -o scores
