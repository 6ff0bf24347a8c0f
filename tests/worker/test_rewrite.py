"""What a power cut leaves of a script's writes is gone for good, also after the next restart but one."""

from pathlib import Path

from producer.contract import redis_keys
from producer.runtime.redis_store import Stores
from tests.servers import RedisServer, wait_until
from worker.open_jobs import OpenJobs

SCRIPT = "for _, key in ipairs(KEYS) do redis.call('SET', key, 1) end"
KEYS = ("billing:a", "billing:b", "billing:c")


def cut_within_the_last_script(server: RedisServer) -> None:
    (file,) = (server.folder / "appendonlydir").glob("*.incr.aof")
    whole = file.read_bytes()
    file.write_bytes(whole[: whole.rindex(b"EXEC") - 20])


def jobs_of(server: RedisServer) -> OpenJobs:
    return OpenJobs(Stores(server.url(1)), Stores(server.url(0)))


def test_a_script_that_a_power_cut_took_does_not_come_back_in_part(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, "ledger")
    with server:
        server.client(1).eval(SCRIPT, len(KEYS), *KEYS)
        server.kill()
        cut_within_the_last_script(server)
        server.start()
        jobs = jobs_of(server)

        assert jobs.rewrite_after_restart()

        assert not jobs.rewrite_after_restart()
        wait_until(lambda: server.client().info("persistence")["aof_rewrite_in_progress"] == 0, 60, "a new file")
        server.kill()
        server.start()
        assert server.client(1).mget(KEYS) == [None, None, None]
        assert server.client(1).get(redis_keys.REWRITTEN) is not None
        assert jobs_of(server).rewrite_after_restart()


def test_a_server_that_does_not_persist_is_left_alone(store: RedisServer) -> None:
    assert not jobs_of(store).rewrite_after_restart()
