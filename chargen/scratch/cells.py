"""Train recurrent layers by hand: the forward pass over all steps, and backpropagation through time.

The input products of all steps are computed before the loop, in one matrix product or by looking them up in a table, and the
gradient of the recurrent kernel is one matrix product after the loop. Only the recurrent product is computed step by step.

Weights are in Keras's layout and gate order, as in `chargen.network.cells`. Everything is computed in their dtype. Shapes: T
steps, B rows, H units, G = gates * H; time comes first. In the equations x is the projected input `inputs W + b`, h the hidden
state before the step, h' the one after it, U the recurrent kernel, * the element-wise product, dv the gradient of the loss with
respect to v.
"""

from abc import abstractmethod
from typing import Any

import numpy as np

from chargen.network.cells import HiddenState, LSTMState
from chargen.scratch.layers import Array, Gradients, Pass
from chargen.settings.schema import NetworkConfig

SATURATED = 1 / 20  # a slope below this share of the largest is saturated


class RecurrentPass(Pass):
    """One run of a recurrent layer over T steps of B rows, from a given state.

    The inputs are the projected ones, (T, B, G), the outputs the hidden state after every step, (T, B, H). BPTT is truncated to
    the pass: no gradient enters after the last step or leaves before the first.
    """

    @abstractmethod
    def __init__(self, projected: Array, recurrent_kernel: Array, recurrent_bias: Array | None, state: Any) -> None:
        """Run forward from a state, which is copied. `projected`, (T, B, G), is overwritten."""
        self._kernel = recurrent_kernel
        self._hiddens = _after(state.hidden, len(projected))  # (T + 1, B, H)
        self.outputs = self._hiddens[1:]

    @property
    def state(self) -> Any:
        """A copy of the state after the last step."""
        return HiddenState(self._hiddens[-1].copy())

    @property
    @abstractmethod
    def saturation(self) -> float:
        """The share of activations whose slope is below a twentieth of its maximum; read it before calling `backward`."""


class SimpleRNNPass(RecurrentPass):
    """Elman's network (1990).

    h' = tanh(x + h U)
    dx = dh' * (1 - h'²)
    dh = dx Uᵀ
    dU = Σ hᵀ dx over the steps
    """

    def __init__(self, projected: Array, recurrent_kernel: Array, recurrent_bias: Array | None, state: HiddenState) -> None:
        super().__init__(projected, recurrent_kernel, recurrent_bias, state)
        hiddens = self._hiddens
        for t, sums in enumerate(projected):  # sums: (B, H)
            sums += hiddens[t] @ recurrent_kernel
            self._activate(sums, out=hiddens[t + 1])

    @property
    def saturation(self) -> float:
        return float((self._slope(self.outputs) < SATURATED).mean())

    def backward(self, d_outputs: Array) -> tuple[Array, Gradients]:
        transposed = np.ascontiguousarray(self._kernel.T)
        d_outputs[-1] *= self._slope(self.outputs[-1])
        for t in reversed(range(len(d_outputs) - 1)):
            d_outputs[t] += d_outputs[t + 1] @ transposed
            d_outputs[t] *= self._slope(self.outputs[t])
        return d_outputs, {"recurrent_kernel": _product(self._hiddens[:-1], d_outputs)}

    @staticmethod
    def _activate(sums: Array, out: Array) -> None:
        np.tanh(sums, out=out)

    @staticmethod
    def _slope(activated: Array) -> Array:
        """Return the derivative of the activation, computed from its value."""
        return 1 - activated * activated


class ReluRNNPass(SimpleRNNPass):
    """The same with h' = max(0, x + h U) and dx = dh' where h' > 0 (Le, Jaitly and Hinton 2015)."""

    @staticmethod
    def _activate(sums: Array, out: Array) -> None:
        np.maximum(sums, 0, out=out)

    @staticmethod
    def _slope(activated: Array) -> Array:
        return activated > 0


