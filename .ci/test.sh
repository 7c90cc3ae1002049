#!/usr/bin/env bash
# Lint, types, import rules and the whole test suite. When nothing changed since all of it passed, says so and stops;
# in CI (CI=true), with AGAIN=1 or with arguments for pytest it always runs. COVERAGE=1 says which lines no test ran,
# and takes twice the time.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/steps.sh
: "${BIN:=.venv/bin}" "${PYTHON:=python3}" "${CI:=}" "${AGAIN:=}" "${COVERAGE:=}"
stamp=.venv/.tested

still_missing=$(PYTHON="$PYTHON" bash .ci/system.sh test)

# Everything git would carry to another machine, as it lies here, and what this machine lacks.
state() {
  printf '%s\n' "$still_missing"
  git ls-tree -r HEAD
  git diff HEAD
  git ls-files --others --exclude-standard -z | xargs -0r sha256sum
}
now=$(state 2>/dev/null | sha256sum) || now=
if [ -n "$now" ] && [ $# = 0 ] && [ -z "$CI$AGAIN" ] && [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" = "$now" ]; then
  say "✓ Nothing changed since everything passed on $(sed -n 2p "$stamp"). To run it all the same:  make test AGAIN=1"
  exit 0
fi

"$BIN/ruff" check .
"$BIN/ruff" format --check .
"$BIN/mypy"
"$BIN/lint-imports"
options=()
if [ $# = 0 ]; then
  # A file's tests stay together: they share what they made.
  options+=(--numprocesses "$(nproc)" --maxprocesses 4 --dist loadfile)
fi
if [ -n "$COVERAGE" ]; then
  "$BIN/coverage" erase
  options+=(--cov --cov-report=term:skip-covered)
fi
"$BIN/pytest" "${options[@]}" "$@"
if [ -n "$now" ] && [ $# = 0 ]; then
  printf '%s\n' "$now" "$(date '+%Y-%m-%d %H:%M')" >"$stamp"
fi
say "✓ Everything passed in $SECONDS s"
