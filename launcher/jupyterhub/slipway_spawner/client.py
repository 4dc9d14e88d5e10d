"""The launcher's HTTP API, by tornado, which JupyterHub itself is made of."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse
from tornado.netutil import Resolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from .answers import Claim, Offer, Profile, Server, Step
from .events import EventReader

# Seconds until a connection has to be there: the launcher is in the same pod, or in the same cluster.
CONNECT_TIMEOUT = 5.0
# Seconds that an answer may take which waits for nothing in the cluster.
ANSWER_TIMEOUT = 20.0
# Starts in progress hold one connection each; tornado's own limit is 10.
MAX_CONNECTIONS = 5000
# A list of 10,000 servers is 5 MB.
MAX_ANSWER = 1 << 30
# The reason code of a server that isn't there.
NOT_FOUND = "NotFound"
# Those of a hub that isn't set up as the launcher is: no user can do anything about it.
NOT_ALLOWED = frozenset(("Unauthenticated", "HubNotAllowed", "NoSuchPath", "MethodNotAllowed"))
# Seconds after which a stream counts as cut: the launcher writes every 15. A node that dies says nothing of it.
SILENCE = 60.0
# Hosts to which anything may go without TLS; elsewhere users' tokens would be read on the way.
HERE = frozenset(("127.0.0.1", "::1", "localhost"))
# What is kept of a stream, in case that it is an error.
MAX_PROBLEM = 1 << 16


class LauncherError(Exception):
    """An answer that isn't the one that was asked for."""

    def __init__(self, sentence: str, *, status: int = 0, code: str = "", retryable: bool = False) -> None:
        super().__init__(sentence)
        # For the user's eyes.
        self.sentence = sentence
        # The HTTP status; 0 where there was no answer.
        self.status = status
        # A reason code of Slipway's, as ProfileNotAllowed.
        self.code = code
        # The same may go well a moment later.
        self.retryable = retryable


class LauncherUnavailableError(LauncherError):
    """The launcher can't be reached, or isn't ready. It says nothing about any server."""