class LSTMPass(RecurrentPass):
    """Long short-term memory (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

    [i f g o] = [σ σ tanh σ](x + h U)        input gate, forget gate, candidate, output gate; each (B, H)
    c' = f * c + i * g                       cell state
    h' = o * tanh c'                         hidden state

    dc' = (from the following step) + dh' * o * (1 - tanh² c')
    di = dc' * g * i (1 - i)                 with σ' = σ (1 - σ); by the gates' sums
    df = dc' * c * f (1 - f)
    dg = dc' * i * (1 - g²)                  with tanh' = 1 - tanh²
    do = dh' * tanh c' * o (1 - o)
    dx = [di df dg do],  dh = dx Uᵀ,  dc = dc' * f,  dU = Σ hᵀ dx over the steps
    """

    def __init__(self, projected: Array, recurrent_kernel: Array, recurrent_bias: Array | None, state: LSTMState) -> None:
        super().__init__(projected, recurrent_kernel, recurrent_bias, state)
        hiddens = self._hiddens
        self._gates = projected[..., : 4 * hiddens.shape[-1]]  # (T, B, 4H), first their sums, then their values
        self._cells = _after(state.cell, len(projected))  # (T + 1, B, H)
        self._tanh_cells = np.empty_like(self.outputs)
        scale, shift = _activation_scale_and_shift(projected.dtype, hiddens.shape[-1])
        for t, gates in enumerate(self._gates):
            gates += self._recurrent_product(t)
            gates *= scale
            np.tanh(gates, out=gates)
            gates *= scale
            gates += shift
            i, f, g, o = _split(gates, 4)
            np.multiply(f, self._cells[t], out=self._cells[t + 1])
            self._cells[t + 1] += i * g
            np.tanh(self._cells[t + 1], out=self._tanh_cells[t])
            np.multiply(o, self._tanh_cells[t], out=hiddens[t + 1])

    @property
    def state(self) -> LSTMState:
        return LSTMState(self._hiddens[-1].copy(), self._cells[-1].copy())

    @property
    def saturation(self) -> float:
        i, f, g, o = _split(self._gates, 4)
        return _saturated_share(sigmoids=[i, f, o], tanh=g)

    def _recurrent_product(self, t: int) -> Array:
        """Return what the hidden state before a step adds to its gates, (B, 4H)."""
        return self._hiddens[t] @ self._kernel

    def _gradient_before(self, t: int, transposed: Array) -> Array:
        """Return the gradient of the hidden state before a step by its gates, (B, H). transposed: the recurrent kernel."""
        return self._gates[t] @ transposed

    def backward(self, d_outputs: Array) -> tuple[Array, Gradients]:
        transposed = np.ascontiguousarray(self._kernel.T)
        forgotten, through_output = self._turn_gates_into_slopes()
        d_gates, num_steps = self._gates, len(d_outputs)
        by_gate = d_gates.reshape(*d_outputs.shape[:2], 4, -1)  # (T, B, 4, H)
        d_cell = np.zeros_like(d_outputs[-1])
        for t in reversed(range(num_steps)):
            if t + 1 < num_steps:
                d_outputs[t] += self._gradient_before(t + 1, transposed)
            d_cell += d_outputs[t] * through_output[t]
            by_gate[t, :, :3] *= d_cell[:, None]
            by_gate[t, :, 3] *= d_outputs[t]
            d_cell *= forgotten[t]
        return d_gates, {"recurrent_kernel": _product(self._hiddens[:-1], d_gates)}

    def _turn_gates_into_slopes(self) -> tuple[Array, Array]:
        """Overwrite the gates by the factors of dc' and dh'; return f, and dh'/dc', both (T, B, H).

        These do not depend on later gradients, so they are computed for all steps at once.
        """
        i, f, g, o = _split(self._gates, 4)
        forgotten, tanh_cells = f.copy(), self._tanh_cells
        through_output = o * (1 - tanh_cells * tanh_cells)
        candidate_slopes = i * (1 - g * g)
        i *= (1 - i) * g
        f *= (1 - f) * self._cells[:-1]
        g[:] = candidate_slopes
        o *= (1 - o) * tanh_cells
        return forgotten, through_output


class MultiplicativeLSTMPass(LSTMPass):
    """An LSTM that reads a product in place of h (Krause et al. 2016); x has five parts, and U the columns of the last one.

    m = x_m * p,  p = h U_m
    dm = d[i f g o] Uᵀ
    dx_m = dm * p,  dp = dm * x_m,  dh = dp U_mᵀ
    dU = Σ mᵀ d[i f g o],  dU_m = Σ hᵀ dp over the steps
    """

    def __init__(self, projected: Array, recurrent_kernel: Array, recurrent_bias: Array | None, state: LSTMState) -> None:
        H = len(recurrent_kernel)
        self._projected, self._factors = projected, projected[..., 4 * H :]  # the last are x_m, and then dx_m
        self._products = np.empty((*projected.shape[:2], H), projected.dtype)  # p, and then dp
        self._multiplied = np.empty_like(self._products)
        super().__init__(projected, recurrent_kernel, recurrent_bias, state)

    def _recurrent_product(self, t: int) -> Array:
        split = self._gates.shape[-1]
        self._products[t] = self._hiddens[t] @ self._kernel[:, split:]
        np.multiply(self._factors[t], self._products[t], out=self._multiplied[t])
        return self._multiplied[t] @ self._kernel[:, :split]

    def _gradient_before(self, t: int, transposed: Array) -> Array:
        split = self._gates.shape[-1]
        d_multiplied = self._gates[t] @ transposed[:split]
        d_product = d_multiplied * self._factors[t]
        np.multiply(d_multiplied, self._products[t], out=self._factors[t])
        self._products[t] = d_product
        return d_product @ transposed[split:]

    def backward(self, d_outputs: Array) -> tuple[Array, Gradients]:
        d_gates, _ = super().backward(d_outputs)
        self._gradient_before(0, np.ascontiguousarray(self._kernel.T))
        kernels = _product(self._multiplied, d_gates), _product(self._hiddens[:-1], self._products)
        return self._projected, {"recurrent_kernel": np.concatenate(kernels, axis=1)}


