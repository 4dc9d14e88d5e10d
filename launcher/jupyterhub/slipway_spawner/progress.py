"""What a start has to tell, for everybody who watches it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from .answers import Step


class Progress:
    """The steps of one start, each told to each viewer, whenever he came."""

    def __init__(self) -> None:
        self._told: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self._ended = False

    def add(self, step: Step) -> None:
        """Tell a step. One that was told is left out: the launcher begins anew where a connection broke."""
        # The last one is the hub's own to tell.
        if step.done or not step.message:
            return
        told: dict[str, Any] = {"message": step.message}
        if step.progress >= 0:
            told["progress"] = step.progress
        if step.event is not None:
            told["raw_event"] = step.event
        if told not in self._told:
            self._told.append(told)
            self._wake()

    def end(self) -> None:
        """Tell that there is no more to come."""
        self._ended = True
        self._wake()

    @property
    def ended(self) -> bool:
        """Say whether there is no more to come."""
        return self._ended

    async def watch(self) -> AsyncIterator[dict[str, Any]]:
        """Give all steps in the form of JupyterHub's progress events."""
        seen = 0
        while True:
            news = self._news
            while seen < len(self._told):
                yield dict(self._told[seen])
                seen += 1
            if self._ended:
                return
            await news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
