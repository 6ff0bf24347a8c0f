"""The benchmark: what a job costs, beside the floor that Celery and requests set in the same run.

Worker CPU is compared with two floors, measured with the same servers in the same rounds: a Celery no-op with result,
and a bare POST. Their sum is what nobody can go below who uses both. Ratios travel between machines; times do not.
"""
