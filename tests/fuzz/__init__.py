"""Hostile input for the readers of jobs, envelopes and cards: ``python -m tests.fuzz``.

Every input is a mutant of a genuine token, made by chance from the seed and its own number, so that it can be made
again. It goes in where an attacker's would:

``job``
    what lies in the vault, through :meth:`Opener.open` with real keys: signature, bindings, seal, card
``envelope``
    what a browser hands in, through :meth:`Envelope.parse`, its checks and :meth:`OpeningKeys.open_card`
``card``
    card JSON from outside, through :meth:`Card.from_json`

A mutant breaks a bound when it is *accepted* (the reader returns), when it raises anything but our refusals, or when it
takes more than 5 ms of CPU or 1 MB.

What counts as a mutant. Made without keys: every text that is not, byte for byte, a genuine token of the record that it
is offered for. Signed or sealed with a real key: one whose meaning differs in what must hold (see forging.py).

Not counted, since they are genuine: what a key holder signs or seals anew with the same meaning (white space, the order
of members, another spelling of a float, ``null`` for a member that is not set), and what a key holder may choose freely
(an amount, a life within its limits, another valid card).
"""
