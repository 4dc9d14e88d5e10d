"""A hub changes from KubeSpawner to Slipway while servers run."""

from world import api, notebooks, until

# What KubeSpawner 7.1 saved of alice's running server.
SAVED = {
    "kubespawner_version": "7.1.0",
    "pod_name": "jupyter-alice",
    "namespace": "research",
    "dns_name": "jupyter-alice.research.svc.cluster.local",
    "pvc_name": "claim-alice",
}


def logged(hub, text):
    return any(text in line for line in hub.logged)


def spawner(hub, user):
    return next(u for u in hub.users.values() if u.name == user).spawners[""]


async def left_by_kubespawner(open_hub, seen):
    """Leave a database as KubeSpawner does; seen says whether the launcher sees the pod, by its label."""
    async with open_hub() as hub:
        await api(hub, "POST", "/users/alice/server", {"profile": "small"})
        await until(lambda: spawner(hub, "alice").ready, "the server")
        alice = spawner(hub, "alice")
        if not seen:
            await alice.launcher.stop("alice", "", grace=0, wait=10)
        alice.orm_spawner.state = SAVED
        hub.db.commit()


async def test_server_with_the_label_stays_and_stops_and_starts_again(open_hub):
    await left_by_kubespawner(open_hub, seen=True)
    async with open_hub() as hub:
        alice = spawner(hub, "alice")
        assert alice.ready
        assert await alice.poll() is None

        await alice.user.stop()
        assert await alice.launcher.get("alice", "") is None
        # Were the hub to change back, KubeSpawner would find the home.
        assert alice.orm_spawner.state == {
            "kubespawner_version": "7.1.0",
            "namespace": "research",
            "pvc_name": "claim-alice",
        }
        status, _ = await api(hub, "POST", "/users/alice/server")
        assert status in (201, 202)
        await until(lambda: spawner(hub, "alice").ready, "the server")


async def test_server_without_the_label_is_not_given_up_while_it_answers(open_hub, launcher):
    await left_by_kubespawner(open_hub, seen=False)
    async with open_hub() as hub:
        alice = spawner(hub, "alice")
        assert alice.ready
        assert await alice.poll() is None
        assert logged(hub, "Pod research/jupyter-alice of alice runs, but lacks the label slipway.dev/hub")

        # Nobody of ours can stop it: that is said, and how it is done.
        await api(hub, "DELETE", "/users/alice/server")
        assert logged(hub, "only an administrator can stop it: kubectl delete pod -n research jupyter-alice")


async def test_server_without_the_label_is_given_up_when_it_is_silent_for_long(open_hub, launcher, monkeypatch):
    monkeypatch.setattr("slipway_spawner.spawner.PROBE_TIMEOUT", 0.2)
    await left_by_kubespawner(open_hub, seen=False)
    async with open_hub() as hub:
        alice = spawner(hub, "alice")
        await launcher.silence()
        assert await alice.poll() is None
        assert await alice.poll() is None
        # It was only busy.
        async with notebooks(launcher.port):
            assert await alice.poll() is None
        assert [await alice.poll() for _ in range(3)] == [None, None, 1]


async def test_server_that_kubespawner_never_ran_is_gone_when_the_launcher_says_so(open_hub, launcher):
    async with open_hub() as hub:
        await api(hub, "POST", "/users/bob")
        await api(hub, "POST", "/users/bob/server", {"profile": "small"})
        await until(lambda: spawner(hub, "bob").ready, "the server")
        bob = spawner(hub, "bob")
        await bob.launcher.stop("bob", "", grace=0, wait=10)

        async def gone():
            return await bob.poll() == 1

        # Its address answers still, as another pod's would that has it now.
        await until(gone, "the end of the server", timeout=30)