class LauncherClient:
    """Speaks for one hub. It belongs to the event loop in which it was made."""

    def __init__(self, url: str, *, hub: str, ca: str = "", token_file: str = "") -> None:
        """Take unix:///PATH or https://HOST:PORT; for the latter a CA bundle and a file with the bearer token."""
        parts = urlsplit(url)
        resolver = None
        if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
            self._base, resolver = "http://launcher", _UnixResolver(parts.path)
        elif parts.netloc and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in HERE)):
            self._base = url.rstrip("/")
        else:
            raise ValueError(f"launcher_url {url!r} is neither unix:///PATH nor https://HOST:PORT")
        self._url, self._hub, self._ca = url, hub, ca
        self._token_file = Path(token_file) if token_file else None
        self._http = SimpleAsyncHTTPClient(
            force_instance=True,
            resolver=resolver,
            max_clients=MAX_CONNECTIONS,
            max_body_size=MAX_ANSWER,
            max_buffer_size=MAX_ANSWER,
        )

    def close(self) -> None:
        self._http.close()

    async def servers(self) -> dict[tuple[str, str], Server]:
        """Give all servers of the hub, by user and server name."""
        answer = await self._call("GET", self._path("servers"))
        return {(s.user, s.name): s for s in map(Server.read, answer["servers"] or [])}

    async def get(self, user: str, name: str) -> Server | None:
        """Give a server, None where it has no pod."""
        answer = await self._call("GET", self._server(user, name), missing=True)
        return None if answer is None else Server.read(answer)

    async def start(self, user: str, name: str, request: dict[str, Any], timeout: float) -> Server:
        """Ask for a server. It answers when the pod is admitted; the same request again is the same start."""
        return Server.read(await self._call("PUT", self._server(user, name), body=request, timeout=timeout))

    async def stop(self, user: str, name: str, *, grace: int | None = None, wait: int = 0) -> Server | None:
        """Stop a server, and give it if it's still there after wait seconds. Grace 0 kills; None is policy's."""
        query = {"gracePeriodSeconds": grace, "waitSeconds": wait}
        path = self._server(user, name, query={k: v for k, v in query.items() if v is not None})
        answer = await self._call("DELETE", path, timeout=ANSWER_TIMEOUT + wait, missing=True)
        return Server.read(answer) if answer else None

    async def offer(
        self, user: str, name: str, *, groups: list[str], user_id: int | None = None, namespace: str = ""
    ) -> Offer:
        """Give what this user can choose from, in order, and how his server is going to be called."""
        query: list[tuple[str, Any]] = [("group", g) for g in groups]
        query += [
            (k, v) for k, v in (("server", name), ("namespace", namespace), ("userId", user_id)) if v not in ("", None)
        ]
        answer = await self._call(
            "GET", self._path("users", user, "profiles") + ("?" + urlencode(query) if query else "")
        )
        return Offer([Profile.read(p) for p in answer["profiles"] or []], answer.get("dnsName", ""))

    async def claims(self, user: str) -> list[Claim]:
        """Give the claims of all servers of a user."""
        return _claims(await self._call("GET", self._path("users", user, "claims")))

    async def delete_claims(self, user: str, name: str | None) -> list[Claim]:
        """Ask for the deletion of a server's claims, or for None of the user's; give those that policy lets go."""
        path = self._path("users", user, "claims") if name is None else self._server(user, name, "claims")
        return _claims(await self._call("DELETE", path))

    async def progress(self, user: str, name: str, start_id: str = "") -> AsyncGenerator[Step, None]:
        """Follow a start of a server, or any if none is named, until it runs, failed or is gone.

        Where nobody listens any more the connection stays until then: the launcher ends it.
        """
        pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        request = self._request(
            "GET", self._server(user, name, "progress", query={"startId": start_id} if start_id else None), timeout=0
        )
        request.streaming_callback = pieces.put_nowait
        fetch = asyncio.ensure_future(self._fetch(request))
        fetch.add_done_callback(lambda _: pieces.put_nowait(None))
        reader, start = EventReader(), b""
        try:
            while (piece := await asyncio.wait_for(pieces.get(), SILENCE)) is not None:
                start += piece[: MAX_PROBLEM - len(start)]
                for event in reader.feed(piece):
                    yield Step.read(event)
            response = await fetch
            if response.code >= 400:
                raise _problem(response, start)
        except asyncio.TimeoutError as error:
            raise LauncherUnavailableError(f"The launcher at {self._url} fell silent") from error
        finally:
            fetch.cancel()

    def _path(self, *segments: str) -> str:
        return "/".join(["/v1/hubs", _segment(self._hub), *map(_segment, segments)])

    def _server(self, user: str, name: str, *rest: str, query: dict[str, Any] | None = None) -> str:
        which = ("servers", name) if name else ("server",)
        return self._path("users", user, *which, *rest) + ("?" + urlencode(query) if query else "")

    def _request(self, method: str, path: str, body: Any = None, timeout: float = ANSWER_TIMEOUT) -> HTTPRequest:
        headers = {"Accept": "application/json, application/problem+json, text/event-stream"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._token_file:
            try:
                # Kubernetes replaces it every hour or so.
                headers["Authorization"] = "Bearer " + self._token_file.read_text().strip()
            except OSError as error:
                raise LauncherUnavailableError(f"The launcher's token can't be read: {error}") from error
        return HTTPRequest(
            self._base + path,
            method=method,
            headers=headers,
            body=None if body is None else json.dumps(body),
            connect_timeout=CONNECT_TIMEOUT,
            request_timeout=timeout,
            follow_redirects=False,
            ca_certs=self._ca or None,
        )

    async def _call(
        self, method: str, path: str, *, body: Any = None, timeout: float = ANSWER_TIMEOUT, missing: bool = False
    ) -> Any:
        """Give the JSON of an answer; None for an empty one, and where missing allows it for 404."""
        response = await self._fetch(self._request(method, path, body, timeout))
        if response.code >= 300:
            problem = _problem(response, response.body)
            # A path that the launcher doesn't know is another matter than a server that isn't there.
            if missing and problem.code == NOT_FOUND:
                return None
            raise problem
        if response.code == 204:
            return None
        answer = _json(response.body)
        if answer is None:
            raise LauncherUnavailableError(f"What answers at {self._url} isn't the launcher: look at launcher_url")
        return answer

    async def _fetch(self, request: HTTPRequest) -> HTTPResponse:
        try:
            return await self._http.fetch(request, raise_error=False)
        except (OSError, HTTPClientError) as error:
            raise LauncherUnavailableError(f"The launcher can't be reached at {self._url}: {error}") from error


class _UnixResolver(Resolver):
    """Finds every host at one socket."""

    def initialize(self, path: str) -> None:
        self._path = path

    async def resolve(self, host: str, port: int, family: int = 0) -> list[tuple[int, Any]]:
        return [(socket.AF_UNIX, self._path)]


def _segment(text: str) -> str:
    """Write a name as one segment of a path. A dot alone would be taken for a folder."""
    return quote(text, safe="").replace(".", "%2E") if text.strip(".") == "" else quote(text, safe="")


def _claims(answer: Any) -> list[Claim]:
    return [
        Claim(c["namespace"], c["name"], c.get("server", ""), c.get("inUse", False), c.get("deleteRequested", False))
        for c in answer["claims"] or []
    ]


def _json(body: bytes) -> Any:
    """Give what the launcher answered: an object, or None for anything else, as a proxy's page of HTML."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _problem(response: HTTPResponse, body: bytes) -> LauncherError:
    """Make an error of an answer in the form of RFC 9457."""
    problem = _json(body) or {}
    code, status = str(problem.get("code", "")), response.code
    sentence = str(problem.get("detail") or problem.get("title") or f"The launcher answered {status}")
    # Without a code it wasn't the launcher that answered.
    unavailable = not code or code in NOT_ALLOWED or (status >= 500 and status != 504)
    kind = LauncherUnavailableError if unavailable else LauncherError
    return kind(sentence, status=status, code=code, retryable=bool(problem.get("retryable", False)))
