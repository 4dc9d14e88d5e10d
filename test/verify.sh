#!/usr/bin/env bash
# Generates everything once more, in a copy of the checkout, and compares. The checkout itself stays as it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/checkout"
git ls-files -z --cached --others --exclude-standard |
  while IFS= read -r -d '' name; do
    # A file that was deleted is still listed until that is committed.
    if [[ -f $name ]]; then printf '%s\0' "$name"; fi
  done |
  tar --null --files-from=- --create --file=- |
  tar --extract --file=- --directory="$scratch/checkout"
cp -R "$scratch/checkout" "$scratch/generated"

failed=0

make --no-print-directory --silent -C "$scratch/generated" generate
if ! (cd "$scratch" && diff --recursive --unified checkout generated); then
  echo "What is generated isn't current; run: make generate" >&2
  failed=1
fi

while IFS= read -r module; do
  # To tidy it, go wants what the tests of goreleaser's dependencies import, and the module proxy hasn't got all of that.
  if [[ $module == tools/release/go.mod ]]; then continue; fi
  if ! (cd "$scratch/checkout/$(dirname "$module")" && go mod tidy -diff); then
    echo "$module isn't tidy; run: cd $(dirname "$module") && go mod tidy" >&2
    failed=1
  fi
done < <(git ls-files --cached --others --exclude-standard go.mod '*/go.mod')

exit "$failed"
