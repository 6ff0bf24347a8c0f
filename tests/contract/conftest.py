from hypothesis import settings

# The same examples in every run, none kept on disk; a slow machine is no failure.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None, max_examples=40)
settings.load_profile("repeatable")
