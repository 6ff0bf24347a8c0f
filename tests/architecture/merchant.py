"""A merchant's process that has a Celery of its own, and uses a BillingQueue beside it.

    python merchant.py before|after

Its ``celeryconfig.py`` lies on ``sys.path``; ``before`` makes the BillingQueue before the merchant's app, ``after``
after it. Prints what became of both as JSON.
"""

import json
import sys

from celery import Celery, current_app, shared_task

from producer import BillingQueue, Card

VISA = {"card_number": "4242424242424242", "expiry": "2031-07", "birth": "900101", "pwd_2digit": "12"}


@shared_task(name="shop.reminder")  # type: ignore[untyped-decorator]  # Celery's
def reminder(order: str) -> str:
    """A task of the merchant's."""
    return order


def shop() -> Celery:
    """The merchant's app."""
    app = Celery("shop")
    app.config_from_object("celeryconfig")
    return app


def main() -> None:
    """Make both, use both."""
    queue = BillingQueue.from_env() if sys.argv[1] == "before" else None
    app = shop()
    queue = queue or BillingQueue.from_env()
    job = queue.issue(customer_uid="gildong", card=Card(**VISA))
    reminder.delay("order-1")
    queue.issue(customer_uid="gildong", card=Card(**VISA))
    reminder.delay("order-2")
    print(
        json.dumps(
            {
                "current_app": current_app.main,
                "shared_task_of": reminder.app.main,
                "default_queue": app.conf.task_default_queue,
                "result_backend": app.conf.result_backend,
                "tasks_of_ours": [name for name in app.tasks if name.startswith("billing")],
                "job_id": job.job_id,
            }
        )
    )


if __name__ == "__main__":
    main()
