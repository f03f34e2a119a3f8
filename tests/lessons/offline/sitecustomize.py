"""On the path of every kernel that the runner starts: a lesson that reaches for the network fails and says so."""

import socket
import sys

_LOCAL = {"127.0.0.1", "::1", "localhost", "0.0.0.0", ""}
_connect = socket.socket.connect


def _guarded(self: socket.socket, address: object) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in _LOCAL:
        raise OSError(f"a lesson tried to reach {address[0]}: lessons run without a network")
    return _connect(self, address)


socket.socket.connect = _guarded
# jsonschema would check IRIs with it, which no notebook has, and it takes each process over a second to import.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
