"""What becomes of servers while the launcher is away."""

import asyncio

import pytest
from slipway_spawner.client import LauncherClient, LauncherUnavailableError
from tornado.web import HTTPError
from world import ALICE, api, person, running, spawner, start, until


async def test_hub_that_is_restarted_while_the_launcher_is_away_loses_nothing(open_hub, launcher):
    async with open_hub() as hub:
        await start(hub, "alice")
    await launcher.stop()
    async with open_hub() as hub:
        assert spawner(hub, "alice").ready
        assert await spawner(hub, "alice").poll() is None


async def test_launcher_that_is_away_is_waited_for(hub, launcher):
    await start(hub, "bob")
    await launcher.stop()
    assert await spawner(hub, "bob").poll() is None

    hub.tornado_application.settings["slow_spawn_timeout"] = 0
    status, _ = await api(hub, "POST", ALICE + "/server", {"profile": "small"})
    assert status in (201, 202)
    await until(lambda: spawner(hub, "alice")._trouble, "the first try")
    await launcher.start()
    await running(hub, "alice")


async def test_start_without_a_launcher_fails_in_time_and_counts(open_hub, launcher):
    await launcher.stop()
    async with open_hub(Spawner={"start_timeout": 1}) as hub, person(hub, "alice") as alice:
        status, page = await alice.open("/spawn")
        assert status == 503
        assert "The launcher can&#39;t be reached" in page

        status, answer = await api(hub, "POST", ALICE + "/server", {})
        assert status == 503
        assert answer["message"].startswith("The launcher can't be reached at unix:")
        assert hub.tornado_application.settings["failure_count"] == 1


async def test_start_that_is_tried_again_has_the_time_that_is_left(hub, monkeypatch):
    real, tries = LauncherClient.start, []

    async def start_at_last(client, user, name, body, timeout):
        tries.append((timeout, body["timeoutSeconds"]))
        if len(tries) < 4:
            raise LauncherUnavailableError("away")
        return await real(client, user, name, body, timeout)

    monkeypatch.setattr(LauncherClient, "start", start_at_last)
    await start(hub, "bob")
    assert [int(timeout) for timeout, _ in tries] == [seconds for _, seconds in tries]
    timeouts = [timeout for timeout, _ in tries]
    assert timeouts == sorted(set(timeouts), reverse=True)
    # Three pauses of at least half their length.
    assert timeouts[0] - timeouts[-1] > 0.5


async def test_stop_after_a_start_that_had_no_launcher_does_not_wait_as_long_once_more(open_hub, launcher, monkeypatch):
    monkeypatch.setattr("slipway_spawner.spawner.STOP_IN_TROUBLE", 0.1, raising=False)
    await launcher.stop()
    async with open_hub(Spawner={"start_timeout": 4}) as hub:
        now = asyncio.get_running_loop().time
        began = now()
        status, answer = await api(hub, "POST", ALICE + "/server", {})
        assert status == 503
        assert answer["message"].startswith("The launcher can't be reached")
        assert not spawner(hub, "alice").pending
        assert now() - began < 6
        # The next stop is another matter.
        await launcher.start()
        await start(hub, "alice")
        assert spawner(hub, "alice")._trouble is None


async def test_stream_that_ends_at_once_is_not_opened_without_a_pause(open_hub, monkeypatch):
    opened = 0

    async def nothing(*_):
        nonlocal opened
        opened += 1
        await asyncio.sleep(0)
        for step in ():
            yield step

    monkeypatch.setattr(LauncherClient, "progress", nothing)
    async with open_hub(Spawner={"start_timeout": 2}) as hub:
        status, _ = await api(hub, "POST", ALICE + "/server", {"profile": "small"})
        assert status == 503
        assert 1 < opened < 12


async def test_claims_are_asked_for_until_a_launcher_that_is_away_is_back(hub, launcher, monkeypatch):
    lab = await start(hub, "alice", "lab")
    await lab.user.stop("lab")
    await launcher.stop()
    monkeypatch.setattr("slipway_spawner.spawner.DELETE_TIMEOUT", 0.2, raising=False)
    with pytest.raises(HTTPError) as refused:
        await lab.delete_forever()
    assert refused.value.status_code == 503
    assert refused.value.jupyterhub_message.startswith("The launcher can't be reached")
    assert any("The claims of alice:lab stay" in line for line in hub.logged)

    monkeypatch.setattr("slipway_spawner.spawner.DELETE_TIMEOUT", 20, raising=False)
    asked = asyncio.ensure_future(lab.delete_forever())
    await until(lambda: lab._trouble, "the first try")
    await launcher.start()
    await asked
