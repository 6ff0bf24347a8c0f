"""Run the model: so many examples of so many steps; Hypothesis shrinks the first that breaks a promise."""

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from producer import BillingQueue
from producer.publisher import Publisher
from producer.runtime.celery_transport import SOCKET
from producer.settings import ProducerSettings
from tests.fake_iamport.fake import IMP_KEY, IMP_SECRET
from tests.model.clock import scripts_on_model_time
from tests.model.machine import Machine
from tests.model.stories import stories
from tests.model.world import World
from tests.servers import RedisServer
from worker.bootstrap import open_keyrings
from worker.keys import generate as keygen
from worker.settings import WorkerSettings


def run_model(examples: int, steps: int, number: int | None = None, *, shrinks: bool = True) -> dict[str, int]:
    """Run it.

    Args:
        examples: how many.
        steps: at most, of each.
        number: the seed; None for the same examples each time.
        shrinks: True to look for the shortest example that breaks a promise.

    Returns:
        What the outcomes were, and how often i'mport applied something too late for the promises.

    Raises:
        AssertionError: a promise was broken; the note says by which steps.
    """
    figures: Counter[str] = Counter()
    with worlds() as make_world:

        def machine() -> Machine:
            return Machine(make_world, figures)

        run_state_machine_as_test(
            machine if number is None else seed(number)(machine),  # type: ignore[arg-type]
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                derandomize=number is None,
                suppress_health_check=list(HealthCheck),
                phases=(Phase.generate, Phase.shrink) if shrinks else (Phase.generate,),
                database=None,
                print_blob=False,
            ),
        )
    return dict(figures)


def run_stories(every: int = 1) -> int:
    """Play one of so many stories, in an order that finds most faults soon; gives how many.

    Raises:
        AssertionError: a promise was broken; the note names the story.
    """
    known = list(stories())
    chosen = random.Random(0).sample(known, len(known) // every)
    with worlds() as make_world:
        for story in chosen:
            try:
                story.play(make_world())
            except AssertionError as error:
                error.add_note(str(story))
                raise
    return len(chosen)


@contextmanager
def worlds() -> Iterator[Callable[[], World]]:
    """Gives empty worlds, one after the other."""
    with (
        tempfile.TemporaryDirectory(prefix="billing-model-") as name,
        RedisServer(Path(name) / "redis") as server,
        scripts_on_model_time(),
        patch.dict(SOCKET, socket_timeout=60.0),  # machines stall, and only the model's clock counts
    ):
        keys = Path(name) / "keys"
        keygen.generate(keys)
        stores = {"broker_url": server.url(0), "ledger_url": server.url(1), "vault_url": server.url(2)}
        producer = ProducerSettings(
            **stores,  # type: ignore[arg-type]
            sealing_keys_file=keys / "producer/sealing.public.jwks.json",
            signing_key_file=keys / "producer/signing.private.jwk.json",
        )
        worker = WorkerSettings(
            **stores,  # type: ignore[arg-type]
            opening_keys_file=keys / "worker/opening.private.jwks.json",
            producer_keys_file=keys / "worker/producers.public.jwks.json",
            imp_key=IMP_KEY,
            imp_secret=IMP_SECRET,
        )
        opener, publisher = open_keyrings(worker), Publisher(server.url(0))
        with BillingQueue(producer) as queue:
            yield lambda: World(server, queue, opener, worker, publisher)
        publisher.close()
