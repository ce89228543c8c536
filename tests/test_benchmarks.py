"""How benchmarks share the cores."""

import os
import subprocess
import sys

from benchmarks.commands import side_by_side


def test_work_side_by_side_has_a_core_each_and_keeps_its_order() -> None:
    own = os.sched_getaffinity(0)
    script = "import os, sys; print(sys.argv[1], len(os.sched_getaffinity(0)))"

    def work(number: int) -> str:
        command = [sys.executable, "-c", script, str(number)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert side_by_side(work, range(5)) == [f"{number} 1" for number in range(5)]
    assert os.sched_getaffinity(0) == own
