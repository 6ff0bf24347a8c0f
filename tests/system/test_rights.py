"""Rights: every command of the server, on a key of every kind, as every user, compared with docs/security.md."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import pytest
import redis

from producer.contract import redis_keys
from producer.contract.job import QUEUES
from tests import rights
from tests.stack import Stack
from worker.redis_acl import BOTH, LEDGER, VAULT

OURS = (value for name, value in vars(redis_keys).items() if name.isupper() and isinstance(value, str))
KEYS = sorted(
    {
        *(f"{name}x" if name[-1] in ":-" else name for name in OURS),
        *QUEUES,
        *(f"_kombu.binding.{name}" for name in ("interactive", "celeryev", "reply.celery.pidbox")),
        *("x.reply.celery.pidbox", "celeryev.x", "unacked", "unacked_index", "somebody:else", "billing:new"),
        *(redis_keys.WEBHOOK_LINE + "gildong", redis_keys.TOKEN + "x:lock", redis_keys.CUSTOMER + "X:open"),
    }
)
CHANNELS = ("/0.celeryev/worker.heartbeat", "/0.celery.pidbox", redis_keys.RESULT + "x", "__keyspace@0__:x")
PUBSUB = {"subscribe", "psubscribe", "publish"}
SCRIPTS = {"eval", "evalsha"}
NEVER = object()


class Command(NamedTuple):
    """A command with the shortest arguments that name a key; ``words`` holds NEVER where the key goes."""

    name: str
    words: tuple[Any, ...]

    @property
    def has_key(self) -> bool:
        return NEVER in self.words

    def on(self, key: str) -> list[str]:
        return [key if word is NEVER else word for word in self.words]


def commands_of(client: Any) -> Iterator[Command]:
    client.set_response_callback("COMMAND", lambda answer, **_: answer)
    for entry in client.execute_command("COMMAND"):
        yield from _commands(entry)


def _commands(entry: list[Any]) -> Iterator[Command]:
    name, arity, flags, specs, subcommands = entry[0].decode(), entry[1], entry[2], entry[8], entry[9]
    for one in subcommands:
        yield from _commands(one)
    if subcommands or b"no_auth" in flags:  # what comes before a log-in is nobody's to refuse
        return
    words: list[Any] = name.split("|")
    for spec in specs:
        _place_key(words, _flat(spec))
    words += ["1"] * (abs(arity) - len(words))
    yield Command(name, tuple(words))


def _place_key(words: list[Any], spec: dict[str, Any]) -> None:
    search, found = _flat(spec["begin_search"]), _flat(spec["find_keys"])
    where, how = _flat(search["spec"]), _flat(found["spec"])
    if search["type"] == b"index":
        at = where["index"]
    elif search["type"] == b"keyword":
        words += ["1"] * (max(where["startfrom"], 1) - len(words))
        words.append(where["keyword"].decode())
        at = len(words)
    else:
        return  # Redis itself does not say where its keys are
    if found["type"] == b"keynum":
        words += ["1"] * (at + how["firstkey"] + 1 - len(words))
        at += how["firstkey"]
    words += ["1"] * (at + 1 - len(words))
    words[at] = NEVER


def _flat(pairs: list[Any]) -> dict[str, Any]:
    return {name.decode(): value for name, value in zip(pairs[::2], pairs[1::2], strict=True)}


def judged(client: Any, user: str, tried: list[list[str]]) -> list[str]:
    """The server's word on each: ``OK``, or what the user may not."""
    with client.pipeline(transaction=False) as pipe:
        for words in tried:
            pipe.execute_command("ACL", "DRYRUN", user, *words)
        answers = pipe.execute(raise_on_error=False)
    return [answer.decode() if isinstance(answer, bytes) else str(answer) for answer in answers]


class Table:
    """What a user may do by the document."""

    def __init__(self, server: str, user: str) -> None:
        mine = [one for one in rights.from_document() if (one.server, one.user) == (server, user)]
        self._with_keys = [one for one in mine if one.keys]
        (everywhere,) = (one.commands for one in mine if not one.keys)
        self.everywhere = {one for one in everywhere if one[0] != "&"}
        self.channels = [one[1:] for one in everywhere if one[0] == "&"]

    def allows(self, name: str, key: str) -> bool:
        granted = [one for one in self._with_keys if fnmatchcase(key, one.keys.removeprefix("%R~"))]
        if name in SCRIPTS:
            return "script|load" in self.everywhere and any(one.keys[0] != "%" for one in granted)
        return any(name in one.commands for one in granted)


