"""Access: Redis ACL users, one for each role, with the fewest commands and keys that work, and their passwords.

::

    DIR/redis/ledger.acl    users of the server of queue and ledger: worker, producer, migrator, flower, listener (a
                            backend's reader of outcomes), webhooks, limits (the card page's counts), operator (jobs
                            and what is asked about them)
    DIR/redis/vault.acl     users of the vault: worker, producer, migrator, operator
    both                    health (may ask whether the server answers, without a password), doctor (reads settings,
                            users and figures, no data), admin (everything, for you alone)
    DIR/{role}/{store}.url  the role's URL, for BROKER_URL_FILE, LEDGER_URL_FILE and VAULT_URL_FILE; 0600

The ACL files hold digests of passwords of 256 random bits. Keys are not told apart by database, so queue and ledger may
share a server. Redis 7.0 or Valkey 7.2, or later.

The user ``default`` is off and has no password: nobody can log in as it. It holds all rights, because a server replays
its append-only file with that user's rights; a server whose default user has fewer starts with what it may replay and
loses the rest (measured on Redis 7.0, 7.4, 8.0 and Valkey 8.1; redis/redis#14541).

Rights are pairs of keys and commands (selectors); docs/security.md is the whole table. A producer can put sealed
requests into the vault and ids onto the job queues; it can read neither, not even its own (no GET, and no SET, which
can answer with the old value). It can make records and cannot change them. Only workers write outcomes. A migrator is a
producer that also hears all outcomes, and how full the servers are. Flower hears events and may ask how long the job
queues are. It must be allowed to speak on the control channel, or it hears nothing; workers do not listen there
(``worker_enable_remote_control`` is off).
"""

import secrets
from collections.abc import Iterator
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
SCRIPTS = "+eval +evalsha +script|load +script|exists +time"  # what a script calls is judged as if its caller called it


class Right(NamedTuple):
    """Commands on keys, together: a selector of Redis.

    Args:
        keys: patterns; one without a sign of its own (``%R~``, read only) may be read and written.
        commands: their names.
    """

    keys: str
    commands: str


class Role(NamedTuple):
    """A user's rights.

    Args:
        everywhere: rules for commands without a key, for scripts and for channels.
        rights: what it may do with keys.
    """

    everywhere: str
    rights: tuple[Right, ...] = ()

    def needed(self) -> Iterator[tuple[str, str]]:
        """Each command that has keys, with a key of each pattern."""
        for right in self.rights:
            for pattern in right.keys.split():
                key = pattern.removeprefix("%R~").replace("*", "x")
                yield from ((command, key) for command in right.commands.split())


def _each(*prefixes: str) -> str:
    return " ".join(f"{prefix}*" for prefix in prefixes)


OPEN_SETS = _each(redis_keys.ACCEPTED, redis_keys.FRESH, redis_keys.CUSTOMER_OPEN, redis_keys.ORDER_OPEN)
ENDED_LISTS = _each(redis_keys.CUSTOMER_ENDED, redis_keys.ORDER_ENDED, redis_keys.ENDED)
CUSTOMERS = _each(redis_keys.CUSTOMER, redis_keys.ORDER)
SEQUENCES = _each(redis_keys.CUSTOMER_SEQUENCE, redis_keys.ORDER_SEQUENCE)

