"""Leaks planted on purpose, one of each kind: what does not find them proves nothing."""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

from celery import Celery
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from producer.contract import redis_keys
from tests.canary.needles import Canary, circled, wide
from tests.canary.places import Place
from tests.canary.stage import Flower, Scene, in_uuid, page
from tests.servers import wait_until

WRITES = "import os,sys; f=open('gone','wb',0); f.write(sys.stdin.buffer.read()); f.close(); os.unlink('gone')"
HOLDS = "import sys; text = sys.stdin.readline(); print(len(text), flush=True); sys.stdin.readline()"
LOGGED: dict[str, Callable[[str], str]] = {
    "colons": ":".join,
    "a UUID": in_uuid,
    "behind letters": "%2fref{}".format,
    "circled": circled,
    "escaped": lambda number: json.dumps(wide(number)),
}
SENDS = "import socket,sys; a,b=socket.socketpair(); a.sendall(sys.stdin.buffer.read())"


def leaks(scene: Scene, flower: Flower) -> dict[str, Callable[[Canary], None]]:
    """What plants a leak in each place that a scene has; see :mod:`tests.canary.places`."""
    return {
        "files_written": lambda one: _run(scene, "planted-file", WRITES, one),
        "sockets_and_pipes": lambda one: _run(scene, "planted-socket", SENDS, one),
        "files_left": lambda one: _note(scene, "planted.json", json.dumps(one.members())),
        "logs": lambda one: _log(scene, repr(one.members())),
        **{f"logs, {name}": partial(_spelled_log, scene, spell) for name, spell in LOGGED.items()},
        "exceptions": lambda one: _note(scene, "logs/merchant.log", f"InvalidCard: birth={one.birth!r}, {one.name}"),
        "queue_and_ledger": lambda one: _in_every_type(scene, one),
        "vault": lambda one: _in_vault(scene, one),
        "queue_and_ledger_rdb": lambda one: _in_every_type(scene, one),
        "vault_rdb": lambda one: _in_vault(scene, one),
        "flower": lambda one: _event(scene, flower, one),
        "exported_spans": lambda one: _export(scene, one),
    }


def _run(scene: Scene, name: str, program: str, one: Canary) -> None:
    """A traced process that leaks, and leaves nothing."""
    command = scene.command(name, [sys.executable, "-c", program])
    subprocess.run(command, input=json.dumps(one.members()).encode(), check=True)
    if scene.tracer.works:
        wait_until(lambda: scene.tracer.has_ended(name), 600, "the end of a trace")


def _note(scene: Scene, name: str, text: str) -> None:
    with (scene.folder / name).open("a") as file:
        file.write(text + "\n")


def _log(scene: Scene, text: str) -> None:
    """As a careless log line would show a request's body, or the line of a head."""
    handler = logging.FileHandler(scene.folder / "logs" / "planted.log", encoding="utf-8")
    handler.emit(logging.makeLogRecord({"msg": "sent %s", "args": (text,)}))
    handler.close()


def _spelled_log(scene: Scene, spell: Callable[[str], str], one: Canary) -> None:
    _log(scene, spell(one.number))


def holder(scene: Scene, one: Canary) -> int:
    """A process that holds a card in its memory; its id."""
    process = scene.spawn(f"holder-{one.place}", ["-c", HOLDS])
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(one.members()).encode() + b"\n")
    process.stdin.flush()
    process.stdout.readline()
    return process.pid


def _in_every_type(scene: Scene, one: Canary) -> None:
    """In a result, an outcome of the stream, and a key's name; DUMP compresses the first."""
    text = json.dumps(one.members())
    scene.ledger.set(f"{redis_keys.RESULT}{one.place}", json.dumps({"result": text, "padding": "-" * 500}))
    scene.ledger.xadd(redis_keys.OUTCOMES, {"outcome": text})
    scene.ledger.hset(f"planted:{one.mail}", mapping={"card": one.number})


def _in_vault(scene: Scene, one: Canary) -> None:
    scene.vault.client().set(f"{redis_keys.SEALED}{one.place}", json.dumps(one.members()))


def _event(scene: Scene, flower: Flower, one: Canary) -> None:
    """A task whose arguments are a card, as Celery copies them into events."""
    app = Celery("planted", set_as_current=False, broker=scene.queue.url(0))
    with app.connection_for_write() as connection, app.events.Dispatcher(connection, hostname="planted@here") as events:
        name = f"planted-{one.place}"
        events.send("task-received", uuid=name, name="billing.run", args=repr(one.members()), kwargs="{}")
        wait_until(lambda: name in flower.tasks(), 600, "the planted event in Flower")


def _export(scene: Scene, one: Canary) -> None:
    """A span with a card on it, as an instrumented client would show a request."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{scene.collector.url}/v1/traces")))
    provider.get_tracer("planted").start_span("POST", attributes={"body": json.dumps(one.members())}).end()
    provider.shutdown()


class _Metrics(BaseHTTPRequestHandler):
    text = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — as the base class
        """Say nothing."""


def metrics(one: Canary) -> Place:
    """A page of metrics that has a card number for a label."""
    text = f'billing_outcomes_total{{customer="{one.number}"}} 1\n'.encode()
    handler = type("Planted", (_Metrics,), {"text": text})
    server = HTTPServer(("127.0.0.1", 0), handler)

    def read() -> list[bytes]:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        answer = page(f"http://127.0.0.1:{server.server_port}/metrics")
        thread.join()
        server.server_close()
        return [answer]

    return read
