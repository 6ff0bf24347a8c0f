"""Migration at full size: exports piped into the real command, real workers and stores, and the fake i'mport's word."""
