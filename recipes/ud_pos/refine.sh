#!/usr/bin/env bash
# MAD-G-ft: adapters tuned on a language's own unlabelled sentences, scored beside the generated ones.
# Usage: MADG_TEXT=folder-of-<language>.txt recipes/ud_pos/refine.sh DATA WORK SYSTEM=CHECKPOINT
# WORK and SYSTEM=CHECKPOINT as run.sh was given them. A killed run goes on where it was.
set -euo pipefail
: "${MADG_TEXT:?folder with <language>.txt, a sentence a line}"
langs=${LANGS:-wol fao eus myv} label=${3%%=*}
data=$(realpath "$1") text=$(realpath "$MADG_TEXT") checkpoint=$(realpath "${3#*=}")
cd "$2"
for lang in $langs; do
  out=$label-ft/$lang
  [ -f "$out/adapter.json" ] && continue
  options=(--checkpoint "$checkpoint" --lang "$lang" --text "$text/$lang.txt" --steps 60 -o "$out")
  [ -d "$out/run" ] && options+=(--resume)
  madg-speech refine "${options[@]}"
done
madg-speech evaluate-task --checkpoint "$label/checkpoint" --data "$data/ud" --langs "${langs// /,}" \
  --adapter-from generated --adapter-from "refined:$label-ft" --limit "${LIMIT:-100}" -o "scores-$label-ft"
