#!/bin/sh
# Install what the tests need, then run every gate: lint, format, types, layers, tests, coverage.
# The local models are part of the tests: they are fetched if they are not there.
set -eu
cd "$(dirname "$0")/.."
scripts/setup.sh "dev${DUOLOGUE_RAY:+,ray}" # Ray is large: CI has it, others may
scripts/chromium.sh
bin=.venv/bin
$bin/duologue models --fetch default
$bin/ruff check
$bin/ruff format --check
$bin/mypy
$bin/lint-imports
$bin/pytest --cov --cov-report= -rs "$@"
# The parts on which every record rests are covered whole, branches too.
$bin/coverage report --include='*/duologue/core/*,*/duologue/conversation.py,*/duologue/store/*' \
    --skip-covered --show-missing --fail-under=100
