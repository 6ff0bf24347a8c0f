"""Where things lie in the three stores: every key, its fields, and when it expires. The one list of Redis keys.

Ledger (persists; no card data, sealed or not):

=================================  ======================================================  =========================
key                                holds                                                   expires
=================================  ======================================================  =========================
``billing:request:{job_id}``       what a producer asked for, JSON; see ``request.lua``    until there is a record
``billing:job:{job_id}``           hash, the job record; fields below; only workers may      7 days after its outcome
                                   write it
``billing:outcome:{job_id}``       the outcome, JSON; only workers may write it            7 days
``billing:trace:{job_id}``         list of the newest 30 steps of its life, each a text:       7 days after its outcome
                                   instant, process, step and what belongs to it
``billing:open``                   sorted set of open job ids by ``next_at``               never
``billing:accepted:{queue}``       sorted set of the open job ids that were accepted for   never
                                   it, by ``accepted_at``
``billing:fresh:{queue}``          sorted set of ids whose message was not claimed yet, by  never
                                   when it was published; a job's first: ``accepted_at``
``billing:passed:{queue}``         sorted set of the newest of those that were claimed,    never
                                   as many as all processes have places
``billing:overtaken``              hash: by queue, the instant up to which messages that   never
                                   were not claimed are lost
``billing:comebacks``              sorted set of ids of migrations that are due            never
``billing:front``                  sorted set of those put to the front of ``migration``   never
``billing:alive``                  hash: by worker process, its last sign of life and its  never
                                   places
``billing:listened``               hash: ``from at``, how long the ledger has heard signs  never
                                   without a break
``billing:customer:{uid}``         hash: ``applied``, the newest sequence whose card came  ``APPLIED_KEPT_DAYS`` after
                                   into force, ``applied_at``, when that was (of a row of  the last use
                                   an export, when that was made), and
                                   ``key_updated``, its time at i'mport; ``doubt_left
                                   doubt_from doubt_next``, while what a job in doubt
                                   sent may land yet; ``busy``, its jobs that are in
                                   flight or in doubt
``billing:customer-sequence:{uid}``  how many were given; what was counted before there was  the same
                                   this key lies in the hash, as ``sequence``
``billing:customer-open:{uid}``    sorted set of its open job ids by sequence, rows of an  with the last of them
                                   export below them by its date; see ``place.lua``
``billing:remembered``             hash: ``since``, from when on each ``applied_at`` is    never
                                   there, and ``kept``, for how long (seconds)
``billing:order:{merchant_uid}``   hash: ``ended``, paid or in_doubt, once                 7 days after the last use
                                   a payment of the order ended so; ``until``, i'mport's
                                   instant up to which its records are not of later jobs
``billing:order-sequence:{m…uid}``  the same as of a customer                                 7 days after the last use
``billing:order-open:{m…uid}``     sorted set of its open job ids by sequence              with the last of them
``billing:customer-ended:{uid}``   list of the ids of its newest 20 finished jobs            7 days after the last
``billing:order-ended:{m…uid}``    the same of an order                                      7 days after the last
``billing:ended:{status}``         list of the ids of the newest 1,000 jobs that ended so,   never
                                   for an operator who looks for them
``billing:envelope:{sha256}``      the job id that an envelope was accepted for            with the envelope's ``exp``
``billing:kids``                   hash: kid to ``accepted_at`` of the newest job sealed    never
                                   to it
``billing:outcomes``               stream of outcomes: field ``outcome``, JSON             entries after 7 days
``billing:in_doubt``               sorted set of jobs that ended in doubt, by when         until there is nothing to ask
                                   i'mport is asked about them again
``billing:reconciled``             stream of what it said: field ``reconciled``, JSON       entries after 7 days
``celery-task-meta-{job_id}``      Celery's result: the outcome as a JSON object           7 days after its outcome
``billing:webhook-delivery:{name}:{id}``  hash: an outcome on its way to the destination of       7 days
                                   that name (``WEBHOOK_NAME``)
``billing:webhook-line:{name}:{uid}``  list of them, one customer_uid's in order              7 days after the last
``billing:webhook-due:{name}``     sorted set of lines by when the first of each is due      never
``billing:webhook-late:{name}``    sorted set of those that are tried beside their line, by   never
                                   when they are due
``billing:webhook-failed:{name}``  sorted set of those that were given up, by when           entries after 7 days
``billing:webhook-intake:{name}``  the lock of the one that puts outcomes in line            15 s, renewed
``billing:limits:{…}``             cards handed in, by the digest of an address, customer     with their window
                                   or order
``billing:migration:{name}``       hash: ``run state progress updated_at as_of``; who runs it,  7 days after the last
                                   ``holder held_until``; ``asked throttle`` of its run          checkpoint
``billing:sweeper``                the process that sweeps                                 3 s, renewed
``billing:swept``                  when the last sweep was: a clock that steps back shows   never
``billing:rewritten``              the start of the ledger's server whose append-only     never
                                   file was written anew
``billing:pause``                  hash: ``from until by``; while it lasts nothing is POSTed   never
``billing:paused``                 sorted set of ids of jobs that wait for its end, by         until they were woken
                                   ``accepted_at``
``billing:asked``                  hash: by job id what an operator asked for, ``retry`` or    until a sweeper did it
                                   ``expire``
``billing:audit``                  stream of what operators did: ``who what job count``        the newest 100,000
``billing:full``                   the store that is nearly full, while jobs are refused     when there is room again
=================================  ======================================================  =========================

Vault (memory only):

=================================  ======================================================  =========================
``billing:sealed:{job_id}``        the signed request, the sealed card in it               60 s after the deadline
``billing:sent:{job_id}``          ``attempts first_sent_at doubtful`` of the last POST   an hour after the deadline
                                   that was marked as sent
``billing:permit``                 rate, pause and breaker; see ``permit.lua``            never
``billing:token:{account}``        i'mport's token, encrypted                              with the token
``billing:token:{account}:lock``   who fetches it now                                      20 s
``billing:token:{account}:refused``  present while i'mport refuses the merchant's keys     30 s
=================================  ======================================================  =========================

``{account}`` is a digest of ``IMP_KEY`` and ``IMP_SECRET`` under the secret, so new keys start afresh.

Fields of the record (instants in Unix seconds of the ledger's clock):

``operation`` ``customer_uid`` ``merchant_uid`` ``queue`` ``kid`` ``digest``
    what was asked; empty text where there is none; ``digest`` is :meth:`Request.digest`
``envelope``
    the key of the envelope that was sealed elsewhere, if any
``sequence`` ``accepted_at`` ``expires_at``
    given at acceptance
``as_of``
    of a row of an export, when that was made
``attempts`` ``claims`` ``transients``
    POSTs that were about to leave; claims since the last one that was released; answers that asked for another try soon
``lease`` ``leased_from`` ``leased_until``
    the delivery that has it in hand (``{process}:{number}``), since when and until when
``sender``
    the delivery that sent the last POST and when its call is surely over, until it has told what came of it
``sent_at`` ``first_sent_at`` ``answer`` ``look_ups`` ``doubtful``
    set while only a look-up can tell what became of a POST; when the first such POST left, Unix seconds of i'mport's
    clock; what was answered to the last one; look-ups since then that found nothing; set for good once a POST counted
    as not applied without proof
``traceparent``
    where something is traced: the span in which it was accepted, as W3C Trace Context writes it
``waits_from`` ``next_at`` ``reason``
    since when it waits, when it is taken up again, and why it waits
``given_up``
    set once an operator asked for its end
``asked``
    how often i'mport was asked about it after it ended in doubt
"""

