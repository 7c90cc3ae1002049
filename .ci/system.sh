#!/usr/bin/env bash
# Installs what .ci/system-packages lists and this machine lacks: `system.sh run` or `system.sh test`. Where it may not
# (no root, no apt), it says with which command to install it, and fails if the product cannot run without. Prints what
# is missing still.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/steps.sh
: "${PYTHON:=python3}"
stage=$1

is_there() {
  case $1 in
    library:*) "$PYTHON" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "${1#library:}" 2>/dev/null ;;
    file:*) [ -e "${1#file:}" ] ;;
    command:*) command -v "${1#command:}" >/dev/null ;;
    *) say ".ci/system-packages: '$1' is none of library:NAME, command:NAME, file:PATH"; exit 1 ;;
  esac
}

missing=() required=()
while read -r package when probe why; do
  case $package in '' | '#'*) continue ;; esac
  if [ "$when" != run ] && [ "$stage" = run ]; then continue; fi
  if is_there "$probe"; then continue; fi
  say "$package is missing: $why"
  missing+=("$package")
  if [ "$when" = run ]; then required+=("$package"); fi
done <.ci/system-packages
if [ ${#missing[@]} = 0 ]; then exit 0; fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  log=$(mktemp)
  export DEBIAN_FRONTEND=noninteractive
  if step "$log" "Installing ${missing[*]}" bash -c 'apt-get update -q && apt-get install -y -q --no-install-recommends "$@"' - "${missing[@]}"; then
    rm -f "$log"
    exit 0
  fi
  tail -n 20 "$log" >&2
  rm -f "$log"
fi
say "Install what is missing, then run make again:  sudo apt-get install ${missing[*]}"
if [ ${#required[@]} -gt 0 ]; then exit 1; fi
say "Without it, the tests that need it are reported as not run."
printf '%s\n' "${missing[@]}"
