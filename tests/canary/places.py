"""Every place that is searched, by name, as pieces of bytes."""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.canary.needles import LONGEST, Hit, Needles
from tests.canary.stage import Flower, Scene, page
from tests.servers import RedisServer

PIECE = 8 << 20
PAGES = [
    *("", "workers", "tasks", "broker", "metrics", "healthcheck"),
    *("api/workers?refresh=1", "api/queues/length", "api/task/types", "api/tasks?limit=100000"),
]

Place = Callable[[], Iterable[bytes]]
Found = dict[str, set[Hit]]


def search(places: dict[str, Place], needles: Needles) -> Found:
    """What is found in each place."""
    return {name: set().union(*(needles.find(piece) for piece in place())) for name, place in places.items()}


def file(path: Path) -> Iterator[bytes]:
    """A file in overlapping pieces; nothing if it has gone, or is no file."""
    try:
        with path.open("rb") as opened:
            tail = b""
            while piece := opened.read(PIECE):
                yield tail + piece
                tail = piece[-LONGEST:]
    except OSError:
        return


def files(folders: Iterable[Path], since: float = 0.0) -> Iterator[bytes]:
    """Names and content of all files below some folders that were written since then."""
    for folder in folders:
        for path in folder.rglob("*"):
            try:
                if path.is_symlink() or not path.is_file() or path.stat().st_mtime < since:
                    continue
            except OSError:
                continue
            yield str(path).encode()
            yield from file(path)


def redis_dump(store: RedisServer) -> Iterator[bytes]:
    """All that a server holds: each key as DUMP gives it, and read by its type, since DUMP compresses."""
    for db in range(2):
        client = store.client(db)
        for key in client.scan_iter(count=1000):
            yield key
            yield client.dump(key) or b""
            yield from _flat(_value(client, key))
    client = store.client()
    for answer in (client.execute_command("SLOWLOG", "GET", "1000"), client.execute_command("CLIENT", "LIST")):
        yield from _flat(answer)


def _value(client: Any, key: bytes) -> Any:
    kind: Any = client.type(key)
    read: dict[bytes, Callable[[], Any]] = {
        b"string": lambda: client.get(key),
        b"list": lambda: client.lrange(key, 0, -1),
        b"hash": lambda: client.hgetall(key),
        b"set": lambda: client.smembers(key),
        b"zset": lambda: client.zrange(key, 0, -1),
        b"stream": lambda: client.xrange(key),
    }
    return read[kind]() if kind in read else None  # it may have expired meanwhile


def _flat(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        value = list(chain.from_iterable(value.items()))
    if isinstance(value, list | tuple | set):
        for member in value:
            yield from _flat(member)
    elif value is not None:
        yield value if isinstance(value, bytes) else str(value).encode()


def rdb(store: RedisServer) -> Iterator[bytes]:
    """The file that a server writes when it is told to save; it goes again."""
    path = store.folder / "dump.rdb"
    store.client().execute_command("SAVE")
    if not path.exists():
        raise RuntimeError("Redis saved nothing")
    yield from file(path)
    path.unlink()


def flower_pages(flower: Flower) -> Iterator[bytes]:
    """Flower's pages and API, and the pages of its workers and of some tasks."""
    workers = json.loads(page(f"{flower.url}/workers?json=1") or b'{"data": []}')["data"]
    paths = [*PAGES, *(f"worker/{quote(one['hostname'])}" for one in workers)]
    for job_id in list(flower.tasks())[:20]:
        paths += [f"task/{job_id}", f"api/task/info/{job_id}", f"api/task/result/{job_id}"]
    for path in paths:
        yield page(f"{flower.url}/{path}")


def cores(scene: Scene) -> list[Path]:
    """Core files in the folders where processes ran, and where the system's pattern puts them."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    found = [path for path in scene.folder.rglob("*core*") if path.is_file()]
    if pattern.startswith("/"):
        begun = scene.folder.stat().st_ctime
        name = Path(pattern).name.partition("%")[0]
        found += [one for one in Path(pattern).parent.glob(f"{name}*") if one.stat().st_mtime >= begun]
    return found
