"""What people see of it, in a real hub."""

import asyncio
import base64
import json

from prometheus_client import REGISTRY
from slipway_spawner.client import LauncherClient
from world import ALICE, HubProcess, api, person, running, spawner, start, until


def failures(reason):
    got = REGISTRY.get_sample_value(
        "jupyterhub_server_spawn_duration_seconds_count", {"status": "failure", "reason": reason}
    )
    return got or 0


async def test_user_chooses_a_profile_and_gets_a_server_where_policy_says(hub, launcher):
    async with person(hub, "alice") as alice:
        status, page = await alice.open("/spawn")
        assert status == 200
        assert 'id="profile-option-gpu--image"' in page

        status, _ = await alice.send("/spawn", {"profile": "gpu", "profile-option-gpu--image": "pytorch"})
        assert status == 302
    server = await running(hub, "alice")

    # Not where the hub would have it.
    assert server.server.url == f"http://127.0.0.1:{launcher.port}/user/alice/"
    assert server.port == 8888
    assert hub.proxy.routes["/user/alice/"]["target"] == f"http://127.0.0.1:{launcher.port}"
    assert server.user_options == {"profile": "gpu", "image": "pytorch"}
    got = await server.launcher.get("alice", "")
    assert (got.state, got.pod) == ("Running", "jupyter-alice")


async def test_launcher_is_told_who_the_user_is_and_no_more(open_hub, launcher):
    async def facts(spawner):
        return {"uid": 1000 + len(spawner.user.name)}

    async with open_hub(SlipwaySpawner={"user_annotations": facts}, Spawner={"environment": {"SHELL": "zsh"}}) as hub:
        server = await start(hub, "alice", "lab", {"profile": "gpu"})
        token, number = server.api_token, server.user.id
    (pod,) = await launcher.objects("pods")
    (secret,) = await launcher.objects("secrets")

    said = pod["metadata"]["annotations"]
    assert (said["hub.jupyter.org/username"], said["hub.jupyter.org/servername"]) == ("alice", "lab")
    assert (said["slipway.dev/groups"], said["slipway.dev/profile"]) == ('["staff"]', "gpu")
    assert said["slipway.dev/user-annotations"] == '{"uid":"1005"}'
    assert said["slipway.dev/user-id"] == str(number)
    # The token is in the Secret, and what the hub's environment may bring, policy said.
    assert base64.b64decode(secret["data"]["JUPYTERHUB_API_TOKEN"]).decode() == token
    assert token not in json.dumps(pod)
    variables = {v["name"] for v in pod["spec"]["containers"][0]["env"]}
    assert {"JUPYTERHUB_API_TOKEN", "JUPYTERHUB_SERVICE_URL"} <= variables
    assert "SHELL" not in variables
    assert not {"PATH", "HOME", "MEM_LIMIT"} & secret["data"].keys()


async def test_last_choice_is_chosen_already_next_time(hub):
    server = await start(hub, "alice", options={"profile": "gpu", "image": "pytorch"})
    await server.user.stop()
    async with person(hub, "alice") as alice:
        _, page = await alice.open("/spawn")

    assert '<option value="pytorch" selected>' in page
    assert 'id="profile-item-gpu" value="gpu" checked' in page


async def test_user_is_offered_what_his_groups_may_have(hub):
    async with person(hub, "alice") as alice, person(hub, "bob") as bob:
        _, of_alice = await alice.open("/spawn")
        _, of_bob = await bob.open("/spawn")

    assert 'value="gpu"' in of_alice
    assert 'value="gpu"' not in of_bob
    assert 'value="small"' in of_bob


async def test_forged_form_is_denied_in_one_sentence_and_the_hub_does_not_count_it(open_hub):
    # Twice in a row would end the hub.
    async with open_hub(Spawner={"consecutive_failure_limit": 2}) as hub, person(hub, "bob") as bob:
        await bob.open("/spawn")
        before = failures("ProfileNotAllowed")
        for _ in range(3):
            status, page = await bob.send("/spawn", {"profile": "gpu", "profile-option-gpu--image": "jax"})
            assert status == 403
            (sentence,) = [line.strip() for line in page.splitlines() if "spawn-error-msg" in line]
            assert "gpu" in sentence
            assert "Traceback" not in page
            assert "SpawnException" not in sentence
            assert "HTTP" not in sentence

        assert failures("ProfileNotAllowed") == before + 3
        assert hub.tornado_settings.get("failure_count", 0) == 0
        assert hub.tornado_application.settings.get("failure_count", 0) == 0
        # And the next one is served.
        status, _ = await bob.send("/spawn", {"profile": "small"})
        assert status == 302
        await running(hub, "bob")


