#!/usr/bin/env bash
exec "$(dirname "$0")/../tasks.sh" masakhaner ner "$@"
