#!/usr/bin/env bash
# Makes .venv and installs requirements files into it; does nothing where that is done already.
# Usage: scripts/setup.sh requirements.txt [requirements-jax.txt | requirements-peers.txt]
#
# A failure ends in one line on standard error: what is wrong and what to do. The state is kept in
# .venv itself:
#   .venv/<requirements file>  copy of a file of which everything is installed
#   .venv/unfinished           creation or installation is under way, by the process of this number;
#                              if that is gone, it was cut short and .venv is made anew
#   .venv/pip.log              what pip said last
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

need_mb=4000 # .venv measured 2,700 MB (Linux, TensorFlow 2.21), the rest is a margin
temp_mb=1000 # downloads pass through the temporary folder; TensorFlow's is 570 MB
temp=${TMPDIR:-/tmp}

fail() {
  printf '%s\n' "Set-up failed: $*" >&2
  exit 1
}

free_mb() { df -Pk "$1" | awk 'NR == 2 { print int($4 / 1024) }'; }

require_space() {
  [ "$(free_mb "$1")" -ge "$2" ] ||
    fail "the disk is full: $1 has $(free_mb "$1") MB free, $2 MB are needed. Make room, then run make again."
}

# Prints the first suitable interpreter; or, with status 1, why there is none.
choose_python() {
  local candidate version unsuitable='' incomplete=''
  for candidate in "${PYTHON:-python3}" ${PYTHON:+""} python3.12 python3.11 python3.10 python3.13; do
    [ -n "$candidate" ] || break # PYTHON names the one to use
    version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
    case $version in
      '') ;;
      3.1[0-3])
        if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
          echo "$candidate"
          return 0
        fi
        incomplete=${incomplete:-"$candidate (Python $version) has no venv module. On Debian and Ubuntu: apt install python$version-venv. Then run make again."}
        ;;
      *) unsuitable=${unsuitable:-"$candidate is Python $version, but TensorFlow needs 3.10 to 3.13. Install one of these, or name it: make PYTHON=/path/to/python3.12 ..."} ;;
    esac
  done
  echo "${incomplete:-${unsuitable:-"no Python found${PYTHON:+ at $PYTHON}. Install Python 3.10 to 3.13 (python.org or your package manager), then run make again."}}"
  return 1
}

make_environment() {
  local python
  python=$(choose_python) || fail "$python"
  require_space . "$need_mb"
  require_space "$temp" "$temp_mb"
  rm -rf .venv 2>/dev/null && mkdir .venv 2>/dev/null ||
    fail "cannot write to $PWD/.venv as user $(id -un). Give that user the folder, or use a copy in a folder of yours."
  echo $$ >.venv/unfinished
  echo "Creating .venv with $("$python" --version) ($python)."
  "$python" -m venv .venv >.venv/pip.log 2>&1 || explain_failure
}

install() {
  echo $$ >.venv/unfinished
  local size="2.7 GB in all"
  [[ $* != *peers* ]] || size="up to 9 GB in all"
  echo "Installing $* into .venv ($size, some minutes)."
  PIP_USER=0 .venv/bin/python -m pip install --no-input --disable-pip-version-check \
    "${@/#/--requirement=}" 2>&1 | tee .venv/pip.log | while IFS= read -r line; do
    case $line in
      *Downloading*MB\)*) echo "$line" ;;
      Installing*) echo "  Unpacking all packages" ;;
    esac
  done || explain_failure
  cp "$@" .venv/ && rm .venv/unfinished || explain_failure
}

explain_failure() {
  local log=$PWD/.venv/pip.log
  if grep -qsE 'No space left|Errno 28|quota exceeded' "$log" || [ "$(free_mb .)" -lt 50 ]; then
    fail "the disk is full ($(free_mb .) MB free here, $(free_mb "$temp") MB in $temp). Make room, then run make again. Details: $log"
  elif grep -qsE 'connection broken|Connection refused|Network is unreachable|timed out|ProxyError' "$log"; then
    fail "the package registry cannot be reached. Check the network connection or pip's proxy and index settings, then run make again. Details: $log"
  fi
  fail "pip stopped, saying '$(grep -si '^error' "$log" | tail -n 1 | cut -c 1-160)'. Run make again; if that does not help, see $log"
}

if [ -e .venv/unfinished ]; then
  worker=$(cat .venv/unfinished)
  [ -z "$worker" ] || ! kill -0 "$worker" 2>/dev/null ||
    fail "another make (process $worker) is installing here. Wait for it; if there is none, delete .venv."
  echo "The last installation was cut short; starting over."
  make_environment
elif ! .venv/bin/python -c 'import pip' 2>/dev/null; then
  make_environment
fi

missing=()
for file in "$@"; do
  cmp -s "$file" ".venv/$file" || missing+=("$file")
done
[ ${#missing[@]} -eq 0 ] || install "${missing[@]}"
