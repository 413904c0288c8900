#!/bin/sh
# Install what a conversation needs, then hold one. Options are passed to `duologue run`.
set -eu
"$(dirname "$0")/setup.sh" local,web
exec "$(dirname "$0")/../.venv/bin/duologue" run "$@"
