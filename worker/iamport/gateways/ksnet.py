"""KSNET.

Source: KSNET's page 'API Specification' (KSPAY), section 0.3. Only its envelope's codes are public; those of a card
company's refusal are not.
"""

from worker.iamport.codes import Verdict

CODES = {
    Verdict.INVALID: ("A0400", "A0403"),
    Verdict.MISCONFIGURED: ("A0401",),
    Verdict.UNDECIDED: ("A0500", "A0999"),
}
