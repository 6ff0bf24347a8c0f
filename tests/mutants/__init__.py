"""Faults put in on purpose: old ones and turned guards, each with what must find it."""
