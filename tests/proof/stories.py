"""Stories: what is done with each half's commands, as the documents have them."""

import base64
import contextlib
import json
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

from producer.contract import redis_keys
from producer.contract.card import Card
from producer.contract.identifiers import Operation
from producer.sealing import SealingKeys
from tests.fake_iamport import CARDS
from tests.ports import free_port
from tests.proof.book import Book
from tests.proof.documents import CARD_PAGE, README, first_block
from tests.proof.halves import TIMEOUT_S, Half
from tests.servers import wait_until
from tests.stack import Stack

CARD = json.dumps(CARDS["visa"].fields()).encode()
HEADER = "customer_uid,card_number,expiry,birth,pwd_2digit\n"
ROW = "{uid},{number},2031-07,900101,12\n"
READ_ONE = """
from producer.outcome_stream import OutcomeReader
for delivery in OutcomeReader.from_env(group="billing"):
    print("heard", delivery.outcome.status)
    delivery.ack()
    break
"""
MOUNT = """
from fastapi import FastAPI
from producer import BillingQueue
app, queue, session_id = FastAPI(), BillingQueue.from_env(), "session"
"""


class Proof(NamedTuple):
    """What the stories work with.

    Args:
        halves: the environments by name.
        stack: stores and the fake i'mport.
        book: what was tried.
        is_quick: leave out what is long.
    """

    halves: dict[str, Half]
    stack: Stack
    book: Book
    is_quick: bool

    def producer(self, user: str = "producer", **more: str) -> dict[str, str]:
        """The environment of a producer's command that logs in as this user."""
        self.book.users.add(user)
        environ = {**self.stack.producer_env_of(user), **more}
        if "LIMITS_URL" not in more:
            del environ["LIMITS_URL"]
        return environ

    def worker(self, user: str = "worker", **more: str) -> dict[str, str]:
        """The environment of a worker's command that logs in as this user."""
        self.book.users.add(user)
        return {**self.stack.worker_env, **self.stack.stores(user), **more}

    def seal(self, uid: str) -> str:
        """A card, sealed as a customer's browser does it."""
        keys, now = SealingKeys.load(self.stack.keys / "producer" / "sealing.public.jwks.json"), int(time.time())
        card = Card(**CARDS["visa"].fields())
        return keys.seal(card, purpose=Operation.ISSUE, customer_uid=uid, merchant_uid=None, iat=now, exp=now + 600)


def enqueue(proof: Proof, run: str) -> str:
    """One job of each kind, and README's ten lines; the id of the first."""
    half, environ = proof.halves["producer"], proof.producer()
    command = f"python -m producer issue --customer-uid {run} --pg nice --wait 60"
    job_id = str(json.loads(half.run(command, environ, given=CARD, says='"issued"').partition("\n")[0])["job_id"])
    half.run(f"python -m producer outcome {job_id}", environ, says='"issued"')
    if run == "celery" and proof.is_quick:
        return job_id
    half.run("python -m producer outcome nobody --wait 1", environ, code=5)
    order = f"--merchant-uid order-{run} --amount 9900 --name tea --wait 60"
    half.run(f"python -m producer onetime {order}", environ, given=CARD, says='"paid"')
    command = f"iamport-billing issue --customer-uid {run}-console --wait 60"  # starts anew as python -m producer does
    half.run(command, environ, given=CARD, says='"issued"')
    lines = first_block(README, "Ten lines to use it", "python").replace("signup-8471", run)
    half.run("python -", environ, given=lines.encode(), says="issued", shown="README's ten lines")
    return job_id


def operate(proof: Proof, job_id: str) -> None:
    """An operator's commands, beside workers that go on."""
    half, environ = proof.halves["worker"], proof.worker("operator")
    half.run("python -m worker jobs --limit 100", environ, says=job_id)
    half.run(
        f"python -m worker trace {job_id} --look-up", environ, says="i'mport, customer", shown="python -m worker trace"
    )
    half.run("python -m worker exists dry.csv", environ, code=2, says="No such file")
    half.run("python -m worker pause --for 1s --yes", environ, says="paused until")
    for command in ("retry", "expire"):
        shown = f"python -m worker {command} JOB_ID"
        half.run(f"python -m worker {command} {job_id}", environ, code=1, says="finished", shown=shown)


