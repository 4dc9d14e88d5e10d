"""A hub whose servers Slipway starts. For a hub in Zero to JupyterHub, see charts/slipway/examples/z2jh-values.yaml."""

import os

c = get_config()  # noqa: F821 # JupyterHub's loader has it

c.JupyterHub.spawner_class = "slipway"

# The name by which policies know this hub.
c.SlipwaySpawner.hub_name = "main"

if "LAUNCHER_URL" in os.environ:
    # The launcher as a Deployment: TLS, and a projected token of the hub's account for the audience slipway-launcher.
    c.SlipwaySpawner.launcher_url = os.environ["LAUNCHER_URL"]
    c.SlipwaySpawner.launcher_ca = "/etc/slipway/ca.crt"
    c.SlipwaySpawner.launcher_token_file = "/var/run/secrets/slipway/token"  # noqa: S105 # a path
else:
    # The launcher in the hub's own pod: a socket in a volume that both mount.
    c.SlipwaySpawner.launcher_url = "unix:///run/slipway/launcher.sock"


async def facts(spawner):
    """Give what policy's expressions may use as user.annotations, here what the authenticator knows."""
    auth_state = await spawner.user.get_auth_state() or {}
    return {"uid": auth_state.get("uid", "")}


c.SlipwaySpawner.user_annotations = facts

# Where servers find the hub, as for any other spawner.
c.JupyterHub.hub_bind_url = "http://:8081"
c.JupyterHub.hub_connect_url = "http://hub:8081"

# Image, resources, volumes, profiles and the like aren't said here: policy says them.
