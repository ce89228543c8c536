"""Make samplers for tests, from the options of a draw."""

from typing import Any

from chargen.settings.writing import SamplingOptions
from chargen.writing.sampling import Sampler


def sampler_of(*, banned: tuple[int, ...] = (), **options: Any) -> Sampler:
    """Return a sampler of some options; a single number stands for one temperature."""
    return Sampler(SamplingOptions(**options), banned)
