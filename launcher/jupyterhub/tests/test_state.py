from slipway_spawner.answers import Server
from slipway_spawner.state import State

SERVER = Server("alice", "", "research", "jupyter-alice", "uid-1", "Running", "", "http://10.0.0.1:8888", None)

# What KubeSpawner 7.1 saved of a running server.
KUBESPAWNER = {
    "kubespawner_version": "7.1.0",
    "pod_name": "jupyter-alice",
    "namespace": "research",
    "dns_name": "jupyter-alice.research.svc.cluster.local",
    "pvc_name": "claim-alice",
}


def test_nothing_saved_is_nobodys():
    assert not State().foreign
    assert State().pod == ""


def test_state_of_kubespawner_is_foreign_until_the_launcher_shows_the_server():
    state = State(dict(KUBESPAWNER))
    assert state.foreign
    assert state.pod == "research/jupyter-alice"

    state.started(SERVER)

    assert not state.foreign


def test_home_is_remembered_over_a_stop_so_that_kubespawner_finds_it_again():
    state = State(dict(KUBESPAWNER))
    state.started(SERVER)
    state.stopped()

    assert state.data == {"kubespawner_version": "7.1.0", "namespace": "research", "pvc_name": "claim-alice"}
    assert state.pod == ""


def test_kubespawner_can_load_what_we_saved(kubespawner):
    state = State()
    state.started(SERVER)
    spawner = kubespawner()
    spawner.load_state(state.data)

    assert (spawner.namespace, spawner.pod_name) == ("research", "jupyter-alice")
