"""The strings that a page's scripts can still reach, from a heap snapshot."""

import json
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Page


def strings_of(page: Page) -> str:
    """All reachable strings, joined; those that the engine keeps in pieces are put together."""
    session = page.context.new_cdp_session(page)
    pieces: list[str] = []
    session.on("HeapProfiler.addHeapSnapshotChunk", lambda event: pieces.append(event["chunk"]))
    session.send("HeapProfiler.enable")
    session.send("HeapProfiler.collectGarbage")
    session.send("HeapProfiler.takeHeapSnapshot")
    session.detach()
    snapshot = json.loads("".join(pieces))
    return "\n".join([*snapshot["strings"], *_put_together(snapshot)])


def _put_together(snapshot: dict[str, Any]) -> Iterator[str]:
    """What ``a + b`` made and nobody has flattened: the snapshot has its halves only."""
    meta, nodes, names = snapshot["snapshot"]["meta"], snapshot["nodes"], snapshot["strings"]
    width = len(meta["node_fields"])
    pieced = meta["node_types"][0].index("concatenated string")
    halves: dict[int, list[int]] = {}
    edges, edge_width, at = snapshot["edges"], len(meta["edge_fields"]), 0
    for node in range(0, len(nodes), width):
        count = nodes[node + meta["node_fields"].index("edge_count")]
        if nodes[node] == pieced:
            found = (edges[place : place + 3] for place in range(at, at + count * edge_width, edge_width))
            named = {names[name]: to for _, name, to in found if name < len(names)}
            halves[node] = [named[half] for half in ("first", "second") if half in named]
        at += count * edge_width

    def text(node: int) -> str:
        parts, whole = [node], ""
        while parts:
            one = parts.pop(0)
            parts = halves[one] + parts if one in halves else parts
            whole += "" if one in halves else names[nodes[one + 1]]
        return whole

    yield from map(text, halves)