def keys(proof: Proof) -> None:
    """The worker's commands that make and retire keys and users, and the doctor."""
    half, keys = proof.halves["worker"], "made/worker"
    half.run("python -m worker keygen made", says="opening.private.jwks.json")
    first = json.loads((half.empty / keys / "opening.private.jwks.json").read_text())["keys"][0]["kid"]
    half.run("python -m worker keygen made --rotate")
    half.run("python -m worker keygen made --producer shop --may issue")
    half.run("python -m worker keygen made --replace-signing shop", says="producers.public.jwks.json")
    half.run("python -m worker acl made --ledger 127.0.0.1:6379 --vault 127.0.0.1:6380")
    environ = proof.worker(OPENING_KEYS_FILE=f"{keys}/opening.private.jwks.json")
    half.run(f"python -m worker retire {first}", environ, code=1, says="too new", shown="python -m worker retire KID")
    half.run(f"python -m worker retire {first} --force", environ, shown="python -m worker retire KID --force")
    half.run("python -m worker doctor", proof.worker("doctor"), says="ok    i'mport login")
    half.run("python -m worker doctor --without-login", proof.worker("doctor"))
    half.run("python -m worker reconcile", proof.worker("worker"))


def migrate(proof: Proof) -> None:
    """A migration, looked at, run, and what was declined once more; one that is stopped and goes on; one cancelled."""
    half, environ = proof.halves["producer"], proof.producer("migrator")
    good = [ROW.format(uid=f"moved-{number}", number=CARDS["visa"].card_number) for number in range(2)]
    source = "".join([HEADER, *good, ROW.format(uid="moved-2", number=CARDS["wrong_password"].card_number)]).encode()
    half.run("python -m producer migrate - --name spring --dry-run", environ, given=source)
    half.run("python -m producer migrate - --name spring --as-of 2025-01-01 --rows 3", environ, given=source, code=1)
    half.run("python -m producer migrate status spring", environ, says="done")
    again = "python -m producer migrate - --name spring --only-failed spring.report.csv"
    half.run(again, environ, given=source)
    if proof.is_quick:
        return
    stopped, whole = "python -m producer migrate - --name autumn", "".join([HEADER, *good]).encode()
    with begun(proof, "autumn", whole, environ, code=3):
        for words in ("pause autumn", "throttle autumn 5", "resume autumn"):
            half.run(f"python -m producer migrate {words}", environ, says="noted")
    half.run(f"{stopped} --resume", environ, given=whole)
    with begun(proof, "winter", (HEADER + good[0]).encode(), environ, code=1) as process:
        half.run("python -m producer migrate cancel winter", environ, says="noted")
        for _ in range(2):  # it looks at what is asked of it twice a second
            wait_until(changes(proof, "winter"), TIMEOUT_S, "a migration that hears")
        process.communicate(good[1].encode(), TIMEOUT_S)  # it reads on to the end: the report lists what was not sent


def changes(proof: Proof, name: str) -> Callable[[], bool]:
    """Whether whoever runs a migration has written its checkpoint anew since this was asked."""
    ledger = proof.stack.ledger

    def written() -> object:
        return ledger.hget(redis_keys.MIGRATION_RECORD + name, "updated_at")

    before = written()
    return lambda: written() != before


@contextlib.contextmanager
def begun(
    proof: Proof, name: str, source: bytes, environ: dict[str, str], *, code: int
) -> Iterator["subprocess.Popen[bytes]"]:
    """A migration whose source says no more than its first rows, for as long as the block takes."""

    def is_known(_log: str) -> bool:
        return bool(proof.stack.ledger.exists(redis_keys.MIGRATION_RECORD + name))

    command = f"python -m producer migrate - --name {name} --as-of 2025-01-01"
    with proof.halves["producer"].running(command, environ, ready=is_known, given=source, code=code) as process:
        yield process


def without_web(proof: Proof) -> None:
    """What the producer's environment does without the web extra, and what it says of the rest."""
    half, environ = proof.halves["producer"], proof.producer()
    half.run("python -", proof.producer("listener"), given=READ_ONE.encode(), says="heard", shown="OutcomeReader")
    half.run("python -m producer ticket --customer-uid gildong", environ)
    half.run("python -m producer api-key shop", {**environ, "API_KEYS_FILE": "api_keys.json"}, says="bk_")
    half.run("python -m producer webhooks list", proof.producer("webhooks"))
    half.run("python -m producer serve", environ, code=1, says='serve needs the extra "web"')
    half.run("python -m producer webhooks run", environ, code=1, says='webhooks run needs the extra "web"')


