"""Batch migration: an encrypted export in, billing keys out, and a report that holds no card number.

The way of a row: :mod:`source` (bytes to named texts) → :mod:`rows` (to a request, or to what is wrong with it) →
:mod:`run` (sent, and its outcome awaited) → :mod:`work_file` (kept, without the card) → :mod:`report`.
"""