async def test_denial_over_the_rest_api_says_why(hub):
    await api(hub, "POST", "/users/bob")
    status, answer = await api(hub, "POST", "/users/bob/server", {"profile": "gpu"})
    assert status == 403
    assert "gpu" in answer["message"]

    status, answer = await api(hub, "POST", "/users/bob/server", {"profile": ["gpu"]})
    assert (status, answer["message"]) == (400, "The option 'profile' has to be a text")


async def test_what_was_chosen_once_and_is_not_offered_any_more_can_be_got_rid_of(hub):
    await start(hub, "bob", options={"profile": "small"})
    bob = spawner(hub, "bob").user
    await bob.stop()
    bob.spawner.orm_spawner.user_options = {"profile": "gone"}
    async with person(hub, "bob") as browser:
        _, page = await browser.open("/spawn")
    assert page.count(" checked>") == 1


async def test_progress_is_shown_to_everybody_who_watches(open_hub):
    async with open_hub() as hub, person(hub, "alice") as alice, person(hub, "admin") as admin:
        hub.tornado_application.settings["slow_spawn_timeout"] = 0
        status, _ = await api(hub, "POST", ALICE + "/server", {"profile": "slow"})
        assert status == 202
        await alice.open("/spawn-pending/alice")
        await admin.open("/spawn-pending/alice")
        told = await alice.follow("/api/users/alice/server/progress")
        also = await admin.follow("/api/users/alice/server/progress")

    assert told[0]["message"] == "Server requested"
    assert [t for t in told if 0 < t.get("progress", 0) < 100], told
    assert told[-1]["ready"]
    assert also[-1]["ready"]


async def test_progress_is_told_to_whoever_comes_while_the_hub_waits_for_the_pod_to_answer(hub):
    await start(hub, "alice", options={"profile": "small"})
    # A pod without a readiness probe runs long before its server answers: start is over then, but the page isn't.
    assert [step["message"] async for step in spawner(hub, "alice").progress()]


async def test_pod_that_can_not_start_fails_with_its_reason_and_is_removed(hub):
    async with person(hub, "alice") as alice:
        await alice.open("/spawn")
        status, page = await alice.send("/spawn", {"profile": "broken"})
        if status == 302:  # it took more than a second
            await until(lambda: not spawner(hub, "alice").pending, "the failure")
            status, page = await alice.open("/spawn-pending/alice")
    assert status == 500
    assert "The server can&#39;t start: " in page
    assert "exit code 3" in page

    alice = spawner(hub, "alice")
    await until(lambda: gone(alice), "the end of the pod")
    # And a start after it isn't hindered.
    await start(hub, "alice", options={"profile": "small"})


async def test_pod_that_waits_too_long_fails_with_what_it_waits_for(open_hub):
    async with open_hub(Spawner={"start_timeout": 3}) as hub:
        status, answer = await api(hub, "POST", ALICE + "/server", {"profile": "missing"})
        assert status == 504
        assert answer["message"].startswith("The server didn't start within 3 seconds: ")
        assert "fail-pull" in answer["message"]
        assert hub.tornado_application.settings["failure_count"] == 0


async def test_server_that_is_started_anew_is_not_taken_for_the_one_before(hub, launcher, monkeypatch):
    monkeypatch.setattr("slipway_spawner.overview.MAX_AGE", 600)
    bob = await start(hub, "bob")
    assert await bob.poll() is None
    first = bob.get_state()["slipway_pod_uid"]
    await bob.user.stop()
    bob = await start(hub, "bob")
    second = (await bob.launcher.get("bob", "")).uid
    assert second != first
    # Its address would be the former pod's, too.
    assert await bob.poll() is None
    assert bob.get_state()["slipway_pod_uid"] == second


async def gone(server):
    return await server.launcher.get(server.user.name, server.name) is None


async def test_server_that_ends_by_itself_is_noticed_with_its_exit_code_and_removed(hub):
    server = await start(hub, "alice", options={"profile": "short"})

    async def code():
        return await server.poll() is not None

    await until(code, "the end of the server", timeout=30)
    await until(lambda: gone(server), "the end of the pod")