def page(proof: Proof) -> None:
    """The card page: a ticket's and another backend's card handed in, to the outcome."""
    half, port = proof.halves["web"], free_port()
    environ = proof.producer(LIMITS_URL=proof.stack.queue.url(1, "limits"), API_KEYS_FILE="api_keys.json")
    proof.book.users.add("limits")
    key = half.run("python -m producer api-key shop --may issue", environ, says="bk_").strip()
    half.run("python -", environ, given=(MOUNT + mount()).encode(), shown="card_app and ticket of docs/card-page.md")
    url = f"http://127.0.0.1:{port}"
    with half.running(f"python -m producer serve --port {port}", environ, ready=lambda log: "running on" in log):
        ticket = half.run("python -m producer ticket --customer-uid page-1", environ).strip()
        expect(proof, f"{url}/healthz", "ok")
        expect(proof, f"{url}/subscription/card?ticket={ticket}", "<form")
        body = {"ticket": ticket, "envelope": proof.seal("page-1")}
        expect(proof, f"{url}/subscription/issue-billing?wait=20", '"issued"', body)
        body = {"customer_uid": "page-2", "envelope": proof.seal("page-2"), "idempotency_key": "page-2"}
        expect(proof, f"{url}/subscription/issue-billing?wait=20", '"issued"', body, Authorization=f"Bearer {key}")


def mount() -> str:
    """The lines of docs/card-page.md that mount the page and make a ticket."""
    return first_block(CARD_PAGE, "In your own app", "python")


def expect(proof: Proof, url: str, says: str, body: dict[str, str] | None = None, **headers: str) -> None:
    """Ask a server on loopback; anything but a good answer that says this is a failure."""
    data = None if body is None else json.dumps(body).encode()
    asked = Request(url, data, {"Content-Type": "application/json", **headers} if data else headers)
    try:
        with urlopen(asked, timeout=TIMEOUT_S) as answer:
            text = answer.read().decode()
    except OSError as error:
        text = str(error)
    if says not in text:
        proof.book.fail(f"{url.partition('?')[0]}: does not say {says!r}: {text[:300]}")


def webhooks(proof: Proof, job_id: str) -> None:
    """Outcomes delivered to a receiver on loopback, and one of them once more."""
    half = proof.halves["web"]
    with receiver() as (url, heard):
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        settings = {"WEBHOOK_URL": url, "WEBHOOK_SECRETS": secret, "WEBHOOK_ALLOW_PRIVATE": "1"}
        environ = proof.producer("webhooks", **settings)
        with half.running("python -m producer webhooks run", environ, ready=lambda log: "delivering" in log):
            wait_until(lambda: job_id in heard, timeout_s=TIMEOUT_S, what="a webhook")
            half.run("python -m producer webhooks list", environ, says="waiting")
            half.run(f"python -m producer webhooks resend {job_id}", environ, says="1 to be sent once more")
            wait_until(lambda: heard.count(job_id) == 2, timeout_s=TIMEOUT_S, what="a webhook that is sent once more")


@contextlib.contextmanager
def receiver() -> Iterator[tuple[str, list[str]]]:
    """A merchant's server on loopback: its URL, and the ids that it was told."""
    heard: list[str] = []

    class Told(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            heard.append(self.headers["webhook-id"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Told) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", heard
        server.shutdown()


@contextlib.contextmanager
def flower(proof: Proof, *, by_option: bool) -> Iterator[Callable[[str], None]]:
    """Flower, told of its broker in either way; what is yielded waits until it has seen a job."""
    proof.book.users.add("flower")
    port, login, broker = free_port(), "user:password", proof.stack.queue.url(0, "flower")
    options = f"flower --address=127.0.0.1 --port={port} --read-only"
    environ = {"FLOWER_BASIC_AUTH": login} if by_option else {"FLOWER_BASIC_AUTH": login, "CELERY_BROKER_URL": broker}
    command = f"celery --broker={broker} {options}" if by_option else f"celery {options}"
    header = "Basic " + base64.b64encode(login.encode()).decode()

    def is_seen(job_id: str) -> bool:
        asked = Request(f"http://127.0.0.1:{port}/api/tasks", headers={"Authorization": header})
        with contextlib.suppress(OSError), urlopen(asked, timeout=5) as answer:
            return bool(json.loads(answer.read()).get(job_id, {}).get("state") == "SUCCESS")
        return False

    shown = command.replace(broker, "…")
    half = proof.halves["flower"]
    with half.running(command, environ, ready=lambda log: "Connected to" in log, shown=shown):

        def flower_sees(job_id: str) -> None:
            wait_until(lambda: is_seen(job_id), TIMEOUT_S, what=f"{job_id} in Flower")

        yield flower_sees
