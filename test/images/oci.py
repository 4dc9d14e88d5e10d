"""Pack layers into images, as one OCI archive: https://github.com/opencontainers/image-spec/blob/main/image-layout.md.

Unlike tools/images, whose images hold a single program and are released, this takes layers of hundreds of MB as they
are: not compressed, never in memory, and in the archive once where two images share one.
"""

import hashlib
import io
import json
import platform
import tarfile
from dataclasses import dataclass
from pathlib import Path

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Layer:
    """A tar, and its SHA-256."""

    file: Path
    sha256: str


@dataclass(frozen=True)
class Image:
    """An image whose program runs as the user jovyan, with the uid that Jupyter's images have."""

    name: str
    layers: list[Layer]
    path: str  # the folders of its programs, before Debian's
    command: list[str]
    env: tuple[str, ...] = ()


def write(out: Path, images: list[Image]) -> None:
    """Write the images to the file, which appears only when it is whole."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    blobs: dict[str, bytes | Path] = {}
    manifests = [_manifest(image, blobs) for image in images]
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}
    with tarfile.open(partial, "w") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(archive, "index.json", json.dumps(index).encode())
        for sha256, blob in blobs.items():
            _add(archive, f"blobs/sha256/{sha256}", blob)
    partial.rename(out)


def _manifest(image: Image, blobs: dict[str, bytes | Path]) -> dict:
    """Put what the image is made of among the blobs, and describe it."""
    config = {
        "architecture": ARCHITECTURE,
        "os": "linux",
        "config": {
            # Numbers: with a name the kubelet can't tell that runAsNonRoot holds.
            "User": "1000:100",
            "WorkingDir": "/home/jovyan",
            "Env": [f"PATH={image.path}:/usr/local/bin:/usr/bin:/bin", "HOME=/home/jovyan", "LANG=C.UTF-8", *image.env],
            "Cmd": image.command,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.sha256}" for layer in image.layers]},
    }
    for layer in image.layers:
        blobs[layer.sha256] = layer.file
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _blob(CONFIG, config, blobs),
        "layers": [_descriptor(LAYER, layer.sha256, layer.file.stat().st_size) for layer in image.layers],
    }
    # containerd takes the whole name from an annotation of its own.
    return _blob(MANIFEST, manifest, blobs) | {"annotations": {"io.containerd.image.name": image.name}}


def _blob(kind: str, content: dict, blobs: dict[str, bytes | Path]) -> dict:
    data = json.dumps(content).encode()
    sha256 = hashlib.sha256(data).hexdigest()
    blobs[sha256] = data
    return _descriptor(kind, sha256, len(data))


def _descriptor(kind: str, sha256: str, size: int) -> dict:
    return {"mediaType": kind, "digest": f"sha256:{sha256}", "size": size}


def _add(archive: tarfile.TarFile, name: str, blob: bytes | Path) -> None:
    member = tarfile.TarInfo(name)
    if isinstance(blob, bytes):
        member.size = len(blob)
        archive.addfile(member, io.BytesIO(blob))
        return
    with blob.open("rb") as file:
        member.size = blob.stat().st_size
        archive.addfile(member, file)
