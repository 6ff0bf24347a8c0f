from tests.migration.mutated import mutated


def test_damaged_files_end_in_one_line_show_no_card_and_send_nothing_that_they_do_not_say() -> None:
    assert mutated(300, seed=2)["broken"] == []
