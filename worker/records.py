"""Records of jobs, read without writing: what workers noted or, until one took a job up, what was asked for."""

from collections.abc import Iterator, Sequence

from producer.contract import redis_keys
from producer.runtime.redis_store import Link, Script

RECORDS = Script("worker", "records")
PAGE = 200


def read_records(link: Link, job_ids: Sequence[str], names: Sequence[str]) -> Iterator[dict[str, str]]:
    """For each job those of some fields that it has; none where no job of that id is known."""
    for at in range(0, len(job_ids), PAGE):
        ids = job_ids[at : at + PAGE]
        for values in link.run(RECORDS, [], redis_keys.JOB, redis_keys.REQUEST, len(ids), *ids, *names):
            yield {name: value.decode() for name, value in zip(names, values, strict=True) if value}
