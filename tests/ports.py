"""Ports on loopback: those that a server may take in a moment, and those on which nobody answers."""

import fcntl
import os
import socket
from pathlib import Path

PORTS = range(20_000, 32_000)  # below those that Linux gives to whoever asks for any, and to connections
COUNTER = Path("/tmp") / f"billing-tests-{os.getuid()}.port"  # whatever TMPDIR says: ports are the machine's
_held: list[socket.socket] = []


def free_port() -> int:
    """A port that is free, and is given to no other process of tests meanwhile: they count on in one file."""
    with COUNTER.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        given = int(file.read() or 0)
        for number in range(given, given + len(PORTS)):
            port = PORTS[number % len(PORTS)]
            if _is_free(port):
                file.truncate(0)
                file.write(str(number + 1))
                return port
    raise OSError("no port is free")


def dead_port() -> int:
    """A port on which nobody answers, and which nobody else gets: it stays taken, and is not listened to."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    _held.append(held)
    return int(held.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
