#!/usr/bin/env bash
# Phones instead of letters: generated adapters, the shared one, and the rival that only masks the shared head.
# Usage: MADG_DATA=fold recipes/phones/run.sh [WORK] (work/phones); the fold has train.jsonl, dev.jsonl and test.jsonl.
# Each stage is a cell of its own; one that was killed goes on where it stopped.
set -euo pipefail
recipe=$(realpath "$(dirname "$0")")
source "$recipe/../stage.sh"
enter_work "${1:-work/phones}"
for name in static two_stage static_long; do
  stage "${name//_/-}" "$recipe/$name.yaml"
done
for set in dev test; do
  madg-speech evaluate --checkpoint two-stage/checkpoint --checkpoint static-long/checkpoint --inventory \
    --manifest "$MADG_DATA/$set.jsonl" -o "scores-$set"
  madg-speech evaluate --checkpoint two-stage/checkpoint --adapter-from mean --manifest "$MADG_DATA/$set.jsonl" -o "scores-$set"
done
