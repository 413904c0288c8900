#!/bin/sh
# Make .venv beside this project and install duologue into it, with the extras that are named.
#
#   scripts/setup.sh local,web   what a conversation needs, and the reading room
#   scripts/setup.sh dev         what the tests need, too; scripts/chromium.sh brings the browser
#
# Needs python3 (3.11 or newer) and pip. Debian leaves `ensurepip` out of python3, so where a
# virtual environment cannot bring its own pip, the system's pip installs into it.
set -eu
cd "$(dirname "$0")/.."
extras=${1:-local,web}
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "duologue needs Python 3.11 or newer; $($python --version) was found. Set PYTHON=/path/to/python3.11" >&2
    exit 2
}
if [ ! -x .venv/bin/python ]; then
    "$python" -m venv .venv 2>/dev/null || "$python" -m venv --clear --without-pip .venv
fi
# Installed already, with these extras, from this very pyproject.toml: nothing to do.
stamp=".venv/.duologue-$extras"
if [ -e "$stamp" ] && [ "$stamp" -nt pyproject.toml ]; then exit 0; fi
echo "Installing duologue[$extras] into .venv" >&2
if .venv/bin/python -m pip --version >/dev/null 2>&1; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"
else
    "$python" -m pip --python .venv/bin/python install --quiet --disable-pip-version-check --editable ".[$extras]"
fi
touch "$stamp"
