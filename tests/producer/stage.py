"""What the producer's tests stand on: two real Redis servers on loopback, and keys made for the occasion.

Needs nothing of the worker: these tests pass in a checkout that holds the producer's half only.
"""

import base64
import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from click.testing import Result
from joserfc import jwe, jws
from joserfc.jwk import ECKey, OKPKey

from producer.contract import redis_keys
from producer.contract.card import Card
from producer.contract.identifiers import Operation
from producer.contract.job import Job, SignedJob
from producer.contract.outcome import Outcome, Status
from producer.sealing import SealingKeys
from producer.settings import ProducerSettings
from tests.ports import dead_port

Run = Callable[..., Result]
PAGE: dict[str, Any] = {"merchant_name": "무지개 서점"} | dict.fromkeys(
    ("terms_url", "privacy_url"), "https://shop.example/terms"
)

DATABASES = range(4)
BASE64_RUN = re.compile(r"[A-Za-z0-9+/_-]{16,}")


def soon(condition: Callable[[], object]) -> bool:
    """Whether a condition that asks a server comes true, however slow the machine."""
    end = time.monotonic() + 60
    while not (holds := bool(condition())) and time.monotonic() < end:
        time.sleep(0.002)
    return holds


@dataclass(frozen=True)
class Keys:
    """The keys of a producer, and those of a worker that open and verify what it made."""

    folder: Path
    opening: tuple[OKPKey, ECKey]
    signing: OKPKey

    @classmethod
    def make(cls, folder: Path) -> "Keys":
        """Make keys, and write the producer's files."""
        curve, point, signing = (
            OKPKey.generate_key("X25519", {"kid": "sealing-x25519"}),
            ECKey.generate_key("P-256", {"kid": "sealing-p256"}),
            OKPKey.generate_key("Ed25519", {"kid": "signing-1"}),
        )
        keys = cls(folder, (curve, point), signing)
        public = {"keys": [point.as_dict(private=False), curve.as_dict(private=False)]}
        keys.sealing_file.write_text(json.dumps(public))
        keys.signing_file.touch(mode=0o600)
        keys.signing_file.write_text(json.dumps(signing.as_dict(private=True)))
        return keys

    @property
    def sealing_file(self) -> Path:
        return self.folder / "sealing.public.jwks.json"

    @property
    def signing_file(self) -> Path:
        return self.folder / "signing.private.jwk.json"

    def open_card(self, envelope: str) -> dict[str, str]:
        """The card JSON in an envelope, as a worker would read it."""
        registry = jwe.JWERegistry(algorithms=["ECDH-ES", "A256GCM"], strict_check_header=False)
        plaintext = jwe.decrypt_compact(envelope, self.opening[0], registry=registry).plaintext
        assert plaintext is not None
        found: dict[str, str] = json.loads(plaintext)
        return found

    def verified(self, text: str) -> Job:
        """The job in a signed request, its signature checked."""
        jws.deserialize_compact(text, self.signing, algorithms=["Ed25519"])
        return SignedJob.parse(text).job()


