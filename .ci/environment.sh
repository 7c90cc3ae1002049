#!/usr/bin/env bash
# Makes the environment in $VENV from requirements.lock. Needs python3 (3.11 or 3.12) and pip, nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/steps.sh
: "${PYTHON:=python3}" "${VENV:=.venv}"

if ! "$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))'; then
  say "Regulars needs Python 3.11 or 3.12; $PYTHON is $("$PYTHON" --version 2>&1 || echo 'not there'). Name another:  make PYTHON=/path/to/python3.11"
  exit 1
fi
if ! "$PYTHON" -m pip --version >/dev/null 2>&1; then
  say "$PYTHON has no pip. Install it, then run make again:  sudo apt-get install python3-pip"
  exit 1
fi
PYTHON="$PYTHON" bash .ci/system.sh run

# What was interrupted half-way is thrown away: a package that is half there looks whole to an installer.
if [ -e "$VENV/.making" ]; then
  say "An earlier making of $VENV did not come to its end; starting over"
  rm -rf "$VENV"
fi
base() { "$1" -c 'import sys; print(sys.base_prefix, sys.version_info[:2])' 2>&1; }
if [ -e "$VENV/bin/python" ] && [ "$(base "$VENV/bin/python")" != "$(base "$PYTHON")" ]; then
  say "$VENV was made with another Python; starting over"
  rm -rf "$VENV"
fi
mkdir -p "$VENV"
touch "$VENV/.making"
rm -f "$VENV/.ready"

pip_into() { "$PYTHON" -m pip --python "$VENV/bin/python" --disable-pip-version-check install --no-input "$@"; }
uv_into() { local verb=$1; shift; "$VENV/bin/uv" pip "$verb" --python "$VENV/bin/python" "$@"; }
failed() { tail -n 20 "$VENV/$1.log" >&2; say "The whole log is $VENV/$1.log"; exit 1; }

say "Making $VENV (a minute or two the first time)"
# --without-pip: Debian splits ensurepip into python3-venv, and pip can install into another environment.
step "$VENV/venv.log" "Empty environment" "$PYTHON" -m venv --without-pip "$VENV" || failed venv
# One awk that reads to the end: a reader that stops early kills its writer with SIGPIPE, which pipefail reports.
awk '/^[^ #]/ {wanted = /^uv==/} wanted' requirements.lock >"$VENV/uv.lock"
step "$VENV/uv.log" "Installer" pip_into --no-deps --require-hashes -r "$VENV/uv.lock" || failed uv
count=$(grep -c '^[^ #]' requirements.lock)
# Python keeps what it has compiled. Where it may not, every process would compile all that it imports, so it is done once.
[ -z "${PYTHONDONTWRITEBYTECODE:-}" ] || export UV_COMPILE_BYTECODE=1
# uv is fast; pip knows the mirrors this machine may be set up for. Either gives the locked versions.
if ! step "$VENV/packages.log" "The $count locked packages" uv_into sync --require-hashes requirements.lock; then
  say "  $(grep -m 1 -v '^ *$' "$VENV/packages.log" || true)"
  step "$VENV/packages.log" "The same with pip" pip_into --no-deps --require-hashes -r requirements.lock || failed packages
fi
step "$VENV/regulars.log" "Regulars itself" uv_into install --no-deps --no-build-isolation --offline -e . ||
  step "$VENV/regulars.log" "The same with pip" pip_into --no-deps --no-build-isolation -e . || failed regulars
rm "$VENV/.making"
touch "$VENV/.ready"
say "Environment ready after $SECONDS s"
