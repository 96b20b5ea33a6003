#!/usr/bin/env bash
# The report of docs/report/: each language transcribed by cells that never heard its clade, beside plain Whisper.
#   WORK  where run.sh put its runs (runs/zero_shot_study); needs the cells two-stage and static-long, seed 0
# Arguments: the folds, a b c when left out.
set -euo pipefail
WORK="${WORK:-runs/zero_shot_study}"
here=$(dirname "$0")
pooled=()
for fold in "${@:-a b c}"; do
  for name in $fold; do
    python "$here/sample.py" "$WORK/$name"
    madg-speech evaluate --checkpoint "$WORK/$name-0-two-stage/checkpoint" \
      --adapter-from generated --adapter-from mean --adapter-from nearest \
      --manifest "$WORK/$name/sample.jsonl" --train-text "$WORK/$name/train.jsonl" -o "$WORK/report/$name"
    madg-speech evaluate --checkpoint "$WORK/$name-0-static-long/checkpoint" --baseline whisper \
      --manifest "$WORK/$name/sample.jsonl" --train-text "$WORK/$name/train.jsonl" -o "$WORK/report/$name"
    pooled+=(--pool "$WORK/report/$name")
  done
done
madg-speech evaluate "${pooled[@]}" -o "$WORK/report/folds" --dev-langs ell,fin,tur
madg-speech report "$WORK/report/folds" -o docs/report --worst 20 --audio none \
  --title "Languages whose clade was never trained on"
