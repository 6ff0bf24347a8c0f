"""The commands of ``python -m producer``, a file for each group."""
