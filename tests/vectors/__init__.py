"""Golden vectors: envelopes and jobs that must open, and ones that must be refused, with the code of the refusal.

``keyring/`` holds TEST KEYS, derived from words that stand in :mod:`tests.vectors.recipe`: never use them elsewhere.

Times lie around 2027-01-15, the ledger's clock in each vector's ``record``, so that vectors do not grow old.

``accept.jsonl``
    a ``{name, kind, text, record, job, plaintext}`` a line: ``text`` is a signed request or an envelope, ``job`` the
    members that it must be read as (for an envelope those of its header), ``plaintext`` those of its card.
``refuse.jsonl``
    a ``{name, why, kind, text, record, expected}`` a line: what is refused, why that matters, and the code of the
    refusal. ``unknown_kid`` is none: the key may arrive with the next rotation, and the job waits.
"""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
Json = dict[str, Any]


def read_vectors(name: str) -> list[Json]:
    """The vectors in ``accept.jsonl`` or ``refuse.jsonl``."""
    return [json.loads(line) for line in (HERE / name).read_text().splitlines()]


def read_keys(name: str) -> Json:
    """One of the files in ``keyring/``, read without regard to its mode."""
    members: Json = json.loads((HERE / "keyring" / name).read_text())
    return members


def label(vector: Json) -> str:
    """A vector's name as pytest shows it."""
    return f"{vector['kind']}: {vector['name']}"
