#!/usr/bin/env bash
exec "$(dirname "$0")/../corpus.sh" fleurs "$@"
