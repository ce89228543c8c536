"""Train several networks of one text one after the other, and combine them into one model file.

Each network is an ordinary run, in the folder `members` of the run of all. All hold out the same text; each has its own
seed. The model of the run is the average of the networks that are there.
"""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, final

from chargen.corpus.windows import TokenStream
from chargen.errors import ConfigError
from chargen.network.model_file import TextModel, load_model, read_metadata, save_model
from chargen.runs.checkpoints import newest_facts
from chargen.runs.config import read_settings, write_config
from chargen.runs.directory import RunDirectory
from chargen.runs.metrics import write_metrics
from chargen.runs.samples import append_samples, sample_layout
from chargen.settings.schema import LARGEST_SEED, Settings
from chargen.training.planning.pace import Deadline
from chargen.training.planning.validation import part_of
from chargen.training.recording.calibration import calibrate, describe
from chargen.training.recording.display import Display
from chargen.training.recording.ngram_memory import add_memory
from chargen.training.recording.results import MembersOutcome, TextEpoch
from chargen.training.recording.samples import draw_samples
from chargen.training.resuming import MAY_CHANGE, check_settings, find_checkpoint, is_finished
from chargen.training.session import introduce, run_session
from chargen.training.signals import late_signals
from chargen.training.speed import seconds_after_training
from chargen.training.text_task import TextTask
from chargen.writing.combining import combine
from chargen.writing.reading import expectations

UNFINISHED = "unfinished"  # in the provenance of a model until all of its networks are trained
FEW_TOKENS = 2000  # by which the speed of measuring is found
SECONDS_TO_MEASURE, SHARE_TO_MEASURE = 2.0, 0.05  # of the training, at most


def check_resumable(run: RunDirectory, settings: Settings) -> None:
    """Raise ConfigError if settings differ from those of a run of several networks."""
    stored = read_settings(run)
    check_settings(run, settings.to_mapping(), stored.to_mapping())
    for name in MAY_CHANGE:
        if getattr(settings.training, name) != getattr(stored.training, name):
            raise ConfigError(
                f"training.{name} cannot change for several networks", hint=f"resume one of those in {run.members} with it"
            )


def is_complete(run: RunDirectory) -> bool:
    """Tell whether all networks of a run are trained, and its model has all that comes after them."""
    return run.model.is_file() and UNFINISHED not in read_metadata(run.model)["provenance"]