class GRUPass(RecurrentPass):
    """Gated recurrent unit with the reset gate after the recurrent product, as in cuDNN.

    [a b m] = h U + v                        the recurrent product with its own bias v, (3H,)
    z = σ(x_z + a)                           update gate
    r = σ(x_r + b)                           reset gate
    n = tanh(x_n + r * m)                    candidate
    h' = z * h + (1 - z) * n

    dz = dh' * (h - n) * z (1 - z)           by the gate's sum, as are the next two
    dn = dh' * (1 - z) * (1 - n²)
    dr = dn * m * r (1 - r)
    dx = [dz dr dn],  d[a b m] = [dz dr dn*r],  dh = dh' * z + d[a b m] Uᵀ
    dU = Σ hᵀ d[a b m],  dv = Σ d[a b m] over the steps
    """

    def __init__(self, projected: Array, recurrent_kernel: Array, recurrent_bias: Array | None, state: HiddenState) -> None:
        super().__init__(projected, recurrent_kernel, recurrent_bias, state)
        hiddens, H = self._hiddens, len(recurrent_kernel)
        self._gates = projected  # (T, B, 3H), first the projected inputs, then the gates
        self._products = np.empty_like(projected)
        for t, (gates, products) in enumerate(zip(projected, self._products, strict=True)):
            np.dot(hiddens[t], recurrent_kernel, out=products)
            products += recurrent_bias
            gates[:, : 2 * H] += products[:, : 2 * H]
            _sigmoid_in_place(gates[:, : 2 * H])
            z, r, n = _split(gates, 3)
            n += r * products[:, 2 * H :]
            np.tanh(n, out=n)
            np.subtract(hiddens[t], n, out=hiddens[t + 1])
            hiddens[t + 1] *= z
            hiddens[t + 1] += n

    @property
    def saturation(self) -> float:
        z, r, n = _split(self._gates, 3)
        return _saturated_share(sigmoids=[z, r], tanh=n)

    def backward(self, d_outputs: Array) -> tuple[Array, Gradients]:
        transposed, H = np.ascontiguousarray(self._kernel.T), len(self._kernel)
        kept, reset = self._turn_gates_into_slopes()
        d_gates, d_products = self._gates, self._products  # overwritten step by step
        for t in reversed(range(len(d_outputs))):
            d_update, d_reset, d_candidate = _split(d_gates[t], 3)
            d_update *= d_outputs[t]
            d_candidate *= d_outputs[t]
            d_reset *= d_candidate
            d_products[t, :, : 2 * H] = d_gates[t, :, : 2 * H]
            np.multiply(d_candidate, reset[t], out=d_products[t, :, 2 * H :])
            if t:
                d_outputs[t - 1] += d_outputs[t] * kept[t]
                d_outputs[t - 1] += d_products[t] @ transposed
        kernel = _product(self._hiddens[:-1], d_products)
        return d_gates, {"recurrent_kernel": kernel, "recurrent_bias": d_products.sum(axis=(0, 1))}

    def _turn_gates_into_slopes(self) -> tuple[Array, Array]:
        """Overwrite the gates by the factors of dh', dn and dh'; return z and r, both (T, B, H).

        These do not depend on later gradients, so they are computed for all steps at once.
        """
        (z, r, n), (_, _, m) = _split(self._gates, 3), _split(self._products, 3)
        kept, reset = z.copy(), r.copy()
        z *= (1 - z) * (self._hiddens[:-1] - n)
        r *= (1 - r) * m
        n[:] = (1 - kept) * (1 - n * n)
        return kept, reset


