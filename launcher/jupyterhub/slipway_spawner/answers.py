"""What the launcher answers: servers, steps, profiles and claims, read from its JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Server:
    """A server whose pod exists."""

    user: str
    name: str
    namespace: str
    pod: str
    uid: str
    # Pending, Running, Stopping, Stopped or Failed.
    state: str
    # One sentence on why it isn't running, without a period.
    message: str
    # Where the hub reaches it, scheme://host:port; empty before the pod has an address.
    url: str
    # Of the notebook container; None unless it ended.
    exit_code: int | None

    @property
    def ended(self) -> bool:
        """Say whether it runs no more, or never will."""
        return self.state in ("Stopped", "Failed")

    @classmethod
    def read(cls, data: dict[str, Any]) -> Server:
        return cls(
            user=data["user"],
            name=data.get("name", ""),
            namespace=data["namespace"],
            pod=data["pod"],
            uid=data.get("uid", ""),
            state=data["state"],
            message=data.get("message", ""),
            url=data.get("url", ""),
            exit_code=data.get("exitCode"),
        )


@dataclass(frozen=True)
class Step:
    """What there is to tell of a server on its way."""

    # 0 to 100; -1 where the message tells no step, as a word of patience.
    progress: int
    message: str
    # The Kubernetes event behind it, as it is.
    event: Any
    # Set on the last step; there a server that is None is gone.
    done: bool
    server: Server | None

    @classmethod
    def read(cls, text: str) -> Step:
        data = json.loads(text)
        server = data.get("server")
        return cls(
            progress=data.get("progress", -1),
            message=data.get("message", ""),
            event=data.get("event"),
            done=data.get("done", False),
            server=Server.read(server) if server else None,
        )


@dataclass(frozen=True)
class Choice:
    """An answer to a question of a profile."""

    name: str
    display_name: str
    default: bool


@dataclass(frozen=True)
class Unlisted:
    """An answer that the user types."""

    display_name: str
    # How it is called in the list of choices.
    in_choices: str
    validation_regex: str
    validation_message: str


@dataclass(frozen=True)
class Option:
    """A question of a profile."""

    name: str
    display_name: str
    choices: list[Choice]
    # None: nothing but the choices.
    unlisted: Unlisted | None

    @classmethod
    def read(cls, data: dict[str, Any]) -> Option:
        typed = data.get("unlistedChoice")
        return cls(
            name=data["name"],
            display_name=data.get("displayName") or data["name"],
            choices=[
                Choice(c["name"], c.get("displayName") or c["name"], c.get("default", False))
                for c in data.get("choices") or []
            ],
            unlisted=None
            if typed is None
            else Unlisted(
                display_name=typed.get("displayName") or data.get("displayName") or data["name"],
                in_choices=typed.get("displayNameInChoices") or "Other...",
                validation_regex=typed.get("validationRegex", ""),
                validation_message=typed.get("validationMessage", ""),
            ),
        )


@dataclass(frozen=True)
class Profile:
    """What a user can choose, without what it sets: that is nobody's business but policy's."""

    slug: str
    display_name: str
    description: str
    default: bool
    options: list[Option]

    @classmethod
    def read(cls, data: dict[str, Any]) -> Profile:
        return cls(
            slug=data["slug"],
            display_name=data.get("displayName") or data["slug"],
            description=data.get("description", ""),
            default=data.get("default", False),
            options=[Option.read(o) for o in data.get("options") or []],
        )


@dataclass(frozen=True)
class Offer:
    """What policy has for a user before there is a server."""

    profiles: list[Profile]
    # The host name that his server will have; empty where the launcher doesn't say it.
    dns_name: str


@dataclass(frozen=True)
class Claim:
    """A home, or another claim of a user."""

    namespace: str
    claim: str
    # The server that it was made for.
    server: str
    in_use: bool
    delete_requested: bool