@dataclass(frozen=True)
class Stage:
    """Queue, ledger and vault, as seen from behind, and the settings of a producer that uses them.

    Args:
        port, vault_port: of the queue's and ledger's server, and of the vault's.
        keys: the producer's.
    """

    port: int
    vault_port: int
    keys: Keys

    def url(self, db: int) -> str:
        return f"redis://127.0.0.1:{self.port}/{db}"

    def vault_url(self, db: int = 0) -> str:
        return f"redis://127.0.0.1:{self.vault_port}/{db}"

    @property
    def environ(self) -> dict[str, str]:
        """The producer's settings as environment variables."""
        return {
            "BROKER_URL": self.url(0),
            "LEDGER_URL": self.url(1),
            "VAULT_URL": self.vault_url(),
            "SEALING_KEYS_FILE": str(self.keys.sealing_file),
            "SIGNING_KEY_FILE": str(self.keys.signing_file),
        }

    def settings(self, **changes: Any) -> ProducerSettings:
        """The producer's settings, some of them changed."""
        given = {name.lower(): value for name, value in self.environ.items()} | changes
        return ProducerSettings(_env_file=None, **given)

    def settings_with_dead(self, store: str) -> ProducerSettings:
        """The producer's settings, with nobody at the URL of the vault, or of the ledger."""
        return self.settings(**{f"{store}_url": f"redis://127.0.0.1:{dead_port()}/1"})

    @property
    def broker(self) -> Any:
        return redis.Redis(port=self.port, db=0, decode_responses=True)

    @property
    def ledger(self) -> Any:
        return redis.Redis(port=self.port, db=1, decode_responses=True)

    @property
    def vault(self) -> Any:
        return redis.Redis(port=self.vault_port, db=0, decode_responses=True)

    def reset(self) -> None:
        """Empty both servers, and undo what a test configured."""
        for client in (self.ledger, self.vault):
            client.config_set("maxmemory", "0")
            client.flushall()
            client.script_flush()

    def record(self, job_id: str) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.ledger.get(redis_keys.REQUEST + job_id) or "{}")
        return found

    def open_jobs(self) -> dict[str, float]:
        return dict(self.ledger.zrange(redis_keys.OPEN, 0, -1, withscores=True))

    def records(self) -> list[str]:
        return sorted(key.removeprefix(redis_keys.REQUEST) for key in self.ledger.keys(redis_keys.REQUEST + "*"))

    def sealed_ids(self) -> list[str]:
        return sorted(key.removeprefix(redis_keys.SEALED) for key in self.vault.keys(redis_keys.SEALED + "*"))

    def sealed(self, job_id: str) -> str:
        """The signed request of a job, out of the vault."""
        text = self.vault.get(redis_keys.SEALED + job_id)
        assert isinstance(text, str)
        return text

    def messages(self, queue: str = "interactive") -> list[dict[str, Any]]:
        """The messages on a queue, oldest first, their bodies decoded."""
        found = [json.loads(text) for text in reversed(self.broker.lrange(queue, 0, -1))]
        for message in found:
            message["body"] = json.loads(base64.b64decode(message["body"]))
        return found

    def published(self, queue: str = "interactive") -> list[str]:
        """The job ids that messages on a queue name."""
        return [message["body"][0][0] for message in self.messages(queue)]

    def finish(self, job: Job, status: Status = Status.ISSUED) -> Outcome:
        """End a job, as far as a producer can tell, as a worker would."""
        outcome = Outcome(
            job_id=job.job_id,
            status=status,
            operation=Operation(job.operation),
            customer_uid=job.customer_uid,
            merchant_uid=job.merchant_uid,
            accepted_at=job.accepted_at,
            finished_at=job.accepted_at + 1,
        )
        self.ledger.set(redis_keys.OUTCOME + job.job_id, outcome.model_dump_json())
        self.ledger.zrem(redis_keys.OPEN, job.job_id)
        self.vault.delete(redis_keys.SEALED + job.job_id)
        return outcome

    def seal(self, card: Card, *, since_s: int = 0, life_s: int = 600, **bound: Any) -> str:
        """Seal a card elsewhere; ``since_s`` is when its time began, counted from the ledger's now."""
        iat = int(self.ledger.time()[0]) + since_s
        keys = SealingKeys.load(self.keys.sealing_file)
        return keys.seal(
            card,
            purpose=Operation.ONETIME if "merchant_uid" in bound else Operation.ISSUE,
            customer_uid=bound.get("customer_uid"),
            merchant_uid=bound.get("merchant_uid"),
            iat=iat,
            exp=iat + life_s,
        )

    def everything(self, *, but_sealed: bool = False) -> str:
        """All keys and values of all databases of both servers, with what lies below their base64."""
        found = []
        for port in (self.port, self.vault_port):
            for db in DATABASES:
                client: Any = redis.Redis(port=port, db=db, decode_responses=True)
                for key in client.scan_iter():
                    if not (but_sealed and key.startswith(redis_keys.SEALED)):
                        found += [key, repr(_value(client, key))]
        return "\n".join(layer for text in found for layer in layers(text))


def _value(client: Any, key: str) -> object:
    match client.type(key):
        case "string":
            return client.get(key)
        case "hash":
            return client.hgetall(key)
        case "zset":
            return client.zrange(key, 0, -1, withscores=True)
        case "set":
            return client.smembers(key)
        case "list":
            return client.lrange(key, 0, -1)
        case "stream":
            return client.xrange(key)
    raise AssertionError(key)


def layers(text: str) -> Iterator[str]:
    """A text, and what its base64 and base64url runs decode to, and theirs."""
    yield text
    for run in BASE64_RUN.findall(text):
        whole = run[: len(run) - 1] if len(run) % 4 == 1 else run
        raw = base64.urlsafe_b64decode(whole.replace("+", "-").replace("/", "_") + "=" * (-len(whole) % 4))
        with contextlib.suppress(UnicodeDecodeError):
            yield from layers(raw.decode())
