"""Log, after each epoch, how far back gradients reach in each recurrent layer, and how many units are stuck."""

from collections.abc import Sequence

from chargen.corpus.windows import Batch
from chargen.network.network import Network
from chargen.scratch.flow import LayerFlow, gradient_flow
from chargen.scratch.network import ScratchNetwork, supported
from chargen.training.planning.plan import TrainingPlan

ROWS, STEPS = 8, 128  # of the one batch that is looked at: it costs less than a training step
EXPLODING, SATURATING = 1e3, 0.5


def measure_flow(network: Network, plan: TrainingPlan) -> list[LayerFlow]:
    """Return the flow through the network on the first windows of the first epoch; none if NumPy cannot train the network."""
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
    """Say which layer is in trouble, and what helps, if one is."""
    for flow in flows:
        if not flow.reach < EXPLODING:
            return (
                f"{flow.layer}: gradients grow {flow.reach:.0e} times on their way back; lower --clip-norm or --learning-rate"
            )
        if flow.saturation > SATURATING:
            return f"{flow.layer}: {flow.saturation:.0%} of the gates or units are saturated; lower --learning-rate"
    return None


def describe_flow(flows: Sequence[LayerFlow]) -> list[str]:
    """Return a line for each layer."""
    return [
        f"{flow.layer}: gradient norm {flow.gradient_norm:.3g}, {flow.reach:.1e} of what the last step gets reaches the first, "
        f"{flow.saturation:.1%} saturated"
        for flow in flows
    ]
