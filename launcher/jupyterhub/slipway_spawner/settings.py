"""What an administrator can set, and what of JupyterHub's own settings begins with another value here."""

from __future__ import annotations

from traitlets import Bool, Callable, Dict, HasTraits, Integer, Unicode, Union, default


class Settings(HasTraits):
    """The traits of c.SlipwaySpawner."""

    launcher_url = Unicode(
        "unix:///run/slipway/launcher.sock",
        help="Where the launcher listens: `unix:///PATH` for a socket in the hub's pod, or `https://HOST:PORT`.",
    ).tag(config=True)

    launcher_ca = Unicode(
        help="File with the CA that the launcher's certificate is checked with; empty: what the system trusts.",
    ).tag(config=True)

    launcher_token_file = Unicode(
        help="""File with the token of the hub's service account, for `https://`: a projected one for the audience
        `slipway-launcher`. It is read anew for every request.""",
    ).tag(config=True)

    hub_name = Unicode(
        "main",
        help="The hub's name in the cluster: the value of the pods' label `slipway.dev/hub`, which policies select by.",
    ).tag(config=True)

    namespace = Unicode(
        help="Namespace of the servers; empty: the one that policy gives the user, else the launcher's only one.",
    ).tag(config=True)

    user_annotations = Union(
        [Callable(), Dict()],
        default_value={},
        help="""Further facts about the user, for policy's expressions: a dict of texts, or a function of the spawner
        that gives one, which may be async.""",
    ).tag(config=True)

    delete_grace_period = Integer(
        None,
        allow_none=True,
        help="Seconds that a server has to end when it is stopped; None: what its pod says (30 unless policy sets it).",
    ).tag(config=True)

    delete_stopped_pods = Bool(
        True,
        help="Whether the pod of a server that ended by itself is deleted. If not, it stays until the next start.",
    ).tag(config=True)

    # Where the server listens within its pod is policy's to say. These only go into JUPYTERHUB_SERVICE_URL, which
    # policy rewrites.

    @default("ip")
    def _ip_default(self) -> str:
        return "0.0.0.0"  # noqa: S104

    @default("port")
    def _port_default(self) -> int:
        return 8888

    @default("start_timeout")
    def _start_timeout_default(self) -> int:
        # An image that is new on a node takes minutes.
        return 300

    @default("ssl_alt_names_include_local")
    def _ssl_alt_names_include_local_default(self) -> bool:
        # Nobody reaches the server by its pod's localhost.
        return False

    @default("env_keep")
    def _env_keep_default(self) -> list[str]:
        # The hub's own environment is none of a pod's business.
        return []
