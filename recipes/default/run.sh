#!/usr/bin/env bash
# From nothing to the default checkpoint: synthetic speech, two stages, scores, release. See README.md.
#   MADG_DATA    folder with speech/<iso>/{train,test}.jsonl (recorded speech)
#   MADG_TEXT    folder with <iso>.txt, a sentence a line (what eSpeak NG reads)
#   MADG_ESPEAK  folder for the synthetic speech; made here
# Every step may be killed and started again: finished work is not repeated.
set -euo pipefail
: "${MADG_DATA:?folder with speech/<iso>/train.jsonl}" "${MADG_TEXT:?folder with <iso>.txt}"
export MADG_ESPEAK="${MADG_ESPEAK:-$PWD/espeak}"

madg-speech prepare espeak -o "$MADG_ESPEAK" --text-dir "$MADG_TEXT" \
  --per-language 100 --test 12 --seed 0 \
  --exclude bel,chv,gla,ind,quz,tsn,tam,kat,chr,ckb

source "$(dirname "$0")/../stage.sh"
stage runs/default-static recipes/default/static.yaml
stage runs/default recipes/default/two_stage.yaml
stage runs/default-static-long recipes/default/static_long.yaml

# Recorded languages, and eSpeak NG's rendition of those reserved for evaluation, none of them trained on.
madg-speech prepare espeak -o "$MADG_ESPEAK-reserved" --text-dir "$MADG_TEXT" \
  --langs bel,chv,gla,ind,quz,tsn,tam,kat --per-language 40 --seed 1 --no-territories
evaluate() { # folder, then manifests: generated, none, mean and a wrong language's adapter; both static
  local folder=$1 tests=() training=(--train-text "$MADG_ESPEAK/train.jsonl")
  for manifest in "${@:2}"; do tests+=(--manifest "$manifest"); done
  for manifest in "$MADG_DATA"/speech/*/train.jsonl; do training+=(--train-text "$manifest"); done
  madg-speech evaluate --checkpoint runs/default/checkpoint "${tests[@]}" "${training[@]}" -o "$folder" \
    --adapter-from generated --adapter-from none --adapter-from mean --adapter-from kal
  madg-speech evaluate --checkpoint runs/default-static/checkpoint --checkpoint runs/default-static-long/checkpoint \
    "${tests[@]}" "${training[@]}" -o "$folder"
}
evaluate runs/default-recorded "$MADG_DATA"/speech/*/test.jsonl
evaluate runs/default-reserved "$MADG_ESPEAK-reserved/train.jsonl"

python recipes/default/release.py runs/default/checkpoint madg_speech/checkpoints/default \
  runs/default-recorded/results.json runs/default-reserved/results.json
