#!/usr/bin/env bash
# Does pretraining without text help CTC? Three cells and a comparison. See README.md.
#   MADG_DATA  folder with speech/<iso>/{train,test}.jsonl (recorded speech)
# Every step may be killed and started again: finished work is not repeated.
set -euo pipefail
: "${MADG_DATA:?folder with speech/<iso>/train.jsonl}"

cell() { # a run folder that exists is gone on with
  local run=$1 config=$2
  if [[ -d $run/checkpoint ]]; then
    echo "$run is finished" >&2
  elif [[ -d $run ]]; then
    madg-speech pretrain --config "$config" --resume
  else
    madg-speech pretrain --config "$config"
  fi
}
cell runs/ssl-best-rq recipes/ssl/best_rq.yaml
cell runs/ssl-ctc recipes/ssl/ctc.yaml
cell runs/ssl-ctc-from-best-rq recipes/ssl/ctc_from_best_rq.yaml

tests=()
for manifest in "$MADG_DATA"/speech/{mal,yor,ell,swh,spa,ita,fra,deu,nld,rus,ukr,bul,ces,ron,cat}/test.jsonl; do
  tests+=(--manifest "$manifest")
done
training=()
for manifest in "$MADG_DATA"/speech/*/train.jsonl; do training+=(--train-text "$manifest"); done
madg-speech evaluate --checkpoint runs/ssl-ctc-from-best-rq/checkpoint --checkpoint runs/ssl-ctc/checkpoint \
  "${tests[@]}" "${training[@]}" -o runs/ssl-scores
