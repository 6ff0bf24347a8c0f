"""Every byte that traced processes write, to whatever they write it."""

import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

CALLS = "write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg"
LINE = re.compile(rb"^(\d+) +\w+\((\d+)<((?:\\x[0-9a-f]{2})*)>(.*)$", re.MULTILINE)
TEXT = re.compile(rb'"((?:\\x[0-9a-f]{2})*)"')
NO_FILE = (b"socket:", b"pipe:", b"anon_inode:", b"TCP:", b"UNIX:")


class Tracer:
    """strace over whatever is started with its prefix; where there is none, nothing is traced.

    Args:
        folder: where the traces go.
        wanted: False traces nothing.
    """

    def __init__(self, folder: Path, *, wanted: bool = True) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.works = wanted and _traces(folder / "try")

    def prefix(self, name: str) -> list[str]:
        """What to put before a command; its process stays the caller's child, all below it are traced too."""
        if not self.works:
            return []
        return [*_command(self.folder / f"{name}.trace"), "-s", "4194304"]

    def has_ended(self, name: str) -> bool:
        """Whether all that was started with a prefix has ended."""
        return (self.folder / f"{name}.trace").read_bytes().endswith(b"+++\n")

    def written(self, *, to_files: bool) -> Iterator[bytes]:
        """What was written by each process to each thing, in order: to files, or else to sockets and pipes."""
        for path in sorted(self.folder.glob("*.trace")):
            streams: dict[tuple[bytes, bytes], list[bytes]] = defaultdict(list)
            for pid, _, name, rest in LINE.findall(path.read_bytes()):
                target = _decoded(name)
                if to_files != target.startswith(NO_FILE):
                    streams[pid, target] += [_decoded(text) for text in TEXT.findall(rest)]
            yield from (b"".join(pieces) for pieces in streams.values())


def _command(output: Path) -> list[str]:
    return [
        "strace",
        "-D",
        "-f",
        "--seccomp-bpf",
        "-q",
        "-y",
        "-xx",
        "-e",
        f"trace={CALLS}",
        "-e",
        "signal=none",
        "-o",
        str(output),
    ]


def _traces(output: Path) -> bool:
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(
        [*_command(output), "sh", "-c", "echo 1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    return done.returncode == 0


def _decoded(text: bytes) -> bytes:
    return bytes.fromhex(text.replace(b"\\x", b"").decode())
