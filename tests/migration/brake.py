"""Brake: a file whose password column is another's. Each card is declined, and that counts at its company."""

from tests.migration.export import Export
from tests.migration.stage import Figures, Stage, say
from tests.servers import wait_until

NAME = "brake"
MOST_SENT = 300
NOT_ALL, RESUMABLE = 1, 3


def brake(rows: int, more: int, *, rate: float = 500, timeout_s: float = 3600) -> Figures:
    """See the run pause itself, and go on when it is told to.

    Args:
        rows: of the export.
        more: cards that must be sent once it goes on; with fewer rows, to its end.
        rate: ``IMP_RATE_PER_S``.
        timeout_s: for each of the two.
    """
    export = Export(rows, declined_each=1)
    with Stage({"IMP_RATE_PER_S": str(rate)}) as stage:
        stage.start_workers()
        with stage.produce(export, NAME) as producer:
            code, words = producer.wait(timeout_s), producer.words().splitlines()[-1]
        sent = stage.posts()
        say(f"{sent} cards sent: {words}")
        with stage.produce(export, NAME, "--resume", "--stop-at=100") as producer:
            wanted = min(sent + more, rows)
            wait_until(lambda: producer.has_ended() or stage.posts() >= wanted, timeout_s, f"{wanted} cards")
            has_ended_early = producer.has_ended() and stage.posts() < wanted
            code_at_the_end = producer.wait(timeout_s) if wanted == rows else None
        posts = stage.posts()
    again = f"--name {NAME} --report {stage.report(NAME)} --resume --stop-at 100"
    wrong = {
        f"{sent} cards sent": sent > MOST_SENT,
        f"exit code {code}": code != RESUMABLE,
        "does not say how to go on": not words.endswith(again),
        "did not go on": has_ended_early or posts < wanted,
        f"exit code {code_at_the_end} in the end": code_at_the_end not in {None, NOT_ALL},
        "cards sent twice": posts > rows,
    }
    return {
        "rows": rows,
        "sent_before_it_paused": sent,
        "words": words,
        "sent_in_all": posts,
        "broken": [name for name, is_broken in wrong.items() if is_broken],
    }
