#!/usr/bin/env bash
# Adapters under Whisper's frozen text decoder, from a fold to its languages never trained on, in native script.
# Usage: MADG_DATA=fold recipes/seq2seq/run.sh [WORK] (work/seq2seq); the fold has train.jsonl, dev.jsonl and test.jsonl.
# Killed at any moment, it goes on where it stopped.
set -euo pipefail
recipe=$(realpath "$(dirname "$0")")
source "$recipe/../stage.sh"
enter_work "${1:-work/seq2seq}"
python "$recipe/../zero_shot_study/sample.py" "$MADG_DATA" 4
stage static "$recipe/static.yaml"
madg-speech evaluate --checkpoint static/checkpoint --decoder whisper --adapter-from generated --adapter-from none \
  --manifest "$MADG_DATA/sample.jsonl" --train-text "$MADG_DATA/train.jsonl" -o scores
