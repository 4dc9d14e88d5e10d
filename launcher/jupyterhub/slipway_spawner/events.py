"""Reading a stream of server-sent events."""

from __future__ import annotations


class EventReader:
    """Gives the data of each event of a stream that arrives in pieces, cut anywhere."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[str]:
        """Take a piece, and give the data of the events that it completes."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        complete = []
        for line in lines:
            text = line.rstrip(b"\r").decode()
            if text.startswith("data:"):
                self._data.append(text[len("data:") :].removeprefix(" "))
            elif not text and self._data:
                complete.append("\n".join(self._data))
                self._data = []
        return complete
