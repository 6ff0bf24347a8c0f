"""The worker's keys: made, kept, opened with, retired."""
