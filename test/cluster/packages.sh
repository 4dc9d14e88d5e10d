#!/usr/bin/env bash
# Installs what a node, the images on it (mmdebstrap) and a browser need from Debian and don't find on this machine. The rest is
# compiled from Go modules, or comes by pip and npm.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

packages=()
for pair in runc:runc nft:nftables ip:iproute2 mmdebstrap:mmdebstrap chromium:chromium; do
  command -v "${pair%:*}" >/dev/null || packages+=("${pair#*:}")
done
if ((${#packages[@]} == 0)); then
  exit
fi
if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
  echo "A node needs ${packages[*]}: install them, or on Debian run this as root." >&2
  exit 1
fi
apt-get update --quiet --quiet
DEBIAN_FRONTEND=noninteractive apt-get install --quiet --quiet --yes --no-install-recommends "${packages[@]}"