async def test_named_servers_are_servers_of_their_own(hub):
    await start(hub, "alice", options={"profile": "small"})
    lab = await start(hub, "alice", "lab", options={"profile": "small"})

    assert {key for key in await lab.launcher.servers() if key[0] == "alice"} == {("alice", ""), ("alice", "lab")}
    assert lab.server.base_url == "/user/alice/lab/"
    status, _ = await api(hub, "DELETE", ALICE + "/servers/lab")
    assert status in (202, 204)
    await until(lambda: gone(lab), "the end of the named server")
    assert (await lab.launcher.get("alice", "")).state == "Running"


async def test_hub_is_restarted_with_servers_running_and_nothing_is_lost(open_hub, launcher):
    async with open_hub() as hub:
        before = [await start(hub, user, name) for user, name in (("alice", ""), ("alice", "lab"), ("bob", ""))]
        uids = {(s.user.name, s.name): (await s.launcher.get(s.user.name, s.name)).uid for s in before}
    async with open_hub() as hub:
        for (user, name), uid in uids.items():
            after = spawner(hub, user, name)
            assert after.ready
            assert (await after.launcher.get(user, name)).uid == uid
            assert after.server.url.startswith(f"http://127.0.0.1:{launcher.port}/user/{user}/")
            assert await after.poll() is None


async def test_hub_that_is_killed_in_the_middle_of_a_start_finds_the_server(launcher, tmp_path):
    asked = LauncherClient(launcher.url, hub="main")
    hub = HubProcess(tmp_path, launcher.url)
    await hub.start()
    await hub.api("POST", "/users/bob")
    start = asyncio.ensure_future(hub.api("POST", "/users/bob/server", {"profile": "slow"}))

    async def pending():
        server = await asked.get("bob", "")
        return server and server.state == "Pending"

    await until(pending, "the pod")
    await hub.kill()
    await asyncio.gather(start, return_exceptions=True)

    await hub.start()

    async def ready():
        _, bob = await hub.api("GET", "/users/bob")
        return bob["servers"].get("", {}).get("ready")

    await until(ready, "bob's server", timeout=60)
    await hub.kill()
    assert (await asked.get("bob", "")).state == "Running"


async def test_url_of_a_server_that_is_starting_is_waited_for(hub, launcher):
    await api(hub, "POST", "/users/bob")
    await start(hub, "bob")
    bob = spawner(hub, "bob")
    first = await bob.get_url()
    pending = await bob.launcher.start("bob", "", {"startId": "another", "profile": "slow"}, 20)
    assert pending.state == "Pending"
    assert await bob.get_url() == first == f"http://127.0.0.1:{launcher.port}/user/bob/"
    assert (await bob.launcher.get("bob", "")).state == "Running"


async def test_admin_stops_and_starts_the_server_of_a_user(hub):
    server = await start(hub, "bob", options={"profile": "small"})
    first = (await server.launcher.get("bob", "")).uid
    async with person(hub, "admin") as admin:
        status, page = await admin.open("/admin")
        assert status == 200, page
    status, _ = await api(hub, "DELETE", "/users/bob/server")
    assert status in (202, 204)
    await until(lambda: gone(server), "the end of the server")
    again = await start(hub, "bob")
    assert (await again.launcher.get("bob", "")).uid != first
    # Without a word on options, the last ones.
    assert again.user_options == {"profile": "small"}


async def test_claims_go_with_what_they_were_for(hub):
    default, lab = await start(hub, "alice"), await start(hub, "alice", "lab")
    for server in (default, lab):
        await server.user.stop(server.name)

    async def marked():
        return sorted(c.server for c in await default.launcher.claims("alice") if c.delete_requested)

    status, _ = await api(hub, "DELETE", ALICE + "/servers/lab", {"remove": True})
    assert status == 204
    assert await marked() == ["lab"]

    status, _ = await api(hub, "DELETE", ALICE)
    assert status == 204
    assert await marked() == ["", "lab"]


async def test_server_with_a_home_of_its_own_keeps_its_name(hub):
    lab = await start(hub, "alice", "lab")
    await lab.user.stop("lab")
    status, answer = await api(hub, "PATCH", ALICE + "/servers/lab", {"name": "other"})
    assert status == 409
    assert "home of its own" in answer["message"]
    assert "lab" in lab.user.orm_spawners


async def test_token_of_the_server_is_in_no_log_and_in_no_state(hub):
    server = await start(hub, "alice")
    token = server.api_token
    assert len(token) > 20
    await server.user.stop()
    logged = "\n".join(hub.logged)
    assert "User alice took" in logged
    assert "Finished stopping alice" in logged
    assert token not in logged
    assert token not in json.dumps(server.get_state())
