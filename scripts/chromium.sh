#!/bin/sh
# Make sure of a Chromium for the tests of the reading room: the one on the PATH, else Debian's.
#
# Without one, without apt or without the right to install, it says what to do and goes on: these
# tests skip loudly then. With DUOLOGUE_BROWSER=required, as CI has it, it fails.
set -eu
if command -v chromium >/dev/null || command -v chromium-browser >/dev/null; then exit 0; fi
if command -v apt-get >/dev/null; then
    as=''
    if [ "$(id -u)" -ne 0 ]; then as='sudo -n'; fi
    echo "Installing Debian's chromium for the tests (about 360 MB)" >&2
    if $as apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        $as apt-get install -y -qq --no-install-recommends chromium >/dev/null; then exit 0; fi
fi
echo "NO BROWSER: the reading room is not tested in one. Install Debian's chromium (as root:" >&2
echo "apt-get install chromium), or put a chromium on the PATH, then run this again." >&2
[ "${DUOLOGUE_BROWSER:-}" != required ]
