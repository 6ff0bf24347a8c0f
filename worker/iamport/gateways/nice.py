"""NICE Payments.

Source: NICE's manual, ``common/code.md`` at 04ae3e1, and ``api/payment-subscribe.md``.
"""

from worker.iamport.codes import Verdict

CODES = {
    Verdict.THERE_IS_ONE: ("2201", "2156", "U112", "P015", "A225", "A127", "F201"),
    Verdict.INVALID: ("3022", "3023", "3024", "3041", "9000", "9001", "A117", "A147", "U100", "P007"),
    Verdict.MISCONFIGURED: (
        *("2151", "2152", "3012", "3013", "3014", "3051", "8901"),
        *("A109", "A114", "A128", "A224", "A301", "A302", "A303", "A305", "U313", "U315", "U316"),
        *("P005", "P014", "P016", "V023", "V204", "F115", "F116", "F117"),
    ),
    Verdict.NOT_REACHED: ("2159", "A246", "X002"),
    Verdict.GATEWAY_ERROR: ("2000", "F106", "F107", "F108", "F109", "F110"),
    Verdict.UNDECIDED: ("A226", "A299", "A401", "U303", "U501", "U504", "X003"),
    Verdict.DECLINED: ("F112", "F113", "F114", "F118", "2116"),
}
