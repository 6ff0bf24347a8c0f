"""Stores behind TLS: everybody verifies the server, and says so in one line when it does not hold."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from producer import BillingQueue, BrokerUnavailable, Card
from producer.settings import ProducerSettings
from tests.fake_iamport import CARDS
from tests.fake_iamport.certificate import server_context
from tests.servers import environment
from tests.stack import Stack
from tests.system.test_worker_commands import worker


@contextlib.contextmanager
def behind_tls(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """A TLS port in front of a plain one, as stunnel or a TLS build of Redis has it."""
    loop = asyncio.new_event_loop()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


Stores = Callable[[str], dict[str, str]]


@pytest.fixture
def stores(stack: Stack, tmp_path: Path) -> Iterator[Stores]:
    """The stores' settings for a user, behind TLS."""
    context = server_context(tmp_path, tmp_path / "ca.pem", ("localhost", "127.0.0.1"))
    query = f"?ssl_cert_reqs=required&ssl_ca_certs={tmp_path / 'ca.pem'}"
    with behind_tls(stack.queue.port, context) as queue, behind_tls(stack.vault.port, context) as vault:
        ports = {stack.queue.port: queue, stack.vault.port: vault}

        def of(user: str) -> dict[str, str]:
            found = {}
            for name, url in stack.stores(user).items():
                parts = urlsplit(url)
                assert parts.port is not None
                found[name] = (
                    url.replace("redis:", "rediss:").replace(f":{parts.port}/", f":{ports[parts.port]}/") + query
                )
            return found

        yield of


def queue_of(stack: Stack, stores: dict[str, str]) -> BillingQueue:
    with environment({**stack.producer_env, **stores}):
        return BillingQueue(ProducerSettings.from_env())


def test_jobs_run_over_tls(stack: Stack, stores: Stores) -> None:
    stack.worker(concurrency=4, **stores("worker"))  # type: ignore[arg-type]
    with queue_of(stack, stores("producer")) as queue:
        jobs = [queue.issue(customer_uid=f"uid_{i}", card=Card(**CARDS["visa"].fields())) for i in range(10)]

        assert {queue.wait(job.job_id, 240).status for job in jobs} == {"issued"}
    assert "ok    encryption: holds" in worker(stack, "doctor", **stores("worker")).stdout


def test_a_server_of_another_authority_is_not_talked_to(stack: Stack, stores: Stores, tmp_path: Path) -> None:
    server_context(tmp_path, tmp_path / "another.pem", ("localhost",))
    wrong = {name: url.replace("ca.pem", "another.pem") for name, url in stores("worker").items()}

    done = worker(stack, "doctor", **wrong)

    for store in ("ledger", "vault"):
        assert f"FAIL  {store}: {store} at 127.0.0.1:" in done.stdout
    assert done.stdout.count("shows a certificate that does not hold") >= 2
    with queue_of(stack, wrong) as queue, pytest.raises(BrokerUnavailable) as caught:
        queue.issue(customer_uid="uid", card=Card(**CARDS["visa"].fields()))
    assert caught.value.accepted is False
    assert stack.queue.client(1).dbsize() == 0


def test_a_url_that_skips_the_check_is_found_by_the_doctor(stack: Stack, stores: Stores) -> None:
    careless = {name: url.replace("required", "none") for name, url in stores("worker").items()}

    assert (
        "FAIL  encryption: BROKER_URL, LEDGER_URL, VAULT_URL: the server's"
        in worker(stack, "doctor", **careless).stdout
    )
