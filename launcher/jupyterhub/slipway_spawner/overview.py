"""All servers of the hub at once, so that ten thousand polls don't ask ten thousand times."""

from __future__ import annotations

import asyncio

from .answers import Server
from .client import LauncherClient

# Seconds for which a list of running servers is good enough. JupyterHub polls each server every half a minute.
MAX_AGE = 5.0


class Overview:
    """Finds a server in a list that is at most MAX_AGE old."""

    def __init__(self, client: LauncherClient) -> None:
        self._client = client
        self._servers: dict[tuple[str, str], Server] = {}
        self._taken = float("-inf")
        self._taking: asyncio.Future[None] | None = None

    async def find(self, user: str, name: str, uid: str = "") -> Server | None:
        """Give a server, None where it has no pod; uid is that of the pod that is known, if one is.

        That it's there may be a little old. That it isn't, runs no more, or has another pod, is asked again for this
        one server: the list may be older than its start, and have the address of the pod before.
        """
        if asyncio.get_running_loop().time() - self._taken > MAX_AGE:
            if self._taking is None:
                self._taking = asyncio.ensure_future(self._take())
                self._taking.add_done_callback(self._done)
            # One who waits for it may be cancelled, and the others not.
            await asyncio.shield(self._taking)
        server = self._servers.get((user, name))
        if server is None or server.ended or (uid and server.uid != uid):
            server = await self._client.get(user, name)
        return server

    async def _take(self) -> None:
        now = asyncio.get_running_loop().time()
        self._servers = await self._client.servers()
        self._taken = now

    def _done(self, taking: asyncio.Future[None]) -> None:
        self._taking = None
        # An error is for those who wait; there may be none any more.
        if not taking.cancelled():
            taking.exception()
