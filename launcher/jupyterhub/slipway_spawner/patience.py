"""Asking again while the launcher is away: it may be replaced by a new version at this moment."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .client import LauncherError, LauncherUnavailableError

T = TypeVar("T")

# HTTP statuses after which the same may go well; 0 is no answer at all.
PASSING = frozenset((0, 429, 502, 503))
# Seconds until the second try, and at most.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0


def passing(error: LauncherError) -> bool:
    """Say whether the same question may go well a moment later."""
    return error.retryable or (isinstance(error, LauncherUnavailableError) and error.status in PASSING)


async def persist(ask: Callable[[], Awaitable[T]], trouble: Callable[[LauncherError], None]) -> T:
    """Ask until there is an answer, and report each trouble on the way. Who calls it sets the time limit."""
    pause = FIRST_PAUSE
    while True:
        try:
            return await ask()
        except LauncherError as error:
            if not passing(error):
                raise
            trouble(error)
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 # no secret
        pause = min(pause * 2, LONGEST_PAUSE)
