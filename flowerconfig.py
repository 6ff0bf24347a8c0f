"""Flower: its own options, and by ``--config=flowerconfig`` the queues of its broker page for Celery.

::

    celery --config=flowerconfig --broker=URL flower
"""

from kombu import Queue

# Celery
task_default_queue = "interactive"
task_queues = [Queue(name) for name in ("recovery", "interactive", "migration")]
broker_transport_options = {"priority_steps": [0]}  # one list a queue: Flower's user may ask for no other

# Flower
tasks_columns = "state,args,result,exception,received,runtime,worker,uuid"
read_only = True
