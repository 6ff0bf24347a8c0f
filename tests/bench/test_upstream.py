from tests.bench.upstream import answer_to
from worker.iamport.answer import Answer
from worker.iamport.codes import Verdict
from worker.iamport.verdict import judge_issue


def test_workers_take_the_benchmarks_upstream_for_a_success_with_a_clock() -> None:
    head, _, body = answer_to(b"POST /subscribe/customers/bench-7 HTTP/1.1\r\nHost: x").partition(b"\r\n\r\n")
    date = next(line.partition(b": ")[2].decode() for line in head.split(b"\r\n") if line.startswith(b"Date"))

    answer = Answer.read(200, body, None, date)

    assert judge_issue(answer, "bench-7").verdict is Verdict.APPLIED
    assert answer.date is not None
