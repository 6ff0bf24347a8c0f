"""The parts that every process of both halves needs."""
