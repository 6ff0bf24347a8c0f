"""Rubbish for the queues and forgeries for the vault."""

import base64
import json
import os
from collections.abc import Iterator
from typing import Any

from producer.contract import redis_keys
from producer.contract.identifiers import job_id_of
from tests.chaos.stage import Stage


def rubbish(stage: Stage, count: int) -> Iterator[bytes]:
    """Malformed messages, unknown tasks, unknown and finished ids."""
    good = message(job_id_of("never accepted"))
    finished = [job.job_id for job in stage.sent if job.customer_uid.startswith("finished")]
    kinds = (
        lambda n: b"garbage",
        lambda n: os.urandom(40),
        lambda n: b"{}",
        lambda n: b"[1, 2]",
        lambda n: b'{"__type__": "decimal", "__value__": "4242424242424242"}',
        lambda n: b"[" * 5000,
        lambda n: json.dumps({**good, "body": "%%% no base64"}).encode(),
        lambda n: json.dumps({**good, "body": base64.b64encode(b"4242424242424242").decode()}).encode(),
        lambda n: json.dumps({**good, "content-encoding": "no-such"}).encode(),
        lambda n: json.dumps({**good, "content-type": "application/x-python-serialize"}).encode(),
        lambda n: json.dumps({**good, "headers": {**good["headers"], "timelimit": ["x", {}]}}).encode(),
        lambda n: json.dumps({**good, "headers": {**good["headers"], "task": "no.such"}}).encode(),
        lambda n: json.dumps({**good, "headers": {**good["headers"], "eta": "never"}}).encode(),
        lambda n: json.dumps({**good, "headers": {}}).encode(),
        lambda n: json.dumps({**good, "properties": {}}).encode(),
        lambda n: json.dumps(message(job_id_of(f"unknown {n}"))).encode(),
        lambda n: json.dumps(message(finished[n % len(finished)])).encode(),
    )
    for number in range(count):
        yield kinds[number % len(kinds)](number)


def message(job_id: str) -> dict[str, Any]:
    """A message as a producer sends it."""
    body = base64.b64encode(json.dumps([[job_id], {}, {"callbacks": None}]).encode()).decode()
    delivery = {"exchange": "", "routing_key": "interactive"}
    return {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": "billing.run", "id": job_id, "timelimit": [None, None], "retries": 0},
        "properties": {
            "delivery_mode": 2,
            "delivery_info": delivery,
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": job_id,
        },
    }


def forge(stage: Stage, count: int) -> list[str]:
    """Jobs that were accepted, whose requests in the vault are then swapped, cut, changed or replaced."""
    stage.issue(count, "forged")
    vault = stage.stack.vault.client()
    ids = [job.job_id for job in stage.sent if job.customer_uid.startswith("forged")]
    texts: dict[str, Any] = {job_id: vault.get(redis_keys.SEALED + job_id) for job_id in ids}
    for number, job_id in enumerate(ids):
        text = texts[job_id]
        forged = (
            texts[ids[(number + 1) % count]],
            text[: len(text) // 2],
            text[:-10] + (b"B" if text[-10:-9] == b"A" else b"A") + text[-9:],
            b"4242424242424242",
            os.urandom(600),
        )[number % 5]
        vault.set(redis_keys.SEALED + job_id, forged, xx=True, keepttl=True)
    return ids
