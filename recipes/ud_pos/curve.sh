#!/usr/bin/env bash
# How many source languages? The task learned in the first 1, 2, 5, 10, 20 of a list, each scored on the
# languages that are in none of them. The fewer sources, the more often each is drawn: steps are the same.
# Usage: recipes/ud_pos/curve.sh DATA WORK SYSTEM=CHECKPOINT... A killed run goes on where it was.
set -euo pipefail
recipe=$(realpath "$(dirname "$0")") data=$(realpath "$1") work=$2
order=(eng zho tur vie ind cym hye hun jpn kat kor mar pcm san tel uig tam heb mlt sme)
tested=akk,amh,bam,bho,bxr,fao,gun,hsb,jav,kaz,kmr,kpv,krl,lit,myv,olo,tgl,wbp,wol,yor,yue,eus
shift 2
mkdir -p "$work"
for system in "$@"; do
  for count in ${COUNTS:-1 2 5 10 20}; do
    sources=$(IFS=,; echo "${order[*]:0:count}")
    run=$work/${system%%=*}-$count
    if [ ! -d "$run/checkpoint" ]; then
      options=(--config "$recipe/config.yaml" --checkpoint "${system#*=}" --data-root "$data" -o "$run")
      [ -d "$run" ] && options+=(--resume)
      madg-speech train-task "${options[@]}" --sources "$sources"
    fi
    madg-speech evaluate-task --checkpoint "$run/checkpoint" --data "$data/ud" --langs "$tested" \
      --limit "${LIMIT:-100}" -o "$work/scores"
  done
done
