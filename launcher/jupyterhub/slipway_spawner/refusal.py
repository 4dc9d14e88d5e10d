"""What a user is told when there is no server, and whether JupyterHub counts it as its own failure."""

from __future__ import annotations

from tornado.web import HTTPError

from .client import LauncherError, LauncherUnavailableError

try:
    from jupyterhub.spawner import SpawnException
except ImportError:  # before JupyterHub 6
    SpawnException = None


def refusal(sentence: str, *, reason: str, status: int) -> HTTPError:
    """Give the error of a start that the hub isn't to blame for: a denial, or a pod that can't run.

    JupyterHub 6 doesn't count it towards consecutive_failure_limit, which would end the hub; 5 counts every failure.
    """
    if SpawnException is None:
        error = HTTPError(status, "%s", sentence, reason=reason)
    else:
        error = SpawnException(sentence, reason=reason, status_code=status)
    return plainly(error, sentence)


def outage(sentence: str) -> HTTPError:
    """Give the error of a start that failed since something of ours doesn't work. JupyterHub counts it."""
    return plainly(HTTPError(503, "%s", sentence), sentence)


def of(error: LauncherError) -> HTTPError:
    """Make of the launcher's error the one that JupyterHub shows."""
    if isinstance(error, LauncherUnavailableError):
        return outage(error.sentence)
    return refusal(error.sentence, reason=error.code or "LauncherError", status=error.status)


def plainly(error: HTTPError, sentence: str) -> HTTPError:
    """Have JupyterHub's pages show the sentence alone, without the status and the class of the error."""
    error.jupyterhub_message = sentence  # type: ignore[attr-defined]
    return error


def sentence_of(error: HTTPError) -> str:
    """Give what plainly put into it."""
    return str(getattr(error, "jupyterhub_message", error))
