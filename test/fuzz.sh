#!/usr/bin/env bash
# Runs every fuzz target for a while, the next one also after one that failed, and fails when one failed.
#
#   FUZZTIME=5m test/fuzz.sh [FLAG OF go test]...
#
# FUZZ is a pattern of targets; empty: all of them.
set -euo pipefail
cd "$(dirname "$0")/.."

# An input that reaches new code is made smaller for a minute by default. Where a server of its own goroutines is in the process, coverage
# is never the same twice, and that minute comes with every input.
options=(-run '^$' -fuzztime "${FUZZTIME:-30s}" -fuzzminimizetime 20x "$@")

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Go before 1.27 sometimes fails at the end of the time, with these words and no input (go.dev/issue/75804).
out_of_time() {
  grep -q '^    context deadline exceeded$' "$log" && ! grep -q 'Failing input written to' "$log" &&
    [ "$(grep -c '^    [^ ]' "$log")" -eq 1 ]
}

failed=()
ran=0
while read -r file target; do
  # shellcheck disable=SC2254 # a pattern is meant
  case $target in ${FUZZ:-*}) ;; *) continue ;; esac
  echo "== $target in ${file%/*}"
  ran=$((ran + 1))
  if go test "${options[@]}" -fuzz "^$target\$" "${file%/*}" </dev/null 2>&1 | tee "$log"; then
    continue
  fi
  if out_of_time; then
    echo "   (its time was over, and nothing was found)"
  else
    failed+=("$target")
  fi
done < <(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's/:func / /' | sort)

if [ "$ran" -eq 0 ]; then
  echo "no fuzz target is called ${FUZZ:-anything}" >&2
  exit 1
fi
if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}; each failing input is now in testdata/fuzz, and go test runs it" >&2
  exit 1
fi