# %R~: a merchant's own Celery may wait for a result with AsyncResult.
PRODUCER = Role(
    f"{CONNECT} {SCRIPTS} &{redis_keys.RESULT}* +subscribe +unsubscribe",
    (
        Right("interactive migration", "lpush llen"),
        Right("_kombu.binding.interactive _kombu.binding.migration", "sadd"),
        Right(_each(redis_keys.REQUEST), "get exists setnx"),
        Right(f"%R~{redis_keys.JOB}*", "hmget exists"),
        Right(SEQUENCES, "incr persist"),
        Right(" ".join(f"%R~{key}" for key in CUSTOMERS.split()), "hget"),
        Right(f"{redis_keys.OPEN} {OPEN_SETS}", "zadd"),
        Right(_each(redis_keys.ENVELOPE), "get exists setnx expireat"),
        Right(f"%R~{redis_keys.FULL} %R~{redis_keys.OUTCOME}* %R~{redis_keys.RESULT}*", "get mget exists"),
    ),
)
LISTENER = Role(
    f"{CONNECT} {SCRIPTS}",
    (
        Right(
            f"{redis_keys.OUTCOMES} {redis_keys.RECONCILED}",
            "xreadgroup xgroup|create xack xautoclaim xpending xclaim",
        ),
    ),
)
LEDGER = {
    "worker": Role(
        f"{CONNECT} {SCRIPTS} &/0.celeryev/* &{redis_keys.RESULT}* +publish +info +bgrewriteaof",
        (
            Right("recovery interactive migration", "lpush rpush rpop brpop llen del"),
            Right("_kombu.binding*", "sadd srem smembers exists"),
            Right(_each(redis_keys.REQUEST), "get del"),
            Right(_each(redis_keys.JOB), "hget hmget hset hsetnx hdel hincrby hexists exists expire"),
            Right(SEQUENCES, "get expire"),
            Right(_each(redis_keys.OUTCOME), "get setex"),
            Right(_each(redis_keys.RESULT), "get mget setex"),
            Right(
                f"{redis_keys.OPEN} {redis_keys.COMEBACKS} {redis_keys.FRONT} {redis_keys.IN_DOUBT} {OPEN_SETS} "
                f"{redis_keys.PAUSED} "
                f"{_each(redis_keys.PASSED)}",
                "zadd zrem zrange zrangebyscore zremrangebyrank zscore zcard exists del",
            ),
            Right(
                f"{CUSTOMERS} {redis_keys.ALIVE} {redis_keys.LISTENED} {redis_keys.OVERTAKEN} {redis_keys.KIDS} "
                f"{redis_keys.ASKED} {redis_keys.REMEMBERED}",
                "hget hmget hgetall hexists hset hdel expire persist del",
            ),
            Right(f"{redis_keys.OUTCOMES} {redis_keys.RECONCILED}", "xadd"),
            Right(f"%R~{redis_keys.PAUSE}", "hmget"),
            Right(_each(redis_keys.TRACE), "rpush ltrim expire"),
            Right(ENDED_LISTS, "lpush ltrim expire"),
            Right(
                f"{redis_keys.SWEEPER} {redis_keys.SWEPT} {redis_keys.FULL} {redis_keys.REWRITTEN}",
                "get set del pttl exists",
            ),
        ),
    ),
    "producer": PRODUCER,
    "migrator": Role(
        f"{PRODUCER.everywhere} +info",
        (
            *PRODUCER.rights,
            Right(f"%R~{redis_keys.OUTCOMES}", "xread"),
            Right(_each(redis_keys.MIGRATION_RECORD), "hmget hset expireat"),
        ),
    ),
    "limits": Role(
        f"{CONNECT} {SCRIPTS}", (Right(_each(redis_keys.LIMITS), "get set exists incrby expire pttl rename"),)
    ),
    "listener": LISTENER,
    "webhooks": LISTENER._replace(
        rights=(
            *LISTENER.rights,
            Right(_each(redis_keys.WEBHOOK_INTAKE), "get set expire"),
            Right(
                _each(redis_keys.WEBHOOK_DUE, redis_keys.WEBHOOK_LATE, redis_keys.WEBHOOK_FAILED),
                "zadd zrem zrange zrangebyscore zremrangebyscore zcard",
            ),
            Right(_each(redis_keys.WEBHOOK_DELIVERY), "expire hset hget hmget hincrby"),
            Right(_each(redis_keys.WEBHOOK_LINE), "expire rpush lpop lindex"),
        ),
    ),
    "operator": Role(
        f"{CONNECT} {SCRIPTS}",
        (
            Right(f"%R~{redis_keys.REQUEST}*", "get"),
            Right(f"%R~{redis_keys.JOB}*", "hmget"),
            Right(f"%R~{redis_keys.OUTCOME}*", "get"),
            Right(" ".join(f"%R~{key}" for key in f"{redis_keys.OPEN} {OPEN_SETS}".split()), "zrange zcard zcount"),
            Right(" ".join(f"%R~{key}" for key in f"{ENDED_LISTS} {redis_keys.TRACE}*".split()), "lrange"),
            Right(f"%R~{redis_keys.OUTCOMES}", "xrevrange"),
            Right(f"%R~{redis_keys.ALIVE}", "hgetall"),
            Right(redis_keys.PAUSE, "hset hmget"),
            Right(redis_keys.ASKED, "hset hexists"),
            Right(redis_keys.AUDIT, "xadd"),
        ),
    ),
    "flower": Role(
        f"""{CONNECT} {SCRIPTS} &/0.celeryev/* &/0.celery.pidbox +subscribe +psubscribe +unsubscribe +punsubscribe
            +publish""",
        (
            Right(
                "_kombu.binding.celeryev* _kombu.binding_permanent.celeryev* _kombu.binding_deadlines celeryev.* "
                "*.reply.celery.pidbox* _kombu.binding.reply.celery.pidbox* "
                "_kombu.binding_permanent.reply.celery.pidbox*",
                "brpop llen sadd srem smembers exists del expire zadd zrem zrangebyscore zrevrangebyscore",
            ),
            Right("%R~recovery %R~interactive %R~migration", "llen"),
        ),
    ),
}
VAULT_SHARED = (
    Right(redis_keys.PERMIT, "hget hmget hset hdel hincrby hexists"),
    Right(_each(redis_keys.TOKEN), "get set del exists pttl"),
)
VAULT_PRODUCER = Role(CONNECT, (Right(_each(redis_keys.SEALED), "setnx pexpire"),))
VAULT = {
    "worker": Role(
        f"{CONNECT} {SCRIPTS} +config|get +info",
        (
            Right(_each(redis_keys.SEALED), "get strlen unlink"),
            Right(_each(redis_keys.SENT), "get set"),
            *VAULT_SHARED,
        ),
    ),
    "producer": VAULT_PRODUCER,
    # Asks i'mport at the shared rate, with the shared token, in the name of no job: these keys end where an id begins.
    "operator": Role(
        f"{CONNECT} {SCRIPTS}", (Right(f"{redis_keys.SEALED} {redis_keys.SENT}", "get strlen"), *VAULT_SHARED)
    ),
    "migrator": VAULT_PRODUCER._replace(everywhere=f"{CONNECT} +info"),
}


NOT_FOR = {("flower", "ledger"), *((user, "broker") for user in ("listener", "webhooks", "limits", "operator"))}
BOTH = {
    "doctor": Role(
        f"{CONNECT} +time +info +config|get +acl|getuser +acl|dryrun", (Right(f"%R~{redis_keys.SWEEPER}", "exists"),)
    ),
    "admin": Role("~* &* +@all"),
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
    # A script's keys must be its caller's to write, whatever it does with them.
    keys = dict.fromkeys(key for right in role.rights for key in _patterns(right) if key[0] == "~")
    everywhere = ["user", user, "on", f"#{digest}", "resetkeys resetchannels -@all", *role.everywhere.split()]
    return " ".join([*everywhere, *(keys if "+eval" in everywhere else ()), *map(_selector, role.rights)])


def _patterns(right: Right) -> list[str]:
    return [key if key[0] == "%" else f"~{key}" for key in right.keys.split()]


def _selector(right: Right) -> str:
    return f"({' '.join([*_patterns(right), *(f'+{command}' for command in right.commands.split())])})"


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
