# Sourced by the scripts beside it: how a step is run and shown, as the command line shows its own.

say() { printf '%s\n' "$*" >&2; }

# step LOG TITLE COMMAND...  Runs the command with its output in LOG; shows the title and the seconds passed. When the
# command fails, returns its status; what it said stays in LOG.
step() {
  local log=$1 title=$2 started=$SECONDS child status=0 shown=0
  shift 2
  # Bash makes a background command deaf to Ctrl-C, so the trap passes it on.
  "$@" >"$log" 2>&1 &
  child=$!
  trap 'kill "$child" 2>/dev/null; wait "$child" 2>/dev/null; say "interrupted"; exit 130' INT TERM
  while kill -0 "$child" 2>/dev/null; do
    sleep 0.2
    if [ -t 2 ]; then
      printf '\r  %s … %d s ' "$title" $((SECONDS - started)) >&2
    elif [ $((SECONDS - started)) -ge $((shown + 30)) ]; then
      shown=$((SECONDS - started))
      say "  $title … $shown s"
    fi
  done
  wait "$child" || status=$?
  trap - INT TERM
  [ -t 2 ] && printf '\r\033[K' >&2
  if [ "$status" = 0 ]; then
    say "✓ $title $((SECONDS - started)) s"
  else
    say "✗ $title failed after $((SECONDS - started)) s (exit status $status)"
  fi
  return "$status"
}
