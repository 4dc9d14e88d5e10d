#!/bin/sh
# Waits until its standard input ends, which is when the one who started it closes it or dies, then removes the cluster's
# folder $1 and the cgroups of that name. It tries again because what was killed takes a moment to be gone.

remove() {
  failed=0
  for root in $(findmnt --noheadings --list --output TARGET --types cgroup,cgroup2 2>/dev/null); do
    if [ -d "$root/${1##*/}" ]; then
      find "$root/${1##*/}" -depth -type d -exec rmdir -- {} + || failed=1
    fi
  done
  rm -rf -- "$1" || failed=1
  return "$failed"
}

read -r _
for _ in $(seq 100); do
  remove "$1" 2>/dev/null && exit
  sleep 0.1
done
remove "$1"
