#!/usr/bin/env bash
# Asks the advisory database that uv knows (OSV) about every locked version. A known vulnerability fails. Where the
# database cannot be reached nothing is known: that is said, and does not fail. Arguments go to uv.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/steps.sh
: "${BIN:=.venv/bin}" "${LOCK:=requirements.lock}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A script that needs just the locked versions, each under its own condition.
{
  printf '# /// script\n# requires-python = ">=3.11,<3.13"\n# dependencies = [\n'
  sed -nE "s/^([A-Za-z0-9._-]+(\[[^]]*\])?==[^\\]*[^\\ ]) *\\\\?$/#   '''\1''',/p" "$LOCK"
  printf '# ]\n# ///\n'
} >"$work/locked.py"
count=$(grep -c "'''" "$work/locked.py")

status=0
"$BIN/uv" audit -q --preview-features audit --script "$work/locked.py" "$@" >"$work/said" 2>&1 || status=$?
if [ "$status" = 0 ]; then
  say "✓ No known vulnerability in the $count locked packages"
elif grep -q "Request failed\|error sending request\|dns error" "$work/said"; then
  say "The $count locked packages were NOT audited: the advisory database cannot be reached from here"
else
  cat "$work/said" >&2
  say "✗ The audit of the $count locked packages failed"
  exit "$status"
fi
