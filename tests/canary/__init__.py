"""Canary: distinct cards go through the whole stack, and then every place is searched for them, in every form."""
