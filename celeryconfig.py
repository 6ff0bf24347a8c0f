"""The worker's Celery configuration: what both halves agree on, and what only workers need, each with its reason."""

from producer.runtime.celery_transport import SOCKET, transport
from worker.settings import WorkerSettings

_settings = WorkerSettings.from_env()

globals().update(transport(_settings.broker_url))

result_backend = _settings.ledger_url  # for AsyncResult; the ledger itself writes the results
result_backend_thread_safe = True  # else each thread opens a connection per task
result_backend_always_retry = True
result_backend_max_retries = 10
result_expires = 7 * 86400
redis_socket_timeout = SOCKET["socket_timeout"]  # the default is to wait for ever
redis_socket_connect_timeout = SOCKET["socket_connect_timeout"]
redis_socket_keepalive = True
redis_backend_health_check_interval = SOCKET["health_check_interval"]

worker_consumer = "worker.message_filter:Consumer"  # without mingle and gossip
worker_pool = "threads"  # jobs wait for i'mport; one process a core, many threads each
worker_concurrency = 32
worker_prefetch_multiplier = 1  # a message in memory waits behind a slow call while another worker is idle
task_acks_late = True  # a place is free once its job is settled or given back
task_reject_on_worker_lost = True
broker_channel_error_retry = True  # a READONLY replica after a failover must not end the worker
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # a worker waits for its broker as long as it takes
worker_cancel_long_running_tasks_on_connection_loss = False  # the ledger, not the connection, says whose job it is
worker_enable_remote_control = False  # whoever may publish to the control exchange could stop workers
worker_hijack_root_logger = False
worker_redirect_stdouts = False
worker_send_task_events = False  # switched on for Flower by `python -m worker run --events`, or -E
task_send_sent_event = False
