"""An operator's queries beside 100,000 open and 1,000,000 finished jobs: ``python -m tests.bench.operator``.

Two jobs are made by the product's own scripts, one waiting and one finished, and copied inside the server with all that
an operator's commands read. The last line is one JSON object: seconds of each command without, and once with, the start
of Python.
"""

import json
import statistics
import time
from collections.abc import Sequence

import click
from click.testing import CliRunner

from producer.contract import redis_keys
from producer.runtime.redis_store import Stores
from tests.servers import environment, run_python
from tests.stack import Stack
from tests.worker.jobs import accept, claimed, ended
from worker.cli import main as worker
from worker.ledger import Ledger
from worker.model import Snooze

BATCH, LATER_S = 5000, 40_000
COMMANDS = (
    *("jobs", "jobs --waiting", "jobs --status open", "jobs --status issued", "jobs --since 1h"),
    *("jobs --customer-uid customer_7", "jobs --json --limit 1000"),
)
COPY = """
local record = redis.call('HGETALL', ARGV[1] .. ARGV[2])
local outcome, trace = redis.call('GET', ARGV[3] .. ARGV[2]), redis.call('LRANGE', ARGV[4] .. ARGV[2], 0, -1)
local now = tonumber(redis.call('TIME')[1])
for n = tonumber(ARGV[5]), tonumber(ARGV[5]) + tonumber(ARGV[6]) - 1 do
  local id = string.format('%08x-0000-8000-8000-%012x', n, n)
  local uid = 'customer_' .. n % 100000
  redis.call('HSET', ARGV[1] .. id, unpack(record))
  redis.call('HSET', ARGV[1] .. id, 'customer_uid', uid)
  if #trace > 0 then redis.call('RPUSH', ARGV[4] .. id, unpack(trace)) end
  if outcome then
    local one = string.gsub(string.gsub(outcome, ARGV[2]:gsub('-', '%%-'), id), 'gildong_0001', uid)
    redis.call('SET', ARGV[3] .. id, one)
    redis.call('XADD', ARGV[7], '*', 'outcome', one)
    redis.call('LPUSH', ARGV[8] .. 'issued', id)
    redis.call('LTRIM', ARGV[8] .. 'issued', 0, 999)
    redis.call('LPUSH', ARGV[9] .. uid, id)
    redis.call('LTRIM', ARGV[9] .. uid, 0, 19)
  else
    local at = now + tonumber(ARGV[10]) + n % 1000
    redis.call('HSET', ARGV[1] .. id, 'next_at', at, 'expires_at', at)
    redis.call('ZADD', ARGV[11], at, id)
    redis.call('ZADD', ARGV[12] .. uid, n, id)
  end
end
"""


def fill(stack: Stack, template: str, first: int, count: int) -> None:
    """Copy a job so many times."""
    keys = (
        *(redis_keys.OUTCOMES, redis_keys.ENDED, redis_keys.CUSTOMER_ENDED, LATER_S),
        *(redis_keys.OPEN, redis_keys.CUSTOMER_OPEN),
    )
    prefixes = (redis_keys.JOB, template, redis_keys.OUTCOME, redis_keys.TRACE)
    for at in range(first, first + count, BATCH):
        stack.ledger.eval(COPY, 0, *prefixes, at, min(BATCH, first + count - at), *keys)


def took_s(arguments: Sequence[str]) -> float:
    """Seconds of a command in this process."""
    began = time.monotonic()
    done = CliRunner().invoke(worker, arguments)
    assert done.exit_code == 0, done.output
    return time.monotonic() - began


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--still-open", default=100_000, show_default=True)
@click.option("--finished", default=1_000_000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(still_open: int, finished: int, rounds: int) -> None:
    """Fill a ledger, and ask."""
    with Stack() as stack:
        stack.queue.client().config_set("maxmemory", 0)
        stack.queue.client().config_set("appendonly", "no")  # what is read is in memory
        ledger = Ledger(Stores(stack.queue.url(1)), Stores(stack.vault.url(0)), call_deadline_s=70)
        done, waits = accept(stack.queue, "done"), accept(stack.queue, "waits", uid="w")
        lease = claimed(ledger, done)
        ledger.finish(lease, ended(lease, attempts=1))
        ledger.wait(claimed(ledger, waits), Snooze(600.0, "throttled"))
        fill(stack, done, 1, finished)
        fill(stack, waits, finished + 1, still_open)
        first = f"{1:08x}-0000-8000-8000-{1:012x}"
        environ = {"LEDGER_URL": stack.stores("operator")["LEDGER_URL"]}
        stack.ledger.config_resetstat()
        with environment(environ):
            figures = {words: [took_s(words.split()) for _ in range(rounds)] for words in COMMANDS}
            figures |= {"trace JOB_ID": [took_s(["trace", first]) for _ in range(rounds)]}
            figures |= {words: [took_s(words.split())] for words in ("pause --for 1d --yes", "resume --yes")}
        assert not {"cmdstat_scan", "cmdstat_keys"} & set(stack.ledger.info("commandstats"))
        began = time.monotonic()
        run_python("-m", "worker", "jobs", environ=environ)
        figures |= {"jobs, in a process of its own": [time.monotonic() - began]}
        memory = round(stack.ledger.info("memory")["used_memory"] / 2**30, 2)
    seconds = {words: round(statistics.median(took), 2) for words, took in figures.items()}
    click.echo(json.dumps({"open": still_open, "finished": finished, "memory_gb": memory, "seconds": seconds}))


if __name__ == "__main__":
    main(prog_name="python -m tests.bench.operator")
