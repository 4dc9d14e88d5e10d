"""What the hub asks the launcher for: who the user is and what he chose, never what the pod is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .refusal import refusal

# What the hub makes of traits that mean nothing here, or of paths on its own machine. Policy computes them for the pod.
NOT_THE_HUBS = frozenset(
    (
        *("MEM_LIMIT", "MEM_GUARANTEE", "CPU_LIMIT", "CPU_GUARANTEE"),
        *("JUPYTERHUB_SSL_KEYFILE", "JUPYTERHUB_SSL_CERTFILE", "JUPYTERHUB_SSL_CLIENT_CA"),
    )
)

# The names of internal TLS' files in the pod, and what JupyterHub calls them.
FILES = {"ssl.key": "keyfile", "ssl.crt": "certfile", "notebooks-ca_trust.crt": "cafile"}


def choice(user_options: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Give profile and options of {profile: SLUG, OPTION: CHOICE}. What is empty counts as not given.

    Which ones there are, and for whom, is for policy to judge.
    """
    for name, value in user_options.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float | None):
            raise refusal(f"The option {name!r} has to be a text", reason="OptionInvalid", status=400)
    given = {name: str(value) for name, value in user_options.items() if value not in (None, "")}
    return given.pop("profile", ""), given


def environment(env: Mapping[str, Any]) -> dict[str, str]:
    """Give the environment that the hub has for a server. What may pass is said by policy's hubEnv."""
    for name, value in env.items():
        if not isinstance(value, str | int | float | None):
            sentence = (
                f"The hub's environment variable {name} isn't a plain value; "
                "a reference to something in the cluster belongs in a policy"
            )
            raise refusal(sentence, reason="EnvironmentInvalid", status=500)
    return {name: str(value) for name, value in env.items() if value is not None and name not in NOT_THE_HUBS}


def files(cert_paths: Mapping[str, str]) -> dict[str, str]:
    """Give what JupyterHub made for internal TLS; empty without it."""
    return {name: Path(cert_paths[key]).read_text() for name, key in FILES.items() if key in cert_paths}
