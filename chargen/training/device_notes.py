"""Print what a training computes on. Keras is loaded by now."""

from chargen.settings.schema import Settings
from chargen.training.devices.cudnn import describe_start
from chargen.training.model import describe_computing
from chargen.training.recording.display import Display


def show_device(settings: Settings, display: Display) -> None:
    """Print the device, what slows the layers down on it, and with -v what recurrent layers run on.

    Raises ConfigError for a precision that this device does not have.
    """
    notes, details = describe_computing(settings.training.precision)
    for line in (*describe_start(settings), *notes):
        display.note(line)
    for line in details:
        display.detail(line)
