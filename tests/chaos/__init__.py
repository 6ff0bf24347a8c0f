"""Chaos: real worker processes, real Redis servers and the fake i'mport, with the power pulled at random moments."""
