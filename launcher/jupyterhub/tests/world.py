"""A real JupyterHub in the test's own event loop, with a proxy that only notes its routes, and people who use it."""

import asyncio
import json
import logging
import os
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from jupyterhub import __version__
from jupyterhub.app import JupyterHub
from jupyterhub.proxy import Proxy
from jupyterhub.utils import exponential_backoff
from slipway_spawner.events import EventReader
from slipway_spawner.spawner import SlipwaySpawner
from tornado import httpserver, web
from traitlets.config import Config

ADMIN_TOKEN = "the-token-of-the-tests-0000000000000000"  # noqa: S105
# Alice in the hub\'s API.
ALICE = "/users/alice"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class NotingProxy(Proxy):
    """A proxy that nobody goes through."""

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


class Hub(JupyterHub):
    """JupyterHub without what belongs to a process of its own."""

    def init_signal(self):
        pass

    def load_config_file(self, *_args, **_kwargs):
        pass

    def _configure_logging(self):
        # The logs of the hub and its spawners, as lines.
        self.logged = []
        handler = logging.Handler()
        handler.emit = lambda record: self.logged.append(handler.format(record))
        for name in ("Hub", "traitlets"):
            logger = logging.getLogger(name)
            logger.handlers[:] = [handler]
            logger.setLevel(logging.DEBUG)
            logger.disabled = False


def settings(folder, port, **more):
    """Give the configuration of a hub whose database is in the folder."""
    config = Config(
        {
            "Authenticator": {"allow_all": True, "admin_users": {"admin"}},
            "JupyterHub": {
                "spawner_class": SlipwaySpawner,
                "authenticator_class": "dummy",
                "proxy_class": NotingProxy,
                "hub_bind_url": f"http://127.0.0.1:{port}",
                "bind_url": f"http://127.0.0.1:{free_port()}",
                "db_url": f"sqlite:///{folder}/hub.sqlite",
                "cookie_secret": b"0" * 32,
                "pid_file": "",
                "cleanup_servers": False,
                "allow_named_servers": True,
                "last_activity_interval": 0,
                "service_check_interval": 0,
                "init_spawners_timeout": -1,
                "services": [{"name": "tests", "api_token": ADMIN_TOKEN}],
                "load_roles": [
                    {"name": "tests", "services": ["tests"], "scopes": ["admin:users", "admin:servers", "admin:groups"]}
                ],
                "load_groups": {"staff": {"users": ["alice"]}},
            },
            "Spawner": {"poll_interval": 0, "http_timeout": 5},
        }
    )
    for section, values in more.items():
        config[section].merge(values)
    return config


@asynccontextmanager
async def running_hub(folder, **more):
    """Run a hub. Its servers go on when it ends, and the next one of the same folder finds them."""
    hub = Hub(config=settings(folder, free_port(), **more))
    await hub.initialize([])
    await hub.start()
    try:
        yield hub
    finally:
        for callback in hub._periodic_callbacks.values():
            callback.stop()
        await hub.cleanup()
        hub.http_server.stop()
        await hub.http_server.close_all_connections()
        hub.db.close()


class HubProcess:
    """A hub in a process of its own, which can be killed."""

    def __init__(self, folder, launcher_url):
        self.port = free_port()
        self._config = folder / "jupyterhub_config.py"
        self._config.write_text(
            f"from world import settings\n"
            f"c.merge(settings({str(folder)!r}, {self.port}, SlipwaySpawner={{'launcher_url': {launcher_url!r}}}))\n"
        )

    async def start(self):
        paths = os.pathsep.join(str(p) for p in (Path(__file__).parent, Path(__file__).parents[1]))
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "jupyterhub", "-f", str(self._config)), env={**os.environ, "PYTHONPATH": paths}
        )

        async def answers():
            try:
                return (await self.api("GET", "/"))[0] == 200
            except aiohttp.ClientError:
                return False

        await until(answers, "the hub", timeout=60)

    async def api(self, method, path, body=None):
        return await call(f"http://127.0.0.1:{self.port}/hub/api{path}", method, body)

    async def kill(self):
        self._process.kill()
        await self._process.wait()


class Person:
    """Somebody with a browser, which has no JavaScript."""

    def __init__(self, hub, name, session):
        self.name, self._session, self._base = name, session, hub.hub.url.rstrip("/")

    async def open(self, path):
        """Open a page of the hub, and give its status and text."""
        async with self._session.get(self._base + path) as answer:
            return answer.status, await answer.text()

    async def send(self, path, fields):
        """Send a form, and give what is answered, without following it elsewhere."""
        xsrf = next(c.value for c in self._session.cookie_jar if c.key == "_xsrf")
        fields = {**fields, "_xsrf": xsrf}
        referrer = {"Referer": self._base + path}
        async with self._session.post(
            self._base + path, data=fields, headers=referrer, allow_redirects=False
        ) as answer:
            return answer.status, await answer.text()

    async def follow(self, path):
        """Give the events of a server-sent stream, to its end."""
        xsrf = next(c.value for c in self._session.cookie_jar if c.key == "_xsrf")
        async with self._session.get(self._base + path, params={"_xsrf": xsrf}) as answer:
            reader = EventReader()
            return [json.loads(e) async for piece in answer.content.iter_any() for e in reader.feed(piece)]


@asynccontextmanager
async def person(hub, name):
    """Log somebody in."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        somebody = Person(hub, name, session)
        await somebody.open("/login")
        status, text = await somebody.send("/login", {"username": name, "password": "x"})
        assert status < 400, text
        yield somebody


async def api(hub, method, path, body=None):
    """Call the hub's REST API with all rights, and give status and answer."""
    return await call(hub.hub.api_url.rstrip("/") + path, method, body)


async def call(url, method, body=None):
    headers = {"Authorization": f"token {ADMIN_TOKEN}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, url, json=body) as answer,
    ):
        if answer.content_type == "application/json":
            return answer.status, await answer.json()
        return answer.status, await answer.text()


class Notebook(web.RequestHandler):
    """Answers as every notebook server does."""

    def get(self):
        self.set_header("X-JupyterHub-Version", __version__)
        self.finish({"version": "1"})


@asynccontextmanager
async def notebooks(port):
    """Serve what the pods of the toy kubelet would, all at one address."""
    server = httpserver.HTTPServer(web.Application([(r"/user/.*", Notebook)]))
    server.listen(port, address="127.0.0.1")

    async def silence():
        server.stop()
        await server.close_all_connections()

    server.silence = silence
    try:
        yield server
    finally:
        await silence()


async def until(condition, what, timeout=20):
    """Wait for a condition, which may be async."""

    async def check():
        got = condition()
        return await got if asyncio.iscoroutine(got) else got

    return await exponential_backoff(check, f"{what} didn't come", start_wait=0.02, max_wait=0.2, timeout=timeout)


def spawner(hub, user, name=""):
    """Give the hub's own object of a server."""
    return next(u for u in hub.users.values() if u.name == user).spawners[name]


async def running(hub, user, name=""):
    """Wait for a server."""
    await until(lambda: spawner(hub, user, name).ready, f"{user}'s server")
    return spawner(hub, user, name)


async def start(hub, user, name="", options=None):
    """Start a server over the REST API, as an administrator does."""
    await api(hub, "POST", f"/users/{user}")
    status, answer = await api(hub, "POST", f"/users/{user}/" + (f"servers/{name}" if name else "server"), options)
    assert status in (201, 202), answer
    return await running(hub, user, name)
