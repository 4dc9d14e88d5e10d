"""The real KubeSpawner, asked over pipes: one JSON request a line, one JSON answer a line.

A request is {"traits": true}, which is answered with all settings that there are, or a server to make:

    settings        KubeSpawner traits by name, as a configuration file would set them; and internal_ssl, which
                    a hub sets on its spawners when it runs with internal TLS
    python          settings that JSON can't hold, by trait or by trait[key], as Python source: an expression (a
                    lambda, or a list that holds some), or statements of which the last defines the function
    auth_state      what the authenticator knows about the user; default nothing
    user, server    unescaped names; no server is the default server
    user_id         the hub's number of the user, default 7
    groups          names of the user's groups
    namespace       the namespace of the hub itself, default "default"
    options         what the user chose (user_options)
    env             the environment of the hub's own process, for env_keep
    prefix          the server's URL prefix; without one, the hub has no record of the server
    profiles        true: don't make the server, answer with the profiles that the user has

An answer has the pod, the claim (null where none is asked for), the names, and hub_env: the part of the
environment that the hub gives, whatever the pod's settings are. Or an error with type and message, if
KubeSpawner raised one. Every request has a configuration of its own; nothing survives it.
"""

import ast
import asyncio
import json
import logging
import os
import sys
import warnings
from types import SimpleNamespace

import jupyterhub
import kubespawner
import kubespawner.spawner as implementation
from jupyterhub.utils import maybe_future
from kubernetes_asyncio.client import ApiClient, Configuration
from traitlets.config import Config
from traitlets.traitlets import Sentinel, Union

# What JupyterHub gives a server though the settings of the pod say something about it too: it is computed in
# the cluster, so it is no part of hub_env.
COMPUTED_IN_CLUSTER = {
    "CPU_GUARANTEE",
    "CPU_LIMIT",
    "JUPYTERHUB_DEBUG",
    "JUPYTERHUB_DEFAULT_URL",
    "JUPYTERHUB_DISABLE_USER_CONFIG",
    "JUPYTERHUB_ROOT_DIR",
    "MEM_GUARANTEE",
    "MEM_LIMIT",
}

# What a spawner says about a server that no setting of its own says otherwise.
UNSET = {"environment": {}, "default_url": "", "notebook_dir": "", "ip": "0.0.0.0", "port": 8888}  # noqa: S104 -- nothing listens

CONFIGURABLE = kubespawner.KubeSpawner.class_traits(config=True)

HUB_HOST = "10.0.0.3"
HUB_PORT = 8081


class Hub:
    """The hub as a spawner sees it; connect_ip and connect_port can be set, as on the real one."""

    public_host = ""
    base_url = "/hub/"

    def __init__(self):
        self.connect_ip = HUB_HOST
        self.connect_port = HUB_PORT

    @property
    def api_url(self):
        return f"http://{self.connect_ip}:{self.connect_port}/hub/api"


class Oracle(kubespawner.KubeSpawner):
    """KubeSpawner with two facts about its surroundings that a real hub would get elsewhere."""

    hub_namespace = "default"
    given_server = None

    def traits(self, **metadata):
        # Looking for these among all declarations is a third of the time that a server takes.
        return dict(CONFIGURABLE) if metadata == {"config": True} else super().traits(**metadata)

    def _namespace_default(self):
        return self.hub_namespace

    @property
    def server(self):
        return self.given_server


def without_cluster():
    """Takes away what a spawner would do with a cluster while it is only made."""
    implementation.load_config = lambda **kwargs: None
    implementation.shared_client = lambda *args, **kwargs: None


def run(source):
    """The value of an expression, or the function that the last of several statements defines."""
    last = ast.parse(source).body[-1]
    if isinstance(last, ast.Expr):
        return eval(source, {})  # noqa: S307 -- what a hub's configuration file is, too
    scope = {}
    exec(source, scope)  # noqa: S102 -- likewise
    return scope[last.name]


def with_python(settings, python):
    """The settings, and those that are given as source."""
    settings = dict(settings)
    for path, source in python.items():
        name, _, key = path.removesuffix("]").partition("[")
        settings[name] = {**settings.get(name, {}), key: run(source)} if key else run(source)
    return settings


class User(SimpleNamespace):
    """A user as spawners and functions of a hub's configuration see it."""

    async def get_auth_state(self):
        return dict(self.auth_state)


def make_spawner(request, settings):
    """A spawner as the hub makes it at the start of a server."""
    config = Config()
    config.KubeSpawner.update(settings)
    internal_ssl = config.KubeSpawner.pop("internal_ssl", False)
    user = User(
        name=request["user"],
        id=request.get("user_id", 7),
        url="/user/x/",
        groups=[SimpleNamespace(name=name) for name in request.get("groups") or ()],
        auth_state=request.get("auth_state") or {},
    )
    arguments = {
        "config": config,
        "user": user,
        "hub": Hub(),
        "orm_spawner": SimpleNamespace(name=request.get("server") or "", server=None),
        "api_token": "t",
        "internal_ssl": internal_ssl,
    }
    Oracle.hub_namespace = request.get("namespace") or "default"
    if not Oracle._deprecated_traits.keys().isdisjoint(settings):
        # Old names are moved to new ones inside the shared configuration, and one of them takes two passes:
        # every server of a hub but the first one sees the result of the second.
        Oracle(**arguments)
    spawner = Oracle(**arguments)
    if request.get("prefix"):
        spawner.given_server = SimpleNamespace(base_url=request["prefix"])
    return spawner


