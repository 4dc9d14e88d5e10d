#!/usr/bin/env bash
# publish.sh VERSION CHART: pushes and signs the images and the packaged chart. goreleaser calls it, before it shows the release to
# anybody. The signatures are keyless: cosign takes the identity of the CI job, or asks.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=$1 chart=$2
export REGISTRY=${REGISTRY:-ghcr.io/slipway-hub}

for name in slipway-webhook slipway-launcher; do
  image=$(tools/release/image.sh "$name" "$version" --push \
    --binary "$PWD/dist/release/${name}_linux_amd64_v1/$name" --binary "$PWD/dist/release/${name}_linux_arm64_v8.0/$name")
  cosign sign --yes "$image"
  # One document for all architectures: they are built from the same modules.
  cosign attest --yes --type cyclonedx --predicate "dist/release/${name}_${version}_linux_amd64.cdx.json" "$image"
done

pushed=$(go tool -modfile=tools/helm/go.mod helm push "$chart" "oci://$REGISTRY/charts" 2>&1)
echo "$pushed"
digest=$(awk '/^Digest: /{print $2}' <<<"$pushed")
cosign sign --yes "$REGISTRY/charts/slipway@$digest"
