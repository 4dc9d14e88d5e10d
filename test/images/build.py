"""Make the images of a JupyterHub and of a notebook server, as one OCI archive that ctr images import takes.

    python3 test/images/build.py OUT

It takes apt, pip and npm, with whatever sources this machine is set up for, and root, but no container engine. The
first time is minutes; what is made is kept outside the checkout, under the hash of what it is made from.
"""

import os
import subprocess
import sys
from pathlib import Path

import layers
import oci

HERE = Path(__file__).parent


def images() -> list[oci.Image]:
    base = layers.base()
    return [
        oci.Image(
            name="slipway.test/hub:e2e",
            layers=[
                base,
                layers.python(base, HERE / "hub"),
                layers.proxy(HERE / "hub" / "proxy"),
                layers.plugin(layers.ROOT / "launcher" / "jupyterhub"),
            ],
            path=f"{layers.ENVIRONMENT}/bin:{layers.PROXY}/bin",
            command=["jupyterhub"],
            # A change of the plugin doesn't touch the layers below.
            env=(f"PYTHONPATH={layers.PLUGIN}",),
        ),
        oci.Image(
            name="slipway.test/singleuser:e2e",
            layers=[base, layers.python(base, HERE / "singleuser")],
            path=f"{layers.ENVIRONMENT}/bin",
            command=["jupyterhub-singleuser"],
        ),
    ]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if os.geteuid() != 0:
        sys.exit("build.py: it needs root, to unpack Debian's packages and run the programs among them")
    try:
        oci.write(Path(sys.argv[1]), images())
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"build.py: {error}")
