"""Run recurrent layers as loops that XLA compiles, with hand-written gradients.

Only the recurrent product stays in the loop over the steps; the weight gradients are one matrix product after the backward
loop. These loops train where the kernels of `chargen.native` cannot.

Shapes: T steps, B rows, H units, G the columns of a kernel (gates * H), V tokens; time comes first.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

Tensor = Any  # of the backend
LoopState = tuple[Tensor, ...]

custom_gradient: Callable[[Callable[..., Any]], Callable[..., Any]] = ops.custom_gradient

ONE_HOT_MAX_TOKENS = 512  # up to here a table's gradient is a matrix product, above it a scatter


def _loop(num_steps: int, body: Callable[..., LoopState], *state: Tensor) -> LoopState:
    """Run state = body(t, *state) for t = 0 to num_steps - 1."""
    _, *state = ops.while_loop(
        lambda t, *_: t < num_steps,
        lambda t, *now: (t + 1, *body(t, *now)),
        (ops.convert_to_tensor(0, "int32"), *state),
        maximum_iterations=num_steps,
    )
    return tuple(state)


def _row(rows: Tensor, t: Tensor) -> Tensor:
    """Return rows[t]: (T, B, W) -> (B, W)."""
    _, batch, width = ops.shape(rows)
    return ops.reshape(ops.slice(rows, (t, 0, 0), (1, batch, width)), (batch, width))


def _put(rows: Tensor, t: Tensor, values: Tensor, *, column: int = 0) -> Tensor:
    """Return rows, (T, B, W), with `values`, (B, <= W), from a column of row t on. XLA writes them in place."""
    return ops.slice_update(rows, (t, 0, column), values[None])


def _after(first: Tensor, num_steps: int) -> Tensor:
    """Return (T + 1, B, H) rows: a state, (B, H), and zeros for the states of all steps after it."""
    return ops.concatenate([first[None], ops.zeros((num_steps, *ops.shape(first)), first.dtype)])


def _recurrent_gradient(states: Tensor, gate_gradients: Tensor) -> Tensor:
    """Return the gradient of the recurrent kernel: states before each step, (T, B, H), and (T, B, G) -> (H, G)."""
    hidden_size, width = states.shape[-1], gate_gradients.shape[-1]
    return ops.matmul(ops.transpose(ops.reshape(states, (-1, hidden_size))), ops.reshape(gate_gradients, (-1, width)))


def upstream_gradients(args: tuple[Any, ...], upstream: Any) -> tuple[Any, ...]:
    """Return the gradients of the outputs, which TensorFlow gives one by one and JAX as one tuple."""
    given = args if upstream is None else upstream
    return tuple(given[0] if len(given) == 1 and isinstance(given[0], tuple | list) else given)


class _LSTMGates(NamedTuple):
    """The equations of an LSTM's four gates, in the order input, forget, candidate, output."""

    scale: Tensor  # (4H,); sigmoid(x) = 0.5 tanh(0.5 x) + 0.5, so that one pass serves all four
    shift: Tensor
    hidden_size: int

    @classmethod
    def of(cls, hidden_size: int, dtype: Any) -> "_LSTMGates":
        is_candidate = ops.cast(ops.arange(4 * hidden_size) // hidden_size == 2, dtype)
        return cls(0.5 + 0.5 * is_candidate, 0.5 - 0.5 * is_candidate, hidden_size)

    def step(self, sums: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gates, (B, 4H), and the hidden and the cell state after a step, (B, H)."""
        H, now = self.hidden_size, self.scale * ops.tanh(self.scale * sums) + self.shift
        cell = now[:, H : 2 * H] * cell + now[:, :H] * now[:, 2 * H : 3 * H]
        return now, now[:, 3 * H :] * ops.tanh(cell), cell

    def back(
        self, t: Tensor, now: Tensor, cells: Tensor, d_hidden: Tensor, d_cell: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of a step's sums, (B, 4H), and of the cell state before it, and `rows` with the first.

        now: the gates. cells: the states before each step and after the last, (T + 1, B, H). d_hidden, d_cell: the gradients of
        the states after the step.
        """
        H = self.hidden_size
        i, f, g, o = (now[:, gate * H : (gate + 1) * H] for gate in range(4))
        tanh_cell = ops.tanh(_row(cells, t + 1))
        d_cell = d_cell + d_hidden * o * (1 - tanh_cell * tanh_cell)
        rows = _put(rows, t, d_cell * (g * i * (1 - i)))
        rows = _put(rows, t, d_cell * (_row(cells, t) * f * (1 - f)), column=H)
        rows = _put(rows, t, d_cell * (i * (1 - g * g)), column=2 * H)
        rows = _put(rows, t, d_hidden * (tanh_cell * o * (1 - o)), column=3 * H)
        return _row(rows, t)[:, : 4 * H], d_cell * f, rows


def run_lstm(projected: Tensor, recurrent_kernel: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Run an LSTM over projected inputs, (T, B, 4H), and return its outputs, (T, B, H), and the last hidden and cell state."""
    num_steps = ops.shape(projected)[0]
    equations = _LSTMGates.of(recurrent_kernel.shape[0], projected.dtype)

    @custom_gradient
    def run(projected: Tensor, recurrent_kernel: Tensor, hidden: Tensor, cell: Tensor) -> Any:
        def step(t: Tensor, hidden: Tensor, cell: Tensor, gates: Tensor, cells: Tensor, hiddens: Tensor) -> LoopState:
            sums = _row(projected, t) + ops.matmul(hidden, recurrent_kernel)
            now, hidden, cell = equations.step(sums, cell)
            return hidden, cell, _put(gates, t, now), _put(cells, t + 1, cell), _put(hiddens, t + 1, hidden)

        empty = ops.zeros_like(projected)
        last_hidden, last_cell, gates, cells, hiddens = _loop(
            num_steps, step, hidden, cell, empty, _after(cell, num_steps), _after(hidden, num_steps)
        )

        def gradient(*args: Any, upstream: Any = None) -> LoopState:
            d_outputs, d_last_hidden, d_last_cell = upstream_gradients(args, upstream)
            transposed = ops.transpose(recurrent_kernel)

            def back(step: Tensor, d_hidden: Tensor, d_cell: Tensor, d_gates: Tensor) -> LoopState:
                t = num_steps - 1 - step
                d_hidden = d_hidden + _row(d_outputs, t)
                d_sums, d_cell, d_gates = equations.back(t, _row(gates, t), cells, d_hidden, d_cell, d_gates)
                return ops.matmul(d_sums, transposed), d_cell, d_gates

            d_hidden, d_cell, d_gates = _loop(num_steps, back, d_last_hidden, d_last_cell, empty)
            return d_gates, _recurrent_gradient(hiddens[:-1], d_gates), d_hidden, d_cell

        return (hiddens[1:], last_hidden, last_cell), gradient

    return run(projected, recurrent_kernel, hidden, cell)


def run_multiplicative_lstm(
    projected: Tensor, recurrent_kernel: Tensor, hidden: Tensor, cell: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Run a multiplicative LSTM over projected inputs, (T, B, 5H); return what `run_lstm` does.

    In place of the hidden state its gates read `middle`: the last H inputs times the product of the hidden state.
    """
    num_steps = ops.shape(projected)[0]
    H = recurrent_kernel.shape[0]
    equations = _LSTMGates.of(H, projected.dtype)

    @custom_gradient
    def run(projected: Tensor, recurrent_kernel: Tensor, hidden: Tensor, cell: Tensor) -> Any:
        of_gates, of_middle, factors = recurrent_kernel[:, : 4 * H], recurrent_kernel[:, 4 * H :], projected[:, :, 4 * H :]

        def step(t: Tensor, hidden: Tensor, cell: Tensor, gates: Tensor, cells: Tensor, hiddens: Tensor) -> LoopState:
            middle = _row(factors, t) * ops.matmul(hidden, of_middle)
            now, hidden, cell = equations.step(_row(projected, t)[:, : 4 * H] + ops.matmul(middle, of_gates), cell)
            return hidden, cell, _put(gates, t, now), _put(cells, t + 1, cell), _put(hiddens, t + 1, hidden)

        empty = ops.zeros_like(projected)
        last_hidden, last_cell, gates, cells, hiddens = _loop(
            num_steps, step, hidden, cell, empty[:, :, : 4 * H], _after(cell, num_steps), _after(hidden, num_steps)
        )

        def gradient(*args: Any, upstream: Any = None) -> LoopState:
            d_outputs, d_last_hidden, d_last_cell = upstream_gradients(args, upstream)
            products = ops.matmul(hiddens[:-1], of_middle)  # (T, B, H)
            from_gates, from_middle = ops.transpose(of_gates), ops.transpose(of_middle)

            def back(step: Tensor, d_hidden: Tensor, d_cell: Tensor, d_projected: Tensor, d_products: Tensor) -> LoopState:
                t = num_steps - 1 - step
                d_hidden = d_hidden + _row(d_outputs, t)
                d_sums, d_cell, d_projected = equations.back(t, _row(gates, t), cells, d_hidden, d_cell, d_projected)
                d_middle = ops.matmul(d_sums, from_gates)
                d_projected = _put(d_projected, t, d_middle * _row(products, t), column=4 * H)
                d_product = d_middle * _row(factors, t)
                return ops.matmul(d_product, from_middle), d_cell, d_projected, _put(d_products, t, d_product)

            d_hidden, d_cell, d_projected, d_products = _loop(
                num_steps, back, d_last_hidden, d_last_cell, empty, ops.zeros_like(products)
            )
            kernels = (
                _recurrent_gradient(factors * products, d_projected[:, :, : 4 * H]),
                _recurrent_gradient(hiddens[:-1], d_products),
            )
            return d_projected, ops.concatenate(kernels, axis=1), d_hidden, d_cell

        return (hiddens[1:], last_hidden, last_cell), gradient

    return run(projected, recurrent_kernel, hidden, cell)


def run_gru(projected: Tensor, recurrent_kernel: Tensor, recurrent_bias: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Run a GRU with the reset gate after the product over projected inputs, (T, B, 3H).

    Return its outputs, (T, B, H), and the last hidden state. Gate order: update, reset, candidate.
    """
    num_steps, batch, _ = ops.shape(projected)
    H = recurrent_kernel.shape[0]

    def sigmoid(values: Tensor) -> Tensor:
        return 0.5 * ops.tanh(0.5 * values) + 0.5

    @custom_gradient
    def run(projected: Tensor, recurrent_kernel: Tensor, recurrent_bias: Tensor, hidden: Tensor) -> Any:
        def step(t: Tensor, hidden: Tensor, gates: Tensor, products: Tensor, hiddens: Tensor) -> LoopState:
            inputs, recurrent = _row(projected, t), ops.matmul(hidden, recurrent_kernel) + recurrent_bias
            product = recurrent[:, 2 * H :]
            update_and_reset = sigmoid(inputs[:, : 2 * H] + recurrent[:, : 2 * H])
            candidate = ops.tanh(inputs[:, 2 * H :] + update_and_reset[:, H:] * product)
            hidden = candidate + update_and_reset[:, :H] * (hidden - candidate)
            gates = _put(_put(gates, t, update_and_reset), t, candidate, column=2 * H)
            return hidden, gates, _put(products, t, product), _put(hiddens, t + 1, hidden)

        empty = ops.zeros((num_steps, batch, 3 * H), projected.dtype)
        last_hidden, gates, products, hiddens = _loop(
            num_steps, step, hidden, empty, empty[:, :, :H], _after(hidden, num_steps)
        )

        def gradient(*args: Any, upstream: Any = None) -> LoopState:
            d_outputs, d_last_hidden = upstream_gradients(args, upstream)
            transposed = ops.transpose(recurrent_kernel)

            def back(step: Tensor, d_hidden: Tensor, d_recurrent: Tensor, d_candidates: Tensor) -> LoopState:
                t = num_steps - 1 - step
                now = _row(gates, t)
                z, r, n = (now[:, gate * H : (gate + 1) * H] for gate in range(3))
                d_hidden = d_hidden + _row(d_outputs, t)
                d_candidate = d_hidden * (1 - z) * (1 - n * n)
                d_recurrent = _put(d_recurrent, t, d_hidden * (_row(hiddens, t) - n) * z * (1 - z))
                d_recurrent = _put(d_recurrent, t, d_candidate * _row(products, t) * r * (1 - r), column=H)
                d_recurrent = _put(d_recurrent, t, d_candidate * r, column=2 * H)
                d_before = d_hidden * z + ops.matmul(_row(d_recurrent, t), transposed)
                return d_before, d_recurrent, _put(d_candidates, t, d_candidate)

            d_hidden, d_recurrent, d_candidates = _loop(num_steps, back, d_last_hidden, empty, empty[:, :, :H])
            return (
                ops.concatenate([d_recurrent[:, :, : 2 * H], d_candidates], axis=-1),
                _recurrent_gradient(hiddens[:-1], d_recurrent),
                ops.sum(d_recurrent, axis=(0, 1)),
                d_hidden,
            )

        return (hiddens[1:], last_hidden), gradient

    return run(projected, recurrent_kernel, recurrent_bias, hidden)


def run_simple_rnn(projected: Tensor, recurrent_kernel: Tensor, hidden: Tensor, *, relu: bool = False) -> tuple[Tensor, Tensor]:
    """Run a tanh or ReLU RNN over projected inputs, (T, B, H); return its outputs, (T, B, H), and the last hidden state."""
    num_steps = ops.shape(projected)[0]
    activate = ops.relu if relu else ops.tanh

    def slope(now: Tensor) -> Tensor:
        """Return the activation's derivative where it gave `now`."""
        return ops.cast(now > 0, now.dtype) if relu else 1 - now * now

    @custom_gradient
    def run(projected: Tensor, recurrent_kernel: Tensor, hidden: Tensor) -> Any:
        def step(t: Tensor, hidden: Tensor, hiddens: Tensor) -> LoopState:
            hidden = activate(_row(projected, t) + ops.matmul(hidden, recurrent_kernel))
            return hidden, _put(hiddens, t + 1, hidden)

        last_hidden, hiddens = _loop(num_steps, step, hidden, _after(hidden, num_steps))

        def gradient(*args: Any, upstream: Any = None) -> LoopState:
            d_outputs, d_last_hidden = upstream_gradients(args, upstream)
            transposed = ops.transpose(recurrent_kernel)

            def back(step: Tensor, d_hidden: Tensor, d_sums: Tensor) -> LoopState:
                t = num_steps - 1 - step
                d_sum = (d_hidden + _row(d_outputs, t)) * slope(_row(hiddens, t + 1))
                return ops.matmul(d_sum, transposed), _put(d_sums, t, d_sum)

            d_hidden, d_sums = _loop(num_steps, back, d_last_hidden, ops.zeros_like(projected))
            return d_sums, _recurrent_gradient(hiddens[:-1], d_sums), d_hidden

        return (hiddens[1:], last_hidden), gradient

    return run(projected, recurrent_kernel, hidden)


def look_up(table: Tensor, ids: Tensor) -> Tensor:
    """Return table rows: (V, G) and ids of any shape -> (*shape, G). For few tokens the gradient is a matrix product."""
    vocab_size, width = table.shape
    if vocab_size > ONE_HOT_MAX_TOKENS:
        return ops.take(table, ids, axis=0)

    @custom_gradient
    def run(table: Tensor) -> Any:
        def gradient(*args: Any, upstream: Any = None) -> Tensor:
            (rows,) = args if upstream is None else (upstream,)
            one_hot = ops.one_hot(ops.reshape(ids, (-1,)), vocab_size, dtype=table.dtype)  # (B T, V)
            return ops.matmul(ops.transpose(one_hot), ops.reshape(rows, (-1, width)))

        return ops.take(table, ids, axis=0), gradient

    return run(table)
