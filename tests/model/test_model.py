from tests.model.run import run_model, run_stories


def test_no_order_of_events_breaks_a_promise() -> None:
    figures = run_model(100, 30)

    assert {"issued", "paid", "declined", "superseded", "in_doubt", "expired", "lost"} <= figures.keys()


def test_no_fate_of_two_posts_breaks_a_promise() -> None:
    assert run_stories(every=29)