def hub_env(spawner):
    """The environment that the hub gives, whatever the pod's settings are. It takes the spawner's away."""
    for name, value in UNSET.items():
        setattr(spawner, name, value)
    env = super(kubespawner.KubeSpawner, spawner).get_env()
    return {name: value for name, value in env.items() if name not in COMPUTED_IN_CLUSTER}


def host(spawner):
    """The host under which the hub would reach the server; null if that is the pod's address."""
    pod = {
        "metadata": {"name": spawner.pod_name},
        "spec": {"containers": [{"ports": [{"name": "notebook-port", "containerPort": 1}]}]},
        "status": {"podIP": "192.0.2.1"},
    }
    name = spawner._get_pod_url(pod).split("://", 1)[1].rsplit(":", 1)[0]
    return None if name == "192.0.2.1" else name


async def make_server(request, serialise):
    """What KubeSpawner makes of one server."""
    os.environ.update(request.get("env") or {})
    try:
        spawner = make_spawner(request, settings_of(request))
        # This is the hub's order: what is known about the user, groups, what the user chose, then profiles.
        spawner.user_options = request.get("options") or {}
        await spawner.run_auth_state_hook(await spawner.user.get_auth_state())
        if request.get("groups"):
            await spawner.apply_group_overrides()
        if spawner.apply_user_options:
            await spawner._run_apply_user_options(spawner.user_options)
        await maybe_future(spawner.run_pre_spawn_hook())
        await spawner.load_user_options()
        claim = spawner.get_pvc_manifest() if spawner.storage_pvc_ensure else None
        pod = await spawner.get_pod_manifest()
        if spawner.modify_pod_hook:
            pod = await maybe_future(spawner.modify_pod_hook(spawner, pod))
            if pod is None:  # a hook that forgot its return; the request to create the pod would raise this
                raise AttributeError("'NoneType' object has no attribute 'metadata'")
        answer = {
            "pod": serialise(pod),
            "claim": serialise(claim),
            "names": {
                "pod": spawner.pod_name,
                "claim": spawner.pvc_name,
                "secret": spawner.secret_name,
                "namespace": spawner.namespace,
                "dns": spawner.dns_name,
                "host": host(spawner),
            },
        }
        answer["hub_env"] = hub_env(spawner)
        return answer
    finally:
        for name in request.get("env") or {}:
            del os.environ[name]


def settings_of(request):
    """All settings of a request, those in Python too."""
    return with_python(request.get("settings") or {}, request.get("python") or {})


def profiles(request):
    """The slugs of the profiles that a user has, and the choices of each profile's options."""
    spawner = make_spawner(request, settings_of(request))
    listed = spawner._get_initialized_profile_list(spawner._sorted_dict_values(spawner.profile_list))
    return [
        {
            "slug": profile["slug"],
            "options": {
                name: list(option.get("choices") or ()) for name, option in profile.get("profile_options", {}).items()
            },
        }
        for profile in listed
    ]


def type_of(trait):
    """The names of the types that a trait takes."""
    if isinstance(trait, Union):
        return "|".join(type_of(one) for one in trait.trait_types)
    return type(trait).__name__


def default_of(name, trait, spawner):
    """A trait's default, or null where it is a function or can't be said without a server."""
    value = getattr(spawner, name)
    return None if callable(value) or isinstance(value, Sentinel) else value


def traits():
    """Every setting that this KubeSpawner knows, from its own declarations."""
    spawner = make_spawner({"user": "alice"}, {})
    own = kubespawner.KubeSpawner.class_own_traits(config=True)
    return {
        "versions": {"kubespawner": kubespawner.__version__, "jupyterhub": jupyterhub.__version__},
        "traits": [
            {
                "name": name,
                "type": type_of(trait),
                "nullable": trait.allow_none,
                "inherited": name not in own,
                "default": default_of(name, trait, spawner),
            }
            for name, trait in sorted(CONFIGURABLE.items())
        ],
        "deprecated": {old: new for old, (new, _) in kubespawner.KubeSpawner._deprecated_traits.items()},
    }


def serialiser():
    """The Kubernetes client's own way from its models to JSON."""
    return ApiClient(Configuration()).sanitize_for_serialization


async def answer_to(request, serialise):
    if request.get("traits"):
        return traits()
    if request.get("profiles"):
        return profiles(request)
    return await make_server(request, serialise)


async def serve(lines, answers):
    without_cluster()
    serialise = serialiser()
    for line in lines:
        try:
            text = json.dumps(await answer_to(json.loads(line), serialise), default=repr)
        except Exception as error:  # whatever KubeSpawner raises is its answer
            text = json.dumps({"error": {"type": type(error).__name__, "message": str(error)}})
        answers.write(text + "\n")
        answers.flush()


def main():
    # Nothing but answers may reach the pipe.
    answers, sys.stdout = sys.stdout, sys.stderr
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    asyncio.run(serve(sys.stdin, answers))


if __name__ == "__main__":
    main()
