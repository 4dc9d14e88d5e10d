import json
import subprocess
import sys
from pathlib import Path

import pytest
from slipway_spawner import traits


@pytest.fixture
def answer(capsys):
    """Run the module and give its exit code, output and messages."""

    def run(path):
        code = traits.main([str(path)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def loaded(tmp_path, answer):
    def load(text):
        path = tmp_path / "jupyterhub_config.py"
        path.write_text(text)
        code, out, messages = answer(path)
        assert code == 0, messages
        return json.loads(out)["traits"]

    return load


def test_as_the_command_line_runs_it(tmp_path):
    path = tmp_path / "jupyterhub_config.py"
    path.write_text("print('noise')\nc.KubeSpawner.uid = 1\n")
    command = [sys.executable, "-c", Path(traits.__file__).read_text(), str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout) == {"spawner": "KubeSpawner", "traits": {"uid": 1}}
    assert ended.stderr == "noise\n"

    path.write_text("raise RuntimeError('boom')\n")
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == traits.INVALID
    assert ended.stderr == f"{path}:1: RuntimeError: boom\n"


@pytest.mark.parametrize(
    ("config", "want"),
    [
        ("c.KubeSpawner.image = 'a'", {"image": "a"}),
        ("c.JupyterHub.spawner_class = 'kubespawner.KubeSpawner'\nc.Spawner.cmd = ['a']", {"cmd": ["a"]}),
        # The more special section wins.
        ("c.KubeSpawner.cmd = ['k']\nc.Spawner.cmd = ['s']", {"cmd": ["k"]}),
        # Python's lazy changes, over the traits' defaults.
        ("c.KubeSpawner.volumes.append({'name': 'a'})", {"volumes": [{"name": "a"}]}),
        ("c.KubeSpawner.environment.update({'A': 'b'})", {"environment": {"A": "b"}}),
        ("c.KubeSpawner.storage_access_modes.extend(['X'])", {"storage_access_modes": ["ReadWriteOnce", "X"]}),
        # Order stays.
        ("c.KubeSpawner.profile_list = [{'b': 1, 'a': (1, 2.5)}]", {"profile_list": [{"b": 1, "a": [1, 2.5]}]}),
        # Objects of the Kubernetes client.
        (
            """from kubernetes_asyncio.client import V1Container, V1SecurityContext
c.KubeSpawner.init_containers = [V1Container(name='i', security_context=V1SecurityContext(run_as_user=0))]""",
            {
                "init_containers": [
                    {"$model": "V1Container", "value": {"name": "i", "securityContext": {"runAsUser": 0}}}
                ]
            },
        ),
        ("c.JupyterHub.internal_ssl = True", {"internal_ssl": True}),
        ("print('noise')\nc.KubeSpawner.uid = 1", {"uid": 1}),
        # A class that is made from KubeSpawner.
        (
            """from kubespawner import KubeSpawner
class Ours(KubeSpawner): pass
c.JupyterHub.spawner_class = Ours; c.Ours.uid = 2; c.KubeSpawner.uid = 1""",
            {"uid": 2},
        ),
    ],
)
def test_traits(loaded, config, want):
    got = loaded(config)
    assert got == want
    assert json.dumps(got) == json.dumps(want)  # the order, too


def test_common_labels_are_updated_over_the_default(loaded):
    got = loaded("c.KubeSpawner.common_labels.update({'team': 'x'})")
    assert got["common_labels"]["team"] == "x"
    assert got["common_labels"]["heritage"] == "jupyterhub"


def test_what_stands_beside_the_file_is_found(tmp_path, answer):
    (tmp_path / "more.py").write_text("c.KubeSpawner.uid = 7\n")
    path = tmp_path / "jupyterhub_config.py"
    path.write_text("load_subconfig('more.py')\n")
    assert json.loads(answer(path)[1])["traits"] == {"uid": 7}


def test_a_function_is_described(loaded):
    got = loaded("c.KubeSpawner.image = 'a'\n\n\ndef who(spawner):\n    return 1000\n\n\nc.KubeSpawner.uid = who")[
        "uid"
    ]
    assert got["$callable"] == "who"
    assert got["line"] == 4
    assert got["source"] == "def who(spawner):\n    return 1000"
    assert got["cel"] == "1000"


@pytest.mark.parametrize(
    ("function", "want"),
    [
        ("lambda s: 1000 + s.user.id", "1000 + user.id"),
        ("lambda s: f'x-{s.user.name.lower()}'", '"x-" + string(user.name.lowerAscii())'),
        ("lambda s: 0 if s.user.name == 'root' else 1000", '(user.name == "root") ? 0 : 1000'),
        ("lambda s: s.user.name.startswith('a') and s.name == ''", 'user.name.startsWith("a") && (server.name == "")'),
        ("lambda s: [int(s.user.id), 5]", "[int(user.id), 5]"),
        ("lambda s: {'runAsUser': 5}", '{"runAsUser": 5}'),
        ("lambda s: (1 + s.user.id) * (2 + 3)", "(1 + user.id) * (2 + 3)"),
        # What isn't plain.
        ("lambda s: open('x').read()", None),
        ("lambda s: s.user.groups[0]", None),
        ("lambda s: f'{s.user.id:04d}'", None),
        ("lambda s: s.user.admin", None),
        ("lambda: 1", None),
        ("lambda s: s.user.name.lower(x=1)", None),
        ("len", None),
    ],
)
def test_drafts_in_cel(loaded, function, want):
    assert loaded(f"c.KubeSpawner.uid = {function}")["uid"].get("cel") == want


def test_a_hook_that_only_sets_fields_becomes_patches(loaded):
    got = loaded(
        "def hook(spawner, pod):\n"
        "    '''Why.'''\n"
        "    pod.spec.termination_grace_period_seconds = 30\n"
        "    pod.metadata.labels['a/b~c'] = 'd'\n"
        "    return pod\n"
        "c.KubeSpawner.modify_pod_hook = hook"
    )["modify_pod_hook"]
    assert got["cel"] == (
        '[JSONPatch{op: "add", path: "/spec/terminationGracePeriodSeconds", value: 30}, '
        'JSONPatch{op: "add", path: "/metadata/labels/a~1b~0c", value: "d"}]'
    )


@pytest.mark.parametrize(
    "body",
    [
        "return None",
        "pod.spec.x = spawner.name\n    return pod",
        "if pod: pod.spec.x = 1\n    return pod",
        "return pod",
    ],
)
def test_other_hooks_have_no_draft(loaded, body):
    got = loaded(f"def hook(spawner, pod):\n    {body}\nc.KubeSpawner.modify_pod_hook = hook")
    assert "cel" not in got["modify_pod_hook"]


@pytest.mark.parametrize(
    ("config", "line", "message"),
    [
        ("c.A.x = 1\nraise RuntimeError('boom')\n", 2, "RuntimeError: boom"),
        ("c.X =\n", 1, "SyntaxError"),
        ("import sys\n\nsys.exit(3)\n", 3, "SystemExit: 3"),
        ("def f():\n    import json\n    json.loads('x')\nf()\n", 3, "JSONDecodeError"),
    ],
)
def test_a_configuration_that_raises(tmp_path, answer, config, line, message):
    path = tmp_path / "jupyterhub_config.py"
    path.write_text(config)
    code, out, messages = answer(path)
    assert code == traits.INVALID
    assert out == ""
    assert messages.startswith(f"{path}:{line}: ")
    assert message in messages


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("c.JupyterHub.spawner_class = 'simple'", "only KubeSpawner and what is made from it can be imported"),
        ("c.JupyterHub.spawner_class = 'no.such.Spawner'", "can't be imported"),
        ("c.KubeSpawner.uid = object()", "uid: an object of type object is neither a plain value nor a function"),
        ("c.KubeSpawner.cpu_limit = float('inf')", "cpu_limit: inf is no number"),
    ],
)
def test_what_cant_be_imported(tmp_path, answer, config, message):
    path = tmp_path / "jupyterhub_config.py"
    path.write_text(config)
    code, out, messages = answer(path)
    assert code == traits.INVALID
    assert out == ""
    assert messages.startswith(f"{path}: ")
    assert message in messages


def test_no_such_file(tmp_path, answer):
    code, _, messages = answer(tmp_path / "nowhere.py")
    assert code == traits.INVALID
    assert "no such file" in messages
