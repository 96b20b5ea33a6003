#!/usr/bin/env bash
# CER of the joint run and its controls on languages of clades that were never heard, on the development
# languages and then on the tested ones.
# Usage: MADG_DATA=fold recipes/joint/score.sh [WORK]; the fold has train.jsonl, dev.jsonl and test.jsonl
set -euo pipefail
: "${MADG_DATA:?folder with train.jsonl, dev.jsonl and test.jsonl}"
fold=$(realpath "$MADG_DATA")
cd "${1:-work/joint}"
for set in dev test; do
  madg-speech evaluate --checkpoint joint/checkpoint/speech --checkpoint shuffled/checkpoint/speech \
    --checkpoint speech-alone/checkpoint --manifest "$fold/$set.jsonl" -o "scores-$set"
  madg-speech evaluate --checkpoint joint/checkpoint/speech --adapter-from mean \
    --manifest "$fold/$set.jsonl" -o "scores-$set"
done
