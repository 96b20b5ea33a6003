#!/usr/bin/env bash
# Does pretraining without text help CTC? Three cells and a comparison. See README.md.
#   MADG_DATA  folder with speech/<iso>/{train,test}.jsonl (recorded speech)
# Every step may be killed and started again: finished work is not repeated.
set -euo pipefail
: "${MADG_DATA:?folder with speech/<iso>/train.jsonl}"

source "$(dirname "$0")/../stage.sh"
stage runs/ssl-best-rq recipes/ssl/best_rq.yaml
stage runs/ssl-ctc recipes/ssl/ctc.yaml
stage runs/ssl-ctc-from-best-rq recipes/ssl/ctc_from_best_rq.yaml

tests=()
for manifest in "$MADG_DATA"/speech/{mal,yor,ell,swh,spa,ita,fra,deu,nld,rus,ukr,bul,ces,ron,cat}/test.jsonl; do
  tests+=(--manifest "$manifest")
done
training=()
for manifest in "$MADG_DATA"/speech/*/train.jsonl; do training+=(--train-text "$manifest"); done
madg-speech evaluate --checkpoint runs/ssl-ctc-from-best-rq/checkpoint --checkpoint runs/ssl-ctc/checkpoint \
  "${tests[@]}" "${training[@]}" -o runs/ssl-scores
