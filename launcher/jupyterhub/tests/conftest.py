import asyncio
import subprocess
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from world import free_port, notebooks, running_hub

POLICIES = Path(__file__).parent / "testdata" / "policies"
NAMESPACE = "research"


class Launcher:
    """The real launcher, on a cluster in its memory, as a process of its own."""

    def __init__(self, program, folder, port):
        self.socket, self.port = f"{folder}/launcher.sock", port
        # Takes the notebook servers away.
        self.silence = None
        self._policies = folder / "policies"
        self._policies.mkdir()
        for policy in POLICIES.glob("*.yaml"):
            # Policy says where the server listens: not at the port that the hub would take.
            self.put(policy.name, policy.read_text().replace("port: 8888", f"port: {port}"))
        options = {"socket": self.socket, "policies": self._policies, "hub": "main", "namespace": NAMESPACE}
        self._command = [program, *(f"--{name}={value}" for name, value in options.items())]
        self._process = None

    def put(self, name, policy):
        """Write a policy, for the next start of the launcher."""
        (self._policies / name).write_text(policy)

    @property
    def url(self):
        return f"unix://{self.socket}"

    async def start(self):
        self._process = await asyncio.create_subprocess_exec(*self._command, stdout=asyncio.subprocess.PIPE)
        assert await self._process.stdout.readline() == b"ready\n"

    async def objects(self, kind):
        """Give what is in the cluster."""
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(self.socket)) as session:
            answer = await session.get("http://launcher/fake/objects")
            return (await answer.json())[kind]

    async def stop(self):
        if self._process:
            self._process.terminate()
            await self._process.wait()
            self._process = None


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """Build the launcher for tests."""
    built = tmp_path_factory.mktemp("bin") / "fakelauncher"
    subprocess.run(["go", "build", "-o", built, "."], cwd=Path(__file__).parent / "fakelauncher", check=True)
    return built


@pytest.fixture
async def launcher(program):
    # A socket's path has at most 108 characters, fewer than some temporary folders have.
    with tempfile.TemporaryDirectory(prefix="slipway") as folder:
        launcher = Launcher(program, Path(folder), free_port())
        await launcher.start()
        async with notebooks(launcher.port) as server:
            launcher.silence = server.silence
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
