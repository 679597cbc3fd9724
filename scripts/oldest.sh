#!/usr/bin/env bash
# Runs the tests with the oldest versions that requirements.txt allows, in build/oldest.
# Usage: scripts/oldest.sh [arguments of pytest]; PYTHON names the interpreter (default: python3.10)
#
# uv chooses the versions: the lowest of what the file names, and what suits them of all the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
environment=build/oldest

if ! cmp -s requirements.txt "$environment/requirements.txt"; then
  rm -rf "$environment"
  "${PYTHON:-python3.10}" -m venv "$environment"
  "$environment/bin/python" -m pip install --quiet uv
  "$environment/bin/uv" pip install --python "$environment/bin/python" \
    --resolution lowest-direct --requirements requirements.txt
  cp requirements.txt "$environment/"
fi
"$environment/bin/python" -m pytest --nbval-lax --numprocesses=2 --dist=loadfile "$@"
