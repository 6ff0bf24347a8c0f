"""Answers of i'mport and its gateways from public reports, each with the ends that are right.

A line of ``answers.jsonl`` is one job. ``posts``: what each POST gets in turn, the last one again and again: ``drop``
(done at i'mport, and the connection is reset), ``ok`` or ``paid`` (done, as of that moment), ``html:STATUS`` (a page),
or an envelope with its status (``?`` stands for the merchant_uid). ``find``: what look-ups find: ``ok``, ``paid`` or
``404``; ``find_after``: the same by the number of POSTs so far. ``status``: the right ends; ``posts_most`` and
``posts_least``: how many POSTs i'mport may and must see. Values are invented.

A line of ``files.jsonl`` is one merchant's file (``text`` or ``base64``), for ``migrate - --dry-run`` with ``args``:
``exit``, the customers that are accepted (``good``), those that are refused, by customer_uid or line, each with an
expression for its reason (``bad``), and expressions that the output must match (``says``) and must not (``says_not``).
"""
