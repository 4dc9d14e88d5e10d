# Servers by our plugin, through the launcher in the hub's own pod.
c = get_config()  # noqa: F821

c.JupyterHub.spawner_class = "slipway"
c.SlipwaySpawner.launcher_url = "unix:///run/slipway/launcher.sock"
c.SlipwaySpawner.hub_name = "main"
c.SlipwaySpawner.start_timeout = 120
