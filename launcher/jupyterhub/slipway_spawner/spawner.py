"""The Spawner that JupyterHub loads. It knows who a user is; what his pod is, the cluster's policy decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

from jupyterhub.spawner import Spawner
from jupyterhub.utils import make_ssl_context, maybe_future
from tornado.web import HTTPError
from traitlets import default

from . import form, refusal, request
from .answers import Offer, Server, Step
from .client import LauncherClient, LauncherError, LauncherUnavailableError
from .overview import Overview
from .patience import persist
from .progress import Progress
from .settings import Settings
from .state import State

T = TypeVar("T")

# Seconds for one request of a stop: the launcher answers when the server is gone, or after them.
STOP_WAIT = 30
# The launcher is to give up a little before the hub does, since it can say why: by this part, at most by these seconds.
EARLIER, AT_MOST = 0.1, 5.0
# Seconds in which a server that KubeSpawner started has to answer for itself, and how often in a row it may fail to.
PROBE_TIMEOUT, PROBES = 5, 3
# Seconds for the stop after a start that failed since the launcher was away: it will hardly be there for the stop, and
# the user has waited long enough. A pod that it made nevertheless is replaced by the next start.
STOP_IN_TROUBLE = 20
# Seconds in which the launcher has to take the wish that claims be deleted: somebody waits for it.
DELETE_TIMEOUT = 20


class SlipwaySpawner(Settings, Spawner):  # type: ignore[misc] # JupyterHub has no types
    """Starts servers through Slipway's launcher."""

    # JupyterHub's own, a list or a function.
    ssl_alt_names: Any

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._state = State()
        self._progress: Progress | None = None
        self._trouble: LauncherError | None = None
        self._silent = 0

    @default("options_form")
    def _options_form_default(self) -> Callable[[Any], Any]:
        return lambda spawner: spawner.profiles_form()

    @default("options_from_form")
    def _options_from_form_default(self) -> Callable[[Any], Any]:
        return form.options_from_form

    @default("apply_user_options")
    def _apply_user_options_default(self) -> Callable[[Any, Any], None]:
        # What the user chose is applied by policy; without this JupyterHub warns that nobody does.
        return lambda spawner, user_options: None

    @property
    def launcher(self) -> LauncherClient:
        """The launcher's API, shared by all spawners of this hub."""
        return self._shared[0]

    @property
    def _shared(self) -> tuple[LauncherClient, Overview]:
        known = self.user.settings.setdefault("slipway_launchers", {})
        which = (self.launcher_url, self.hub_name, self.launcher_ca, self.launcher_token_file)
        if which not in known:
            client = LauncherClient(
                self.launcher_url, hub=self.hub_name, ca=self.launcher_ca, token_file=self.launcher_token_file
            )
            known[which] = (client, Overview(client))
        return known[which]  # type: ignore[no-any-return]

    @property
    def _groups(self) -> list[str]:
        return sorted(group.name for group in self.user.groups)

    async def profiles_form(self) -> str:
        """Give the form with the profiles that policy has for this user; empty where there is nothing to choose."""
        profiles = (await self._offer()).profiles
        if not profiles and self.orm_spawner:
            # What was chosen when there were profiles can't be changed any more, and would be denied forever.
            self.orm_spawner.user_options = {}
        return form.render(profiles, self.user_options or {})

    async def _offer(self) -> Offer:
        try:
            return await self.launcher.offer(
                self.user.name, self.name, groups=self._groups, user_id=self.user.id, namespace=self.namespace
            )
        except LauncherError as error:
            raise refusal.of(error) from error

    async def create_certs(self) -> dict[str, str]:
        """Make the certificate of internal TLS, for the host name that policy gives the server."""
        if not self.ssl_alt_names or self.ssl_alt_names == self.trusted_alt_names:
            dns_name = (await self._offer()).dns_name
            if dns_name:
                self.ssl_alt_names = [*self.trusted_alt_names, f"DNS:{dns_name}"]
        return await maybe_future(super().create_certs())  # type: ignore[no-any-return]

    async def start(self) -> str:
        """Start the server, and give the URL where it listens."""
        self._progress, self._trouble = Progress(), None
        patience = self.start_timeout - min(AT_MOST, self.start_timeout * EARLIER)
        try:
            body = await self._request()
            server = await asyncio.wait_for(self._run(body, patience), patience)
        except LauncherError as error:
            raise refusal.of(error) from error
        except asyncio.TimeoutError as error:
            raise await self._too_late() from error
        finally:
            # Kept for whoever comes while the hub still waits for the server to answer.
            self._progress.end()
        return server.url

    async def _request(self) -> dict[str, Any]:
        profile, options = request.choice(self.user_options or {})
        annotations = self.user_annotations
        if callable(annotations):
            annotations = await maybe_future(annotations(self))
        body = {
            "startId": uuid4().hex,
            "namespace": self.namespace,
            "userId": self.user.id,
            "groups": self._groups,
            "profile": profile,
            "options": options,
            "userAnnotations": {str(k): str(v) for k, v in (annotations or {}).items()},
            "env": request.environment(self.get_env()),
            "files": request.files(self.cert_paths),
        }
        return {key: value for key, value in body.items() if value not in ("", {}, [])}

    async def _run(self, body: dict[str, Any], patience: float) -> Server:
        """Start the server and follow it until it runs."""
        now = asyncio.get_running_loop().time
        until = now() + patience

        def ask() -> Awaitable[Server]:
            left = max(1, until - now())
            return self.launcher.start(self.user.name, self.name, {**body, "timeoutSeconds": int(left)}, left)

        self._state.started(await self._persist(ask))
        server = await self._persist(lambda: self._follow(body["startId"]))
        if server is None:
            raise refusal.refusal("The server was deleted while it started", reason="Deleted", status=500)
        if server.state != "Running":
            sentence = f"The server can't start: {server.message or server.state}"
            raise refusal.refusal(sentence, reason="StartFailed", status=500)
        self._state.started(server)
        return server

    async def _follow(self, start_id: str = "") -> Server | None:
        """Tell the steps of a start, of any if none is named, and give the server as it is after the last one."""
        async with aclosing(self.launcher.progress(self.user.name, self.name, start_id)) as steps:
            async for step in steps:
                self._trouble = None
                self._tell(step)
                if step.done:
                    return step.server
        # One that is replaced ends its streams, and may not have been left by the next connection yet.
        raise LauncherUnavailableError("The launcher ended its answer before the server's start was over")

    async def _persist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer; then there is no trouble any more."""
        answer = await persist(ask, self._wait_for_launcher)
        self._trouble = None
        return answer

    def _tell(self, step: Step) -> None:
        if self._progress:
            self._progress.add(step)

    def _wait_for_launcher(self, error: LauncherError) -> None:
        self._trouble = error
        self.log.warning("Waiting for Slipway's launcher, for %s: %s", self._log_name, error)
        self._tell(Step(-1, "Waiting for the launcher to answer", None, False, None))

    async def _too_late(self) -> HTTPError:
        """Say why there is no server in time."""
        if self._trouble:
            return refusal.of(self._trouble)
        sentence = f"The server didn't start within {self.start_timeout} seconds"
        try:
            server = await self.launcher.get(self.user.name, self.name)
        except LauncherError:
            server = None
        if server and server.message:
            sentence += f": {server.message}"
        return refusal.refusal(sentence, reason="timeout", status=504)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Give the steps of the start that is under way, also after the last while the hub waits for the server."""
        if self._progress:
            async for event in self._progress.watch():
                yield event

    async def poll(self) -> int | None:
        """Give None while the server runs or starts, else its exit code.

        A launcher that doesn't answer says nothing about servers: it's never a reason to report one as gone.
        """
        if self._progress and not self._progress.ended:
            return None
        try:
            server = await self._shared[1].find(self.user.name, self.name, self._state.uid)
        except LauncherError as error:
            self.log.warning("Can't ask Slipway's launcher about %s: %s", self._log_name, error)
            return None if self.server else 0
        self._trouble = None
        if server is None:
            return await self._poll_unseen()
        self._state.started(server)
        if not server.ended:
            self._take_address(server)
            return None
        if self.delete_stopped_pods:
            await self._discard()
        return 1 if server.exit_code is None else server.exit_code

    async def _poll_unseen(self) -> int | None:
        """Give what poll has to say of a server that the launcher doesn't see.

        It is gone, unless KubeSpawner started it, and without the label that the launcher sees. Then it answers for
        itself.
        """
        if not self.server or not self._state.foreign:
            return 1 if self.server else 0
        if await self._answers():
            self._silent = 0
            self.log.warning(
                "Pod %s of %s runs, but lacks the label slipway.dev/hub: KubeSpawner started it, and we can't stop it",
                self._state.pod,
                self._log_name,
            )
            return None
        self._silent += 1
        return None if self._silent < PROBES else 1

    async def _answers(self) -> bool:
        settings = self.user.settings
        context = make_ssl_context(
            settings.get("internal_ssl_key"), settings.get("internal_ssl_cert"), cafile=settings.get("internal_ssl_ca")
        )
        try:
            await self.server.wait_up(http=True, timeout=PROBE_TIMEOUT, ssl_context=context, extra_path="api")
        except Exception as error:  # whatever keeps it from answering
            self.log.info("The server of %s doesn't answer: %s", self._log_name, error)
            return False
        return True

    def _take_address(self, server: Server) -> None:
        """Follow a pod that was given another address, as after its node's restart."""
        if not server.url or not self.server:
            return
        parts = urlsplit(server.url)
        if (self.server.ip, self.server.port) != (parts.hostname, parts.port):
            self.log.info("The server of %s is now at %s", self._log_name, server.url)
            self.server.proto, self.server.ip, self.server.port = parts.scheme, parts.hostname, parts.port

    async def _discard(self) -> None:
        try:
            await self.launcher.stop(self.user.name, self.name, grace=0)
        except LauncherError as error:
            self.log.warning("Can't delete the pod of %s, which ended: %s", self._log_name, error)

    async def get_url(self) -> str:
        """Give where the server is, after a restart of the hub. One that was starting is waited for."""
        try:
            server = await self.launcher.get(self.user.name, self.name)
            if server and server.state == "Pending":
                server = await asyncio.wait_for(self._persist(self._follow), self.start_timeout)
        except (LauncherError, asyncio.TimeoutError) as error:
            self.log.warning("Can't ask Slipway's launcher where %s is: %s", self._log_name, error)
            server = None
        if server:
            self._state.started(server)
            self._take_address(server)
        return str(self.server.url)

    async def stop(self, now: bool = False) -> None:
        """Stop the server, and wait until its pod is gone."""
        grace = 0 if now else self.delete_grace_period
        patience = min(self.start_timeout, STOP_IN_TROUBLE) if self._trouble else self.start_timeout
        try:
            await asyncio.wait_for(self._persist(lambda: self._stop(grace)), patience)
            await self._check_that_it_ends()
        except asyncio.TimeoutError as error:
            late = refusal.outage(f"It didn't end within {patience} seconds")
            raise self._not_stopped(refusal.of(self._trouble) if self._trouble else late) from error
        except LauncherError as error:
            raise self._not_stopped(refusal.of(error)) from error

    def _not_stopped(self, error: HTTPError) -> HTTPError:
        # JupyterHub takes the server for stopped, and keeps the error to itself.
        self.log.error("The server of %s wasn't stopped: %s", self._log_name, refusal.sentence_of(error))
        return error

    async def _check_that_it_ends(self) -> None:
        """Refuse to call a server stopped that KubeSpawner started and the launcher doesn't see."""
        if not self._state.foreign or not await self._answers():
            return
        namespace, pod = self._state.pod.split("/")
        sentence = (
            "KubeSpawner started it without the label slipway.dev/hub, so only an administrator can stop it: "
            f"kubectl delete pod -n {namespace} {pod}"
        )
        raise self._not_stopped(refusal.refusal(sentence, reason="NotOurs", status=409))

    async def _stop(self, grace: int | None) -> None:
        while await self.launcher.stop(self.user.name, self.name, grace=grace, wait=STOP_WAIT):
            self.log.info("The server of %s is still stopping", self._log_name)

    async def delete_forever(self) -> None:
        """Ask for the deletion of the server's claims. The default server goes with its user, and so do all claims."""
        user, name = self.user.name, self.name or None
        asked = self._persist(lambda: self.launcher.delete_claims(user, name))
        try:
            claims = await asyncio.wait_for(asked, DELETE_TIMEOUT)
        except LauncherError as error:
            raise self._not_deleted(refusal.of(error)) from error
        except asyncio.TimeoutError as error:
            late = refusal.outage(f"The launcher didn't answer within {DELETE_TIMEOUT} seconds")
            raise self._not_deleted(refusal.of(self._trouble) if self._trouble else late) from error
        for claim in claims:
            self.log.info("Deletion of claim %s/%s of %s was requested", claim.namespace, claim.claim, self._log_name)

    def _not_deleted(self, error: HTTPError) -> HTTPError:
        # JupyterHub deletes the user or the server nevertheless, and nobody asks again.
        self.log.error(
            "The claims of %s stay; slipway list --orphans finds them: %s", self._log_name, refusal.sentence_of(error)
        )
        return error

    async def rename(self, old_name: str, new_name: str) -> None:
        """Refuse where a claim carries the old name: the server would find an empty home under the new one."""
        try:
            claims = await self.launcher.claims(self.user.name)
        except LauncherError as error:
            raise refusal.of(error) from error
        if any(claim.server == old_name for claim in claims):
            sentence = f"The server {old_name} has a home of its own under this name, so it can't be called {new_name}"
            raise refusal.refusal(sentence, reason="HasClaims", status=409)

    def get_state(self) -> dict[str, Any]:
        """Give what the hub is to remember over a restart."""
        return {**super().get_state(), **self._state.data}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take what the hub remembered, or KubeSpawner before us."""
        super().load_state(state)
        self._state = State(dict(state))

    def clear_state(self) -> None:
        """Forget the pod of a server that was stopped."""
        super().clear_state()
        self._state.stopped()
