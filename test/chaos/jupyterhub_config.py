"""A hub whose servers are started by Slipway, without a proxy in front of it: its users have its API alone."""

import os

from jupyterhub.proxy import Proxy
from slipway_spawner.spawner import SlipwaySpawner


class NoProxy(Proxy):
    """Nobody goes through it; it notes what the hub told it."""

    should_start = False

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.routes = {}

    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)

    async def get_all_routes(self):
        return self.routes


c = get_config()  # noqa: F821
c.Authenticator.allow_all = True
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.bind_url = "http://127.0.0.1:" + os.environ["PROXY_PORT"]
c.JupyterHub.hub_bind_url = "http://127.0.0.1:" + os.environ["HUB_PORT"]
c.JupyterHub.db_url = "sqlite:///" + os.environ["HUB_DIR"] + "/hub.sqlite"
c.JupyterHub.cookie_secret_file = os.environ["HUB_DIR"] + "/cookie_secret"
c.JupyterHub.cleanup_servers = False
c.JupyterHub.concurrent_spawn_limit = 0
# Who asks for something is told at once that it is under way.
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0, "slow_stop_timeout": 0}
c.JupyterHub.services = [{"name": "people", "api_token": os.environ["HUB_TOKEN"]}]
c.JupyterHub.load_roles = [{"name": "people", "services": ["people"], "scopes": ["admin:users", "admin:servers"]}]

c.JupyterHub.spawner_class = SlipwaySpawner
c.SlipwaySpawner.launcher_url = "unix://" + os.environ["LAUNCHER_SOCKET"]
c.SlipwaySpawner.start_timeout = 120
c.SlipwaySpawner.http_timeout = 30
c.SlipwaySpawner.poll_interval = 5