@pytest.mark.parametrize("server", ["ledger", "vault"])
def test_every_command_on_every_kind_of_key_is_allowed_to_whom_the_table_says(stack: Stack, server: str) -> None:
    client = (stack.queue if server == "ledger" else stack.vault).client(protocol=2)
    commands = list(commands_of(client))
    on_keys = [(one.name, key, one.on(key)) for one in commands if one.has_key for key in KEYS]
    users = ["health", "doctor", *(LEDGER if server == "ledger" else VAULT)]
    wrong, unjudged = [], set()
    for user in users:
        table = Table(server, user)
        for (name, key, _), said in zip(on_keys, judged(client, user, [words for *_, words in on_keys]), strict=True):
            if "permissions" not in said and said != "OK":
                unjudged.add(name)
            elif (said == "OK") != table.allows(name, key):
                wrong.append((user, name, key, said))
        without = [one for one in commands if not one.has_key]
        for one, said in zip(without, judged(client, user, [one.on("") for one in without]), strict=True):
            if ("run the" not in said) != (one.name in table.everywhere):
                wrong.append((user, one.name, "", said))

    assert wrong == []
    assert unjudged == set()
    assert (len(commands) >= 300, len(on_keys) >= 8_000) == (True, True)


def test_channels_are_open_to_whom_the_table_says(stack: Stack) -> None:
    client = stack.queue.client(protocol=2)
    for user in ("health", "doctor", *LEDGER):
        table = Table("ledger", user)
        tried = [(name, channel) for name in sorted(PUBSUB) for channel in CHANNELS]
        said = judged(client, user, [[name, channel, *["x"] * (name == "publish")] for name, channel in tried])
        allowed = {one for one, words in zip(tried, said, strict=True) if words == "OK"}

        assert allowed == {
            (name, channel)
            for name, channel in tried
            if name in table.everywhere and any(_is_open(name, channel, one) for one in table.channels)
        }, user


def _is_open(name: str, channel: str, pattern: str) -> bool:
    return channel == pattern if name == "psubscribe" else fnmatchcase(channel, pattern)


def test_the_table_is_what_the_acl_files_say() -> None:
    assert rights.from_document() == rights.from_files()


def test_only_workers_write_outcomes_and_nobody_else_deletes_anything_of_the_ledger() -> None:
    said = [redis_keys.OUTCOME + "x", redis_keys.RESULT + "x", redis_keys.OUTCOMES, redis_keys.RECONCILED]
    streams = ("xread", "xrevrange", "xreadgroup", "xack", "xautoclaim", "xpending", "xclaim", "xgroup|create")
    reads = {"get", "mget", "exists", *streams}
    takes_away = {"del", "unlink", "hdel", "zrem", "srem", "set", "setex", "rename", "expire", "rpop", "brpop", "lrem"}
    for one in rights.from_document():
        if one.user == "worker" or one.server == "vault":
            continue
        if any(fnmatchcase(key, one.keys.removeprefix("%R~")) for key in said):
            assert one.commands <= reads, one
        if one.keys.startswith("billing:") and not one.keys.startswith(("billing:webhook-", redis_keys.LIMITS)):
            assert not one.commands & takes_away, one


def test_a_script_does_no_more_than_its_caller_may(stack: Stack) -> None:
    client = stack.queue.client(1, "producer")
    for call in (
        "'SET', KEYS[1], 'paid'",
        "'DEL', KEYS[1]",
        "'HSET', KEYS[1], 'attempts', 0",
        "'EXPIREAT', KEYS[1], 1",
    ):
        for key in (redis_keys.JOB + "x", redis_keys.CUSTOMER + "x", redis_keys.OPEN, "interactive"):
            with pytest.raises(redis.ResponseError, match=r"permission|can't run|can't access"):
                client.eval(f"return redis.call({call})", 1, key)
    assert not set(BOTH) & {*LEDGER, *VAULT}
