#!/usr/bin/env bash
exec "$(dirname "$0")/../tasks.sh" ud_parsing ud "$@"
