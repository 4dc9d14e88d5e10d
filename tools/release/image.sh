#!/usr/bin/env bash
# image.sh NAME VERSION FLAG...: the image of one of our programs, by tools/images, whose flags say which binaries go in and where
# it goes. Paths must be absolute.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

name=$1 version=$2
shift 2
case $name in
slipway-webhook) description="Fits out the pods of hubs, by the cluster's policies" ;;
slipway-launcher) description="Creates, watches and stops the pods of hubs" ;;
*)
  echo "image.sh: there is no image $name, only slipway-webhook and slipway-launcher" >&2
  exit 2
  ;;
esac
# Two builds of one commit are equal. Where git doesn't answer, as in a checkout that another user owns, both are left out.
if [[ -z ${SOURCE_DATE_EPOCH:-} ]]; then
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || true)
fi
export SOURCE_DATE_EPOCH
labels=()
if revision=$(git rev-parse HEAD 2>/dev/null); then
  labels=(--label "org.opencontainers.image.revision=$revision")
fi
exec go -C tools/images run . --ref "${REGISTRY:-ghcr.io/slipway-hub}/$name:$version" --entrypoint "/$name" \
  --label "org.opencontainers.image.description=$description" \
  --label org.opencontainers.image.licenses=Apache-2.0 \
  --label org.opencontainers.image.source=https://github.com/slipway-hub/slipway \
  "${labels[@]}" "$@"
