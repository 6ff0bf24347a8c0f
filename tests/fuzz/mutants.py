"""One hostile input for each number: the same seed and number make the same input."""

import math
from collections.abc import Sequence
from random import Random

from tests.fuzz import genuine
from tests.fuzz.damage import DAMAGES
from tests.fuzz.doors import CARD, ENVELOPE, JOB, Input
from tests.fuzz.forging import FORGERIES, PLAIN, forged, no_card
from tests.fuzz.genuine import Envelope, Job
from tests.vectors.jose import SignedRequest
from tests.vectors.recipe import ISSUE_RECORD

LARGE = 64 * 1024
LARGEST = 10 * 1000 * 1000
LARGE_EVERY, CARD_EVERY, FORGED_PART = 4000, 25, 0.35
FILLINGS = ("A", ".", "A.", "{", "\xff", "가", " ", "\0", "=")


def mutant(seed: int, number: int) -> Input:
    """The input of that number."""
    rng = Random(f"{seed}:{number}")
    if number % LARGE_EVERY == LARGE_EVERY - 1:
        return _large(rng)
    if number % CARD_EVERY == 0:
        return Input("no card", CARD, no_card(rng), ISSUE_RECORD)
    if rng.random() < FORGED_PART:
        return forged(rng.choice(list(FORGERIES)), rng)
    return _damaged(rng)


def _damaged(rng: Random) -> Input:
    family: Sequence[Job | Envelope] = rng.choice((genuine.JOBS, genuine.ENVELOPES))
    one = rng.choice(family)
    donor = rng.choice(genuine.ALL if rng.random() < 0.2 else family).text
    kind = rng.choice(list(DAMAGES))
    while True:
        text = DAMAGES[kind](rng, one.text, donor)
        if not genuine.is_genuine(text, one.record):
            return _handed_in(kind, text, one)


def _handed_in(kind: str, text: str, one: Job | Envelope) -> Input:
    is_job = isinstance(one.recipe, SignedRequest)
    return Input(kind, JOB if is_job else ENVELOPE, _raw(text) if is_job else text, one.record)


def _raw(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")


def _large(rng: Random) -> Input:
    """64 KB to 10 MB: one filling, a genuine token with one segment blown up, or one behind the other."""
    size = round(math.exp(rng.uniform(math.log(LARGE), math.log(LARGEST))))
    filling = rng.choice(FILLINGS)
    filler = filling * (size // len(filling.encode()))
    if rng.random() < 0.2:
        card = rng.choice((filler.encode(), PLAIN + b" " * size, b"[" * size, b'{"a":' * (size // 5), b"9" * size))
        return Input("large", CARD, card, ISSUE_RECORD)
    one = rng.choice(genuine.ALL)
    segments = one.text.split(".")
    at = rng.randrange(len(segments))
    segments[at] += filler
    text = rng.choice((filler, ".".join(segments), one.text + filler, filler + one.text))
    return _handed_in("large", text, one)
