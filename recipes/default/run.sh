#!/usr/bin/env bash
# From nothing to the default checkpoint: synthetic speech, stage one, stage two. See README.md.
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

stage() { # a run folder that exists is gone on with
  local run=$1 config=$2
  if [[ -d $run/checkpoint ]]; then
    echo "$run is finished" >&2
  elif [[ -d $run ]]; then
    madg-speech pretrain --config "$config" --resume
  else
    madg-speech pretrain --config "$config"
  fi
}
stage runs/default-static recipes/default/static.yaml
stage runs/default recipes/default/two_stage.yaml
echo "checkpoint: runs/default/checkpoint" >&2
