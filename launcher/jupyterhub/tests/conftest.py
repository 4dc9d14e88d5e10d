import asyncio
import os
import shlex
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from world import free_port, notebooks, running_hub

POLICIES = Path(__file__).parent / "testdata" / "policies"


class Launcher:
    """A launcher as a process of its own."""

    def __init__(self, folder, port):
        self.socket, self.port = f"{folder}/launcher.sock", port
        self._policies = folder / "policies"
        self._policies.mkdir()
        for policy in POLICIES.glob("*.yaml"):
            # Policy says where the server listens: not at the port that the hub would take.
            text = policy.read_text().replace("port: 8888", f"port: {port}")
            (self._policies / policy.name).write_text(text)
        self._process = None

    @property
    def url(self):
        return f"unix://{self.socket}"

    async def start(self):
        command = [
            *shlex.split(os.environ["STANDIN"]),
            "--socket",
            self.socket,
            "--policies",
            str(self._policies),
            "--hub",
            "main",
        ]
        self._process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert await self._process.stdout.readline() == b"ready\n"

    async def stop(self):
        if self._process:
            self._process.terminate()
            await self._process.wait()
            self._process = None


@pytest.fixture
async def launcher(tmp_path):
    # A socket's path has at most 108 characters, fewer than some temporary folders have.
    with tempfile.TemporaryDirectory(prefix="slipway") as folder:
        launcher = Launcher(Path(folder), free_port())
        await launcher.start()
        async with notebooks(launcher.port):
            yield launcher
        await launcher.stop()


@pytest.fixture
def open_hub(launcher, tmp_path):
    """Give a function that runs a hub on the launcher; one after the other they are one hub that is restarted."""

    @asynccontextmanager
    async def run(**settings):
        own = {"launcher_url": launcher.url, **settings.pop("SlipwaySpawner", {})}
        async with running_hub(tmp_path, SlipwaySpawner=own, **settings) as hub:
            yield hub

    return run


@pytest.fixture
async def hub(open_hub):
    async with open_hub() as hub:
        yield hub


@pytest.fixture
def kubespawner(monkeypatch):
    """Give the real KubeSpawner, which would look for a cluster."""
    from kubespawner import spawner

    monkeypatch.setattr(spawner, "load_config", lambda **_: None)
    monkeypatch.setattr(spawner, "shared_client", lambda _: None)
    return lambda: spawner.KubeSpawner(_mock=True)