class GRUResetBeforePass(RecurrentPass):
    """Gated recurrent unit with the reset gate before the recurrent product (Cho et al. 2014).

    [z r] = σ(x_zr + h U_zr),  n = tanh(x_n + (r * h) U_n),  h' = z * h + (1 - z) * n

    dz = dh' * (h - n) * z (1 - z)           by the gate's sum, as are the next two
    dn = dh' * (1 - z) * (1 - n²)
    dr = (dn U_nᵀ) * h * r (1 - r)
    dx = [dz dr dn],  dh = dh' * z + [dz dr] U_zrᵀ + (dn U_nᵀ) * r
    dU_zr = Σ hᵀ [dz dr],  dU_n = Σ (r * h)ᵀ dn over the steps
    """

    def __init__(self, projected: Array, recurrent_kernel: Array, recurrent_bias: Array | None, state: HiddenState) -> None:
        super().__init__(projected, recurrent_kernel, recurrent_bias, state)
        hiddens, H = self._hiddens, len(recurrent_kernel)
        self._gates = projected  # (T, B, 3H), first the projected inputs, then the gates
        self._reset_hiddens = np.empty_like(self.outputs)
        for t, gates in enumerate(projected):
            gates[:, : 2 * H] += hiddens[t] @ recurrent_kernel[:, : 2 * H]
            _sigmoid_in_place(gates[:, : 2 * H])
            z, r, n = _split(gates, 3)
            np.multiply(r, hiddens[t], out=self._reset_hiddens[t])
            n += self._reset_hiddens[t] @ recurrent_kernel[:, 2 * H :]
            np.tanh(n, out=n)
            hiddens[t + 1] = n + z * (hiddens[t] - n)

    @property
    def saturation(self) -> float:
        z, r, n = _split(self._gates, 3)
        return _saturated_share(sigmoids=[z, r], tanh=n)

    def backward(self, d_outputs: Array) -> tuple[Array, Gradients]:
        d_gates, H = self._gates, len(self._kernel)  # overwritten step by step
        for t in reversed(range(len(d_outputs))):
            d_before = self._step_back(t, d_outputs[t])
            if t:
                d_outputs[t - 1] += d_before
        d_update_and_reset = _product(self._hiddens[:-1], d_gates[..., : 2 * H])
        d_candidate = _product(self._reset_hiddens, d_gates[..., 2 * H :])
        return d_gates, {"recurrent_kernel": np.concatenate([d_update_and_reset, d_candidate], axis=1)}

    def _step_back(self, t: int, d_hidden: Array) -> Array:
        """Replace the gates of step t by their gradients; return the gradient of the previous hidden state, (B, H)."""
        H, gates = len(self._kernel), self._gates[t]
        z, r, n = _split(gates, 3)
        d_candidate = d_hidden * (1 - z) * (1 - n * n)
        d_reset_hidden = d_candidate @ self._kernel[:, 2 * H :].T
        d_before = d_hidden * z + d_reset_hidden * r
        z[:] = d_hidden * (self._hiddens[t] - n) * z * (1 - z)
        r[:] = d_reset_hidden * self._hiddens[t] * r * (1 - r)
        n[:] = d_candidate
        return d_before + gates[:, : 2 * H] @ self._kernel[:, : 2 * H].T


def pass_type(config: NetworkConfig) -> type[RecurrentPass]:
    """Return the class of a network's recurrent layers; "dense" is another way of training a SimpleRNN."""
    if config.cell == "gru":
        return GRUPass if config.reset_after else GRUResetBeforePass
    if config.cell == "lstm":
        return LSTMPass
    if config.cell == "mlstm":
        return MultiplicativeLSTMPass
    return ReluRNNPass if config.activation == "relu" else SimpleRNNPass


def _saturated_share(*, sigmoids: list[Array], tanh: Array) -> float:
    """Return the share of values whose slope is below a twentieth of its maximum: σ' = σ (1 - σ) <= 1/4.

    All arrays have the same shape.
    """
    shares = [(4 * values * (1 - values) < SATURATED).mean() for values in sigmoids]
    return float(np.mean([*shares, (1 - tanh * tanh < SATURATED).mean()]))


def _after(first: Array, num_steps: int) -> Array:
    """Return uninitialized rows, (T + 1, B, H), whose first is set to a state, (B, H)."""
    rows = np.empty((num_steps + 1, *first.shape), first.dtype)
    rows[0] = first
    return rows


def _split(gates: Array, count: int) -> list[Array]:
    """Return views of adjacent gates: (..., count * H) to (..., H) each."""
    H = gates.shape[-1] // count
    return [gates[..., gate * H : (gate + 1) * H] for gate in range(count)]


def _product(states: Array, gradients: Array) -> Array:
    """Return the gradient of a kernel, (H, G), from the states, (T, B, H), and the gradients of their products, (T, B, G)."""
    return states.reshape(-1, states.shape[-1]).T @ gradients.reshape(-1, gradients.shape[-1])


def _sigmoid_in_place(values: Array) -> None:
    """Replace values by σ(v) = tanh(v / 2) / 2 + 1/2, which cannot overflow."""
    values *= 0.5
    np.tanh(values, out=values)
    values *= 0.5
    values += 0.5


def _activation_scale_and_shift(dtype: np.dtype[Any], hidden_size: int) -> tuple[Array, Array]:
    """Return (4H,) vectors for which scale * tanh(scale * v) + shift is σ for three gates and tanh for one.

    One pass over all gates then replaces four passes over parts of them.
    """
    scale = np.repeat(np.array([0.5, 0.5, 1, 0.5], dtype), hidden_size)
    return scale, 1 - scale
