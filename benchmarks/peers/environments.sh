#!/bin/sh
# Makes an environment for each contestant, versions pinned:  sh environments.sh [FOLDER]
# The folder is ~/.cache/duologue-peers unless given; one that is there is left as it is.
set -eu
folder=${1:-$HOME/.cache/duologue-peers}
mkdir -p "$folder"

make() {
    name=$1
    shift
    [ -e "$folder/$name/made" ] && return
    python3 -m venv "$folder/$name"
    "$folder/$name/bin/pip" install --quiet "$@"
    touch "$folder/$name/made"
}

make openai openai==3.54.0
make pidgin pidgin-ai==1.1.0
make inspect inspect-ai==0.3.285 openai==3.54.0
make autogen autogen-agentchat==0.7.5 "autogen-ext[openai]==0.7.5"
# What it imports from mcp is gone in mcp 2.
make camel camel-ai==0.2.90 "mcp<2"