@final
class MembersTraining:
    """Trains the networks of a run that are not trained yet.

    ends_by: when the command must end, by `time.perf_counter`; None if it may take as long as it needs.
    """

    def __init__(
        self, task: TextTask, run: RunDirectory, *, ends_by: float | None, verbosity: int, callbacks: Sequence[Any] = ()
    ) -> None:
        self._task, self._plan, self._run = task, task.plan, run
        self._count, self._ends_by = task.plan.settings.training.members, ends_by
        self._verbosity, self._callbacks = verbosity, callbacks
        self._display = Display(verbosity=verbosity)

    def train(self) -> MembersOutcome:
        """Train until all networks are trained or a signal comes. Raises what `run_session` raises."""
        introduce(self._plan, self._display)
        for number in range(1, self._count + 1):
            with late_signals() as late:
                interrupted_by = self._train_member(number)
            self._record(finished=False)
            if interrupted_by is not None or late:
                return self._outcome(interrupted_by=late[0] if interrupted_by is None else interrupted_by)
        bits, share = self._record(finished=True)
        outcome = self._outcome(whole=bits, share=share)
        self._display.note(f"{outcome.describe()}; {self._task.next_command(self._run)}")
        return outcome

    def _train_member(self, number: int) -> int | None:
        """Train a network, or go on with it, unless it is trained; return the signal that ended training, if one did."""
        member = self._run.member(number)
        member.path.mkdir(parents=True, exist_ok=True)
        if not member.config.is_file():
            write_config(member, self._settings_of(number))
        plan = self._plan.with_training(read_settings(member).training)
        checkpoint, notes = find_checkpoint(member, plan)
        for note in (*notes, f"network {number} of {self._count}"):
            self._display.note(note)
        if is_finished(checkpoint, plan):
            return None
        if self._ends_by is not None and checkpoint is None and plan.deadline:
            plan = replace(plan, deadline=self._deadline(plan.deadline, number))
        task = replace(self._task, plan=plan)
        outcome = run_session(
            task, member, checkpoint=checkpoint, verbosity=self._verbosity, callbacks=self._callbacks, introduced=True
        )
        self._display.note(f"network {number} of {self._count}: {outcome.describe()}")
        return outcome.interrupted_by

    def _settings_of(self, number: int) -> Settings:
        """Return the settings of a new network: as planned, with a seed of its own, without what is made for all together."""
        training = self._plan.settings.training
        seed = (training.seed_of_network + number - 1) % (LARGEST_SEED + 1)
        return replace(
            self._plan.settings, training=replace(training, members=1, network_seed=seed, memory=False, calibrate=False)
        )

    def _deadline(self, first: Deadline, number: int) -> Deadline:
        """Return the deadline of a network: its share of the time that is left before all are measured."""
        assert self._ends_by is not None
        measuring = self._longest_measuring(number, self._ends_by - time.perf_counter())
        now = time.perf_counter()
        left = self._ends_by - now - seconds_after_training(self._plan) - measuring
        return first._replace(ends_by=now + left / (self._count - number + 1))

    def _longest_measuring(self, number: int, left: float) -> float:
        """Return how many seconds measuring all networks may take at the end, when so many are left before one of them."""
        held_out, most = self._plan.parts.validation, SHARE_TO_MEASURE * left
        if held_out is None:
            return 0.0
        if number == 1:
            return most
        networks = self._count / (number - 1)  # for each of those that can be measured now
        return min(most, networks * self._seconds_per_token(self._combined(), held_out) * held_out.num_targets)

    def _record(self, *, finished: bool) -> tuple[float | None, float]:
        """Write the model of all networks so far and the figures of their epochs.

        finished: whether to measure it, and to add the n-gram memory and sample texts. Returns the bits a character and the
        share of the held-out text that was measured.
        """
        results = self._results()
        if results:
            write_metrics(self._run.metrics, [one.row() for one in results])
        model = self._combined()
        model, bits, share = self._measured(model, results) if finished else (model, None, 1.0)
        known: dict[str, Any] = {} if finished else {UNFINISHED: True}
        if bits is not None:
            known |= {"bits_per_character": bits, "validation_share": share}
        if finished and self._plan.settings.training.memory:
            model, line = add_memory(self._plan, model, bits)
            self._display.note(line)
        save_model(self._run.model, dataclasses.replace(model, provenance={**model.provenance, **known}))
        if finished and self._plan.settings.samples.sample_every:
            samples = draw_samples(model, self._plan, results[-1].epoch)
            append_samples(self._run.samples, samples)
            self._display.sample(sample_layout(samples))
        return bits, share

    def _combined(self) -> TextModel:
        """Return the model of the networks that are there."""
        runs = [one for one in self._members() if one.model.is_file()]
        models = [(f"{one.path.parent.name}/{one.name}", load_model(one.model)) for one in runs]
        return combine(models) if len(models) > 1 else models[0][1]

    def _members(self) -> list[RunDirectory]:
        return [self._run.member(number) for number in range(1, self._count + 1)]

    def _results(self) -> list[TextEpoch]:
        """Return the results of all epochs, those of each network after those of the one before."""
        found: list[TextEpoch] = []
        for member in self._members():
            epochs, steps = (found[-1].epoch, found[-1].step) if found else (0, 0)
            for fields in (newest_facts(member.checkpoints) or {"results": []})["results"]:
                one = TextEpoch(**fields, conversion=self._plan.conversion)
                found.append(replace(one, epoch=epochs + one.epoch, step=steps + one.step))
        return found

    def _measured(self, model: TextModel, results: Sequence[TextEpoch]) -> tuple[TextModel, float | None, float]:
        """Return the calibrated model, its bits a character of held-out text, and the share of the text that was read."""
        bits = self._plan.conversion.bits_per_character
        if (held_out := self._plan.to_calibrate) and (found := calibrate(model, held_out)):
            self._display.note(describe(found, bits(found.nats), bits(found.nats_before)))
            return found.applied(model), bits(found.nats), 1.0
        held_out = self._plan.parts.validation
        if held_out is None:
            return model, None, 1.0
        per_token = self._seconds_per_token(model, held_out)
        part = part_of(held_out, max(FEW_TOKENS, int(self._seconds_to_measure(results) / per_token)))
        nats = sum(float(one.nats.sum()) for one in expectations(model, part))
        return model, bits(nats / part.num_targets), part.num_targets / held_out.num_targets

    @staticmethod
    def _seconds_per_token(model: TextModel, held_out: TokenStream) -> float:
        began, few = time.perf_counter(), part_of(held_out, FEW_TOKENS)
        sum(float(one.nats.sum()) for one in expectations(model, few))
        return (time.perf_counter() - began) / few.num_targets

    def _seconds_to_measure(self, results: Sequence[TextEpoch]) -> float:
        trained = sum(one.seconds for one in results)
        return max(SECONDS_TO_MEASURE, SHARE_TO_MEASURE * trained)

    def _outcome(self, **known: Any) -> MembersOutcome:
        finished = sum(newest_facts(one.checkpoints) is not None for one in self._members())
        return MembersOutcome(results=tuple(self._results()), members=finished, **known)
