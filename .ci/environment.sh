#!/usr/bin/env bash
# Makes the environment in $VENV from requirements.lock. Needs python3 (3.11 or 3.12) and pip, nothing else.
set -euo pipefail
: "${PYTHON:=python3}" "${VENV:=.venv}"
say() { printf '%s\n' "$*" >&2; }

"$PYTHON" - <<'PY' || { say "Regulars needs Python 3.11 or 3.12: set PYTHON=/path/to/python3.11"; exit 1; }
import sys
sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 12) else 1)
PY

# LightGBM's wheel links against the system's OpenMP runtime, which a bare Debian does not have.
if [ "$(uname -s)" = Linux ] && ! "$PYTHON" -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "Installing libgomp1 (LightGBM's OpenMP runtime)"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libgomp1 >/dev/null
  else
    say "LightGBM needs libgomp1. Install it, then run make again:  sudo apt-get install libgomp1"
    exit 1
  fi
fi

say "Making $VENV (about a minute the first time)"
# --without-pip: Debian splits ensurepip into python3-venv, and pip can install into another environment.
"$PYTHON" -m venv --without-pip "$VENV"
# One awk that reads to the end: a reader that stops early kills its writer with SIGPIPE, which pipefail reports.
awk '/^[^ #]/ {wanted = /^uv==/} wanted' requirements.lock > "$VENV/uv.lock"
"$PYTHON" -m pip --python "$VENV/bin/python" install -q --no-deps --require-hashes -r "$VENV/uv.lock"
# uv is fast; pip knows the mirrors this machine may be set up for. Either gives the locked versions.
"$VENV/bin/uv" pip sync -q --python "$VENV/bin/python" --require-hashes requirements.lock 2>"$VENV/uv.log" ||
  "$PYTHON" -m pip --python "$VENV/bin/python" install -q --no-deps --require-hashes -r requirements.lock
"$VENV/bin/uv" pip install -q --python "$VENV/bin/python" --no-deps --no-build-isolation -e . 2>>"$VENV/uv.log" ||
  "$PYTHON" -m pip --python "$VENV/bin/python" install -q --no-deps --no-build-isolation -e .
say "Environment ready"
