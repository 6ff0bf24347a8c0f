"""What can be reached from here? ``python probe.py '[[name, host, port], …]'`` prints the names as JSON.

Runs on the bare interpreter, in the network of whatever container it is put into. The name ``names`` asks the name
server that containers have for the root's; any answer counts.
"""

import json
import socket
import struct
import sys
from concurrent.futures import ThreadPoolExecutor

WITHIN_S = 2.5
QUESTION = struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack(">2H", 2, 1)
SERVER_FAILED = 2


def reaches(target: tuple[str, str, int]) -> bool:
    """Whether a connection comes about, or an answer."""
    name, host, port = target
    try:
        if name == "names":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.settimeout(WITHIN_S)
                asking.sendto(QUESTION, (host, port))
                return asking.recv(4096)[3] & 15 != SERVER_FAILED
        socket.create_connection((host, port), WITHIN_S).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    targets = json.loads(sys.argv[1])
    with ThreadPoolExecutor(max(len(targets), 1)) as pool:
        found = pool.map(reaches, targets)
        print(json.dumps(sorted({target[0] for target, is_open in zip(targets, found, strict=True) if is_open})))
