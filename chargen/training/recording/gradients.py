"""Measure, after each epoch, how far back gradients reach in each recurrent layer, and how many units are stuck."""

from collections.abc import Mapping, Sequence
from typing import Any, final

from chargen.corpus.windows import Batch
from chargen.network.network import Network
from chargen.runs.directory import RunDirectory
from chargen.runs.gradients import write_gradients
from chargen.scratch.flow import LayerFlow, gradient_flow
from chargen.scratch.network import ScratchNetwork, supported
from chargen.training.planning.text_plan import TextPlan
from chargen.training.recording.display import Display

ROWS, STEPS = 8, 128  # of one batch: measuring it costs less than a training step
EXPLODING, SATURATING = 1e3, 0.5


@final
class GradientLog:
    """Measures gradients after each epoch and writes gradients.csv."""

    def __init__(self, plan: TextPlan, run: RunDirectory) -> None:
        self._plan, self._path = plan, run.gradients
        self._rows: list[dict[str, Any]] = []
        self._warned = False

    def record(self, network: Network, epoch: int, display: Display) -> dict[str, float]:
        """Write and show the gradients after an epoch; return the norm of each layer.

        Nothing is measured of networks that NumPy cannot train.
        """
        flows = measure_flow(network, self._plan)
        if not flows:
            return {}
        self._rows += [{"epoch": epoch} | flow._asdict() for flow in flows]
        write_gradients(self._path, self._rows)
        for line in describe_flow(flows):
            display.detail(line)
        trouble = worst_flow(flows)
        if trouble and not self._warned:
            display.note(trouble)
            self._warned = True
        return {flow.layer: flow.gradient_norm for flow in flows}

    def facts(self) -> dict[str, Any]:
        """Return what a checkpoint stores."""
        return {"flows": self._rows}

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Restore what `facts` returned."""
        self._rows = list(facts["flows"])


def measure_flow(network: Network, plan: TextPlan) -> list[LayerFlow]:
    """Return the flow of gradients on the first windows of the first epoch; nothing if NumPy cannot train the network."""
    config = network.config.undropped()
    if not supported(config):
        return []
    inputs, targets, weights = plan.training.batch(0, 0)
    if network.config.targets == "last":
        batch = Batch(inputs[:ROWS, -STEPS:], targets[:ROWS], weights[:ROWS])
    else:
        batch = Batch(inputs[:ROWS, :STEPS], targets[:ROWS, :STEPS], weights[:ROWS, :STEPS])
    return gradient_flow(ScratchNetwork(config, network.vocab_size, network.weights), batch)


def worst_flow(flows: Sequence[LayerFlow]) -> str | None:
    """Return a warning about the first layer in trouble, with what to change, or None."""
    for flow in flows:
        if not flow.reach < EXPLODING:
            return (
                f"{flow.layer}: gradients grow {flow.reach:.0e} times from the last step to the first; "
                "lower --clip-norm or --learning-rate"
            )
        if flow.saturation > SATURATING:
            return f"{flow.layer}: {flow.saturation:.0%} of the gates or units are saturated; lower --learning-rate"
    return None


def describe_flow(flows: Sequence[LayerFlow]) -> list[str]:
    """Return a line for each layer."""
    return [
        f"{flow.layer}: gradient norm {flow.gradient_norm:.3g}, {flow.reach:.1e} of the gradient at the last step reaches "
        f"the first, {flow.saturation:.1%} saturated"
        for flow in flows
    ]
