"""What every process of ours needs, whichever half it is of."""