REQUEST = "billing:request:"
JOB = "billing:job:"
OUTCOME = "billing:outcome:"
TRACE = "billing:trace:"
OPEN = "billing:open"
ACCEPTED = "billing:accepted:"
FRESH = "billing:fresh:"
PASSED = "billing:passed:"
OVERTAKEN = "billing:overtaken"
COMEBACKS = "billing:comebacks"
FRONT = "billing:front"
ALIVE = "billing:alive"
LISTENED = "billing:listened"
REMEMBERED = "billing:remembered"
CUSTOMER = "billing:customer:"
CUSTOMER_SEQUENCE = "billing:customer-sequence:"
CUSTOMER_OPEN = "billing:customer-open:"
ORDER = "billing:order:"
ORDER_SEQUENCE = "billing:order-sequence:"
ORDER_OPEN = "billing:order-open:"
CUSTOMER_ENDED = "billing:customer-ended:"
ORDER_ENDED = "billing:order-ended:"
ENDED = "billing:ended:"
ENVELOPE = "billing:envelope:"
WEBHOOK_DELIVERY = "billing:webhook-delivery:"
WEBHOOK_LINE = "billing:webhook-line:"
WEBHOOK_DUE = "billing:webhook-due:"
WEBHOOK_LATE = "billing:webhook-late:"
WEBHOOK_FAILED = "billing:webhook-failed:"
WEBHOOK_INTAKE = "billing:webhook-intake:"
LIMITS = "billing:limits:"
MIGRATION_RECORD = "billing:migration:"
KIDS = "billing:kids"
OUTCOMES = "billing:outcomes"
IN_DOUBT = "billing:in_doubt"
RECONCILED = "billing:reconciled"
RESULT = "celery-task-meta-"
SWEEPER = "billing:sweeper"
SWEPT = "billing:swept"
PAUSE = "billing:pause"
PAUSED = "billing:paused"
ASKED = "billing:asked"
AUDIT = "billing:audit"
FULL = "billing:full"
REWRITTEN = "billing:rewritten"

SEALED = "billing:sealed:"
SENT = "billing:sent:"
PERMIT = "billing:permit"
TOKEN = "billing:token:"  # noqa: S105 — a key's name

KEPT_S = 7 * 86400
APPLIED_KEPT_S = 30 * 86400
SEALED_GRACE_S = 60
ENDED_OF_ONE, ENDED_OF_STATUS = 20, 1000  # ids of finished jobs that are kept to be found
AUDIT_LENGTH = 100_000
