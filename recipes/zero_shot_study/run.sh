#!/usr/bin/env bash
# From local folders to the tables of docs/zero-shot-study.md. Every step may be killed and started again.
#   MADG_DATA    folder with speech/<iso>/{train,test}.jsonl (recorded speech)
#   MADG_TEXT    folder with <iso>.txt, a sentence a line (what eSpeak NG reads)
#   MADG_ESPEAK  folder for the synthetic speech; made here
#   WORK         folder for runs and manifests (runs/zero_shot_study)
# Arguments: passes of plan.yaml and few-shot; `first` when left out.
set -euo pipefail
: "${MADG_DATA:?folder with speech/<iso>/train.jsonl}" "${MADG_TEXT:?folder with <iso>.txt}"
MADG_ESPEAK="${MADG_ESPEAK:-$PWD/espeak-study}" WORK="${WORK:-runs/zero_shot_study}"
here=$(dirname "$0")

madg-speech prepare espeak -o "$MADG_ESPEAK" --text-dir "$MADG_TEXT" \
  --per-language 30 --test 0 --seed 3 --no-territories \
  --exclude bel,chv,gla,ind,quz,tsn,tam,kat,chr,ckb
for pass in "${@:-first}"; do
  if [ "$pass" = few-shot ]; then
    python "$here/few_shot.py" --data "$MADG_DATA" --work "$WORK"   # starts from cells of the pass first
  else
    python "$here/run.py" "$pass" --data "$MADG_DATA" --espeak "$MADG_ESPEAK" --work "$WORK"
  fi
done
python "$here/tables.py"
