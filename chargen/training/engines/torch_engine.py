"""Take optimizer steps on PyTorch, one at a time; its kernels use all cores."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import torch
from keras import ops

from chargen.corpus.windows import Batch
from chargen.training.devices.backend import accelerated
from chargen.training.engines.adam import adam_kernel
from chargen.training.engines.engine import SEED_STATE, Engine
from chargen.training.layers.torch_recurrent import store_in_one_piece

Tensor = Any  # of PyTorch
Tensors = list[Tensor]


class TorchEngine(Engine):
    """Takes a step at a time, and a shard at a time within it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if accelerated():
            self._store_for_cudnn()
        native = not accelerated() and self.model.compute_dtype == "float32"
        self._adam = adam_kernel(self.optimizer, threads=self.sharing.cores) if native else None
        self._carried_states: Tensors = []
        self._measured: Tensor = None
        self.reset_states()
        self.reset_figures()

    def _store_for_cudnn(self) -> None:
        """Store the weights of LSTMs and SimpleRNNs where cuDNN reads them without a copy in each step."""
        for layer in self.model._flatten_layers():
            if isinstance(layer, keras.layers.LSTM | keras.layers.SimpleRNN) and layer.cell.use_bias:
                store_in_one_piece(*(one.value for one in (layer.cell.kernel, layer.cell.recurrent_kernel, layer.cell.bias)))

    def train(self, batches: Batch) -> None:
        variables = self.model.trainable_variables
        for rows in self._batches(batches):
            values = [variable.value for variable in variables]
            by_shard = [
                torch.autograd.grad(self.optimizer.scale_loss(figures[0]), values)
                for figures in self._passes(values, rows, training=True)
            ]
            self._apply_gradients(by_shard, torch.clamp(rows[-1].sum(), min=1))

    def _apply_gradients(self, by_shard: Sequence[Sequence[Tensor]], total: Tensor) -> None:
        variables = self.model.trainable_variables
        if self._adam:
            with torch.no_grad():
                self._adam.apply(by_shard, total, variables)
            return
        self.optimizer.apply([sum(shares) / total for shares in zip(*by_shard, strict=True)], variables)

    def test(self, batches: Batch) -> None:
        values = [variable.value for variable in self.model.trainable_variables]
        with torch.no_grad():
            for rows in self._batches(batches):
                list(self._passes(values, rows, training=False))  # which adds up the sums

    @staticmethod
    def _batches(batches: Batch) -> Iterator[Tensors]:
        """Yield ids, targets and sample weights of each batch."""
        yield from zip(*[ops.convert_to_tensor(array) for array in batches], strict=True)

    def _passes(self, values: Tensors, rows: Tensors, *, training: bool) -> Iterator[Tensor]:
        """Run the network on the rows of each shard and yield their figures; add up the sums and carry the states."""
        others, carried = self.model.non_trainable_variables, []
        parts = zip(*[torch.chunk(one, self.sharing.shards) for one in (*rows, *self._carried_states)], strict=True)
        for shard, (ids, targets, sample_weights, *states) in enumerate(parts):
            seeds = [one.value + shard if one.name == SEED_STATE else one.value for one in others]
            figures, after = self._forward(values, [*seeds, *states], ids, targets, sample_weights, training=training)
            self._measured = self._measured + torch.cat([figures.detach(), sample_weights.sum()[None]])
            carried.append([one.detach() for one in after])
            yield figures
        for variable, value in zip(others, carried[0], strict=False):  # the states follow them
            variable.assign(value)
        self._carried_states = [torch.cat(one) for one in zip(*[after[len(others) :] for after in carried], strict=True)]

    def _states(self) -> Tensors:
        return self._carried_states

    def _set_states(self, states: Sequence[Any]) -> None:
        self._carried_states = [ops.convert_to_tensor(state) for state in states]

    def _sums(self) -> Any:
        return self._measured.cpu().numpy()

    def _set_sums(self, sums: Any) -> None:
        self._measured = ops.convert_to_tensor(sums)
