"""Count the cores that this process may use."""

import os


def num_cores() -> int:
    """Return how many cores this process may use: of the machine's, those that the system allows it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
