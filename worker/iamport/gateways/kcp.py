"""NHN KCP.

Source: NHN KCP's code book of cards, as PortOne's documents carry it: portone-io/developers.portone.io,
``opi/ko/support/_assets/error_code_doc/nhnkcp-code.xlsx`` at d4aced5 (2024-08-28); CC67: portone-io/mcp-server,
``help/faq/general-inquiry/kcp-business-number-error.md`` at 0af2bad. CC67 is a review that is not complete.
"""

from worker.iamport.codes import Verdict

CODES = {
    Verdict.THERE_IS_ONE: ("7101", "8094", "8128", "8338", "8586", "8892", "9167"),
    Verdict.INVALID: (
        *("CC13", "CC16", "CC73", "CC97", "7721", "7724", "7725", "8006", "8015", "8016", "8017", "8021"),
        *("8022", "8051", "8052", "8053", "8054", "8055", "8058", "8059", "8060", "8105", "8106", "8107"),
        *("8109", "8110", "8111", "8112", "8501", "8502", "8503", "8504", "8505", "8506", "8507", "8508"),
        *("8509", "8719", "9006", "9007", "9008", "9009", "9010", "9011", "9012", "9014"),
    ),
    Verdict.MISCONFIGURED: (
        *("CC12", "CC15", "CC21", "CC33", "CC34", "CC35", "CC36", "CC37", "CC40", "CC62", "CC67", "2135"),
        *("5593", "8001", "8002", "8005", "8102", "8121", "8127", "8370", "8371", "8565", "8584", "8897"),
        *("8906", "8998", "9020", "9200", "9201"),
    ),
    Verdict.NOT_REACHED: ("8171", "8172"),
    Verdict.GATEWAY_ERROR: (
        "CC75",
        "CC98",
        "CC99",
        "CCC0",
        "8043",
        "8045",
        "8046",
        "8049",
        "8173",
        "8174",
        "8314",
        "8896",
    ),
    Verdict.UNDECIDED: (
        *("CC72", "3008", "3009", "3010", "7512", "7R01", "8041", "8042", "8044", "8047", "8048", "8050"),
        *("8175", "8995", "8996", "8997"),
    ),
    Verdict.DECLINED: (
        *("CC01", "CC03", "CC04", "CC07", "CC08", "CC10", "CC14", "CC39", "CC43", "CC44", "CC45", "CC46"),
        *("CC47", "CC54", "CC55", "CC61", "CC63", "CC64", "CC65", "CC66", "CC69", "CC80", "CC81", "CC85"),
        *("CC86", "CCAF", "CCAG", "2204", "8108", "8181", "8182", "8186", "8187", "8188", "8189", "8347"),
        *("8484",),
    ),
}
