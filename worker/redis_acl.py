"""Access: Redis ACL users, one for each role, with the fewest commands and keys that work, and their passwords.

::

    DIR/redis/ledger.acl    users of the server of queue and ledger: worker, producer, migrator, flower, listener
                            (webhooks), limits (the card page's counts)
    DIR/redis/vault.acl     users of the vault: worker, producer, migrator
    both                    health (may ask whether the server answers, without a password), doctor (reads settings,
                            users and figures, no data), admin (everything, for you alone)
    DIR/{role}/{store}.url  the role's URL, for BROKER_URL_FILE, LEDGER_URL_FILE and VAULT_URL_FILE; 0600

The ACL files hold digests of passwords of 256 random bits. Keys are not told apart by database, so queue and ledger may
share a server. Redis 7.0 or Valkey 7.2, or later.

The user ``default`` is off and has no password: nobody can log in as it. It holds all rights, because a server replays
its append-only file with that user's rights; a server whose default user has fewer starts with what it may replay and
loses the rest (measured on Redis 7.0, 7.4, 8.0 and Valkey 8.1; redis/redis#14541).

A producer can put sealed requests into the vault and ids onto the job queues; it can read neither, not even its own
(no GET, and no SET, which can answer with the old value). It can write the ledger's records, as accepting a job must.
A migrator is a producer that also hears all outcomes, and how full the servers are. Flower hears events and reaches no
job queue. It must be allowed to speak on the control channel, or it hears nothing; workers do not listen there
(``worker_enable_remote_control`` is off).
"""

import secrets
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from producer.contract import redis_keys
from producer.runtime import private_file
from producer.runtime.private_file import PRIVATE, PUBLIC
from worker.errors import WorkerError

DEFAULT_USER = "user default off resetpass allkeys allchannels +@all"
HEALTH_USER = "user health on nopass resetkeys resetchannels -@all +ping"
CONNECT = "+ping +hello +select +echo +multi +exec +discard +unwatch"  # CLIENT could pause and watch all others
SCRIPTS = "+eval +evalsha +script|load +script|exists +time"

EVERYTHING = redis_keys.OPEN.partition(":")[0] + ":*"


class Role(NamedTuple):
    """A user's keys and commands.

    Args:
        keys: patterns; one without a sign of its own (``%R~``, read only) may be read and written.
        commands: rules for commands and channels.
    """

    keys: str
    commands: str


# %R~: a merchant's own Celery may wait for a result with AsyncResult.
PRODUCER_KEYS = " ".join(
    (
        "interactive migration _kombu.binding*",
        *(f"{prefix}*" for prefix in (redis_keys.JOB, redis_keys.FRESH, redis_keys.CUSTOMER, redis_keys.ENVELOPE)),
        f"{redis_keys.CUSTOMER_OPEN}*",
        *(f"{prefix}*" for prefix in (redis_keys.ORDER, redis_keys.ORDER_OPEN)),
        *(redis_keys.OPEN, redis_keys.KIDS, f"%R~{redis_keys.FULL}", f"%R~{redis_keys.RESULT}*"),
    )
)
PRODUCER_COMMANDS = f"""{CONNECT} {SCRIPTS} &{redis_keys.RESULT}* +subscribe +unsubscribe +psubscribe +punsubscribe
    +lpush +llen +sadd +exists +get +mget +setnx +expireat +hget +hset +hmget +hincrby +persist +zadd"""

