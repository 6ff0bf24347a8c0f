from pathlib import Path

import pytest

from producer.runtime.errors import StoreUnavailable
from producer.runtime.redis_store import Link, Script, Stores
from tests.servers import RedisServer
from tests.worker.cycles import left_in_cycles

ARGUMENTS = ("x", "d", 1, "f:", "p:", "u:", "j:", 120, "o:", "oo:", "recovery", "uo:", "pause", "paused", "r:")  # claim


@pytest.fixture
def server(tmp_path: Path) -> RedisServer:
    return RedisServer(tmp_path)


def test_a_script_is_loaded_where_it_is_missing(store: RedisServer) -> None:
    link = Link(store.url())
    store.client().script_flush()

    keys = ["billing:job:x", "billing:open", "billing:front", "billing:outcome:x"]
    assert link.run(Script("worker", "claim"), keys, *ARGUMENTS) == [b"unknown"]


def test_a_command_survives_a_restart_of_the_store(server: RedisServer) -> None:
    with server:
        link = Link(server.url())
        link.call("PING")
        server.kill()
        server.start()

        assert link.call("PING") in {b"PONG", "PONG"}


def test_a_store_that_is_gone_is_said_so(server: RedisServer) -> None:
    with server:
        link = Link(server.url())
        link.call("PING")
    with pytest.raises(StoreUnavailable):
        link.call("PING")


def test_an_answer_nobody_waits_for_is_not_taken_for_the_next(store: RedisServer) -> None:
    link = Link(store.url())
    link.call("SET", "a", "1")

    link.send_unanswered("UNLINK", "a")
    link.send_unanswered("NO-SUCH-COMMAND")

    assert link.call("SET", "b", "2") in {b"OK", "OK"}
    assert link.call("GET", "a") is None


def test_a_command_begun_is_done_again_if_its_answer_is_lost(server: RedisServer) -> None:
    with server:
        link = Link(server.url())
        link.call("SET", "a", "1")
        answer = link.send("BLPOP", "never", 30)
        server.kill()
        server.start()
        server.client().rpush("never", "came")

        assert answer() == [b"never", b"came"]


def test_a_store_without_room_is_unavailable_and_not_a_bug(server: RedisServer) -> None:
    with server:
        server.client().config_set("maxmemory", "1")

        with pytest.raises(StoreUnavailable, match=r"^vault at 127\.0\.0\.1:\d+, user default: is out of memory"):
            Link(server.url(), "vault").call("SET", "k", "v")


def test_each_thread_has_a_link_of_its_own(store: RedisServer) -> None:
    from threading import Thread  # noqa: PLC0415 — only here

    links, found = Stores(store.url()), []
    thread = Thread(target=lambda: found.append(links.local))
    thread.start()
    thread.join()

    assert links.local is links.local
    assert found[0] is not links.local


def test_a_command_nobody_waits_for_goes_again_if_its_connection_was_lost(store: RedisServer) -> None:
    link, other = Link(store.url()), store.client()
    link.call("SET", "a", "1")
    other.client_kill_filter(_type="normal", skipme=True)

    link.send_unanswered("UNLINK", "a")  # into a connection that is gone
    link.call("PING")

    assert other.get("a") is None


@pytest.mark.parametrize("word", ["NOREPLICAS", "MISCONF", "BUSY"])
def test_a_store_that_cannot_write_just_now_is_unavailable(store: RedisServer, word: str, tmp_path: Path) -> None:
    script = Script("worker", "hold")
    script.source = f"return redis.error_reply('{word} of the moment')".encode()
    script.sha = "0" * 40

    with pytest.raises(StoreUnavailable):
        Link(store.url()).run(script, ["k"])


class InHand:
    """What a caller of a link has in hand when its store dies: a card, say."""


def test_a_store_that_dies_keeps_nothing_of_what_its_callers_had_in_hand(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        link = Link(server.url())
        link.call("PING")
        server.kill()

        def call() -> None:
            in_hand = InHand()
            answer = link.send("PING")
            link.send_unanswered("PING")
            with pytest.raises(StoreUnavailable):
                answer()
            with pytest.raises(StoreUnavailable):
                link.call("PING")
            del in_hand

        assert left_in_cycles(call, InHand) == []
