"""What a hub remembers of a server over a restart, in KubeSpawner's own keys where there are such.

So a hub can change from KubeSpawner to Slipway and back: what the other one saved is kept as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .answers import Server

# KubeSpawner's, which it needs to find the home of a user again.
KEPT = ("namespace", "pvc_name", "kubespawner_version")
# Ours; KubeSpawner doesn't read it.
POD_UID = "slipway_pod_uid"


@dataclass
class State:
    """The saved state of one server."""

    data: dict[str, Any] = field(default_factory=dict)

    @property
    def pod(self) -> str:
        """The server's pod, as NAMESPACE/NAME; empty where none was running."""
        name = self.data.get("pod_name", "")
        return f"{self.data.get('namespace', '')}/{name}" if name else ""

    @property
    def uid(self) -> str:
        """The uid of the pod that the launcher showed last; empty where it has shown none."""
        return str(self.data.get(POD_UID, ""))

    @property
    def foreign(self) -> bool:
        """Say whether it's KubeSpawner's, of a pod that the launcher has never shown us."""
        return bool(self.pod) and POD_UID not in self.data

    def started(self, server: Server) -> None:
        """Remember a server that the launcher has shown."""
        self.data.pop("dns_name", None)
        self.data.update(pod_name=server.pod, namespace=server.namespace)
        self.data[POD_UID] = server.uid

    def stopped(self) -> None:
        """Forget the pod, and keep what leads to the home."""
        self.data = {k: v for k, v in self.data.items() if k in KEPT}