LEDGER = {
    "worker": Role(
        keys=f"recovery interactive migration _kombu.binding* {EVERYTHING} {redis_keys.RESULT}*",
        commands=f"""&/0.celeryev/* &{redis_keys.RESULT}* {CONNECT} {SCRIPTS} +@list -lset -linsert
            +sadd +srem +smembers +exists +del +expire +pttl +get +set +setex +hget +hset +hsetnx +hmget +hdel +hincrby
            +hexists +hlen +hscan +hgetall +persist +zadd +zrem +zrange +zrangebyscore +zrevrangebyscore
            +zremrangebyrank +zscore +zcard +zcount
            +xadd +publish +info +bgrewriteaof""",
    ),
    "producer": Role(keys=PRODUCER_KEYS, commands=PRODUCER_COMMANDS),
    "migrator": Role(
        keys=f"{PRODUCER_KEYS} {redis_keys.OUTCOMES} {redis_keys.MIGRATION_RECORD}*",
        commands=f"{PRODUCER_COMMANDS} +xread +info",
    ),
    "limits": Role(
        keys=f"{redis_keys.LIMITS}*", commands=f"{CONNECT} {SCRIPTS} +get +set +exists +incrby +expire +pttl +rename"
    ),
    "listener": Role(
        keys=f"{redis_keys.OUTCOMES} {redis_keys.RECONCILED} {redis_keys.WEBHOOK}*",
        commands=f"""{CONNECT} {SCRIPTS} +xreadgroup +xgroup|create +xack +xautoclaim +get +set +exists +expire +del
            +hset +hget +hmget +hincrby +rpush +lrem +lindex +zadd +zrem +zrange +zrangebyscore +zcard""",
    ),
    "flower": Role(
        keys="""_kombu.binding.celeryev* _kombu.binding_permanent.celeryev* _kombu.binding_deadlines celeryev.*
            *.reply.celery.pidbox* _kombu.binding.reply.celery.pidbox* _kombu.binding_permanent.reply.celery.pidbox*""",
        commands=f"""&/0.celeryev/* &/0.celery.pidbox {CONNECT} {SCRIPTS} +subscribe +psubscribe +unsubscribe
            +punsubscribe +publish +brpop
            +llen +sadd +srem +smembers +exists +del +expire +zadd +zrem +zrangebyscore +zrevrangebyscore""",
    ),
}
VAULT = {
    "worker": Role(
        keys=EVERYTHING,
        commands=f"""{CONNECT} {SCRIPTS} +get +strlen +set +del +unlink +exists +pttl +hget +hset +hmget +hdel +hincrby
            +hexists +config|get +info""",
    ),
    "producer": Role(keys=f"{redis_keys.SEALED}*", commands=f"{CONNECT} +setnx +pexpire"),
    "migrator": Role(keys=f"{redis_keys.SEALED}*", commands=f"{CONNECT} +setnx +pexpire +info"),
}


NOT_FOR = {("flower", "ledger"), ("listener", "broker"), ("limits", "broker")}
BOTH = {
    "doctor": Role(
        keys=f"%R~{redis_keys.SWEEPER}", commands=f"{CONNECT} +time +info +exists +config|get +acl|getuser +acl|dryrun"
    ),
    "admin": Role(keys="*", commands="&* +@all"),
}


class AccessError(WorkerError):
    """Users are there that would be overwritten."""


class Server(NamedTuple):
    """Where a Redis is, as its clients see it.

    Args:
        address: ``HOST:PORT``.
        tls: whether it speaks TLS.
        ca_file: the authority's certificate as the clients see it; the system's if there is none.
    """

    address: str
    tls: bool = False
    ca_file: str | None = None

    def url(self, user: str, password: str, database: int) -> str:
        """The URL of a database for a user."""
        query = f"?ssl_cert_reqs=required{f'&ssl_ca_certs={quote(self.ca_file)}' if self.ca_file else ''}"
        return f"redis{'s' * self.tls}://{user}:{password}@{self.address}/{database}{query * self.tls}"


def acl_line(user: str, role: Role, password: str) -> str:
    """One line of an ACL file."""
    digest = sha256(password.encode()).hexdigest()
    keys = (key if key.startswith("%") else f"~{key}" for key in role.keys.split())
    return " ".join(["user", user, "on", f"#{digest}", "resetkeys resetchannels -@all", *keys, *role.commands.split()])


def write_access(directory: Path, ledger: Server, vault: Server) -> list[Path]:
    """Write the ACL files and every role's URLs.

    Raises:
        AccessError: one of them is there already.
    """
    files: dict[Path, str] = {}
    for name, server, roles, databases in (
        ("ledger", ledger, LEDGER, {"broker": 0, "ledger": 1}),
        ("vault", vault, VAULT, {"vault": 0}),
    ):
        lines = [DEFAULT_USER, HEALTH_USER]
        for user, role in {**roles, **BOTH}.items():
            password = secrets.token_urlsafe(32)
            lines.append(acl_line(user, role, password))
            for store, database in databases.items():
                if (user, store) not in NOT_FOR:
                    files[directory / user / f"{store}.url"] = server.url(user, password, database)
        files[directory / "redis" / f"{name}.acl"] = "\n".join(lines)
    _write(files)
    return list(files)


def _write(files: dict[Path, str]) -> None:
    for path in files:
        if path.exists():
            raise AccessError(f"{path} is there already")
    for path, text in files.items():  # an ACL file holds digests only, and the server's user must read it
        private_file.create(path, text + "\n", PUBLIC if path.suffix == ".acl" else PRIVATE)
