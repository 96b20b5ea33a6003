#!/usr/bin/env bash
# From annotated sentences and language adapters to tables.
# Usage: recipes/NAME/run.sh DATA WORK SYSTEM=CHECKPOINT... ; see the recipe's README.
set -euo pipefail
name=$1 folder=$2 data=$(realpath "$3") work=$4
recipe=$(realpath "$(dirname "$0")/$name")
shift 4
mkdir -p "$work"
first=$1
for system in "$@"; do
  label=${system%%=*} checkpoint=${system#*=} run=$work/${system%%=*}
  options=(--config "$recipe/config.yaml" --checkpoint "$checkpoint" --data-root "$data" -o "$run")
  [ -n "${SOURCES:-}" ] && options+=(--sources "$SOURCES")
  [ "$label" = none ] && options+=(--adapter-from none)
  if [ ! -d "$run/checkpoint" ]; then
    [ -d "$run" ] && options+=(--resume)
    madg-speech train-task "${options[@]}"
  fi
  rules=()
  if [ "$system" = "$first" ] && [ "$label" != none ]; then
    rules=(--adapter-from generated --adapter-from none --adapter-from mean --adapter-from nearest --adapter-from eng)
  fi
  madg-speech evaluate-task --checkpoint "$run/checkpoint" "${rules[@]}" \
    --data "$data/$folder" --limit "${LIMIT:-100}" -o "$work/scores"
done
