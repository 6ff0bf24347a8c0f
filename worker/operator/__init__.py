"""An operator's commands: find jobs, and act on them. They log in as a Redis user of their own, ``operator``."""
