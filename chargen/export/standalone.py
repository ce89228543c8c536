"""Write text with a trained network. Made by `chargen export`; it needs only Python 3.10 or newer and NumPy.

The weights are at the end of this file, in the layout and gate order of Keras.
"""

import argparse
import base64
import codecs
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np

BOUNDARY = 0  # the token before and after every text
EPSILON = np.float32(1e-3)
WORD = re.compile(r" ?\w+| ?[^\w\s]|\s")
LINES = 10  # texts written by default by a model of lines
MAX_REPEATS = 1000  # repeated texts in a row before giving up
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # characters that control a terminal

Weights = dict[str, Any]
State = list[Any]  # of each layer: the hidden state and, in an LSTM, the cell state


class Network:
    """Recurrent layers between a token id and the logits of the next token."""

    def __init__(self, config: dict[str, Any], weights: Weights) -> None:
        self.config, self.weights = config, weights
        self.step_cell = CELLS[config["cell"]]
        self.cells = [
            [weights[f"recurrent.{layer}.{name}"] for name in ("kernel", "recurrent_kernel", "bias")]
            for layer in range(config["num_layers"])
        ]
        self.embedding = self._embedding() if config["embedding_size"] else None

    def _embedding(self) -> Any:
        embedding = self.weights["embedding"]
        if self.config["embedding_norm"] == "none":
            return embedding
        norm = {name: self.weights[f"embedding_norm.{name}"] for name in ("gamma", "beta", "moving_mean", "moving_variance")}
        scaled = (embedding - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + EPSILON)
        return scaled * norm["gamma"] + norm["beta"]

    def zero_state(self) -> State:
        """Return the initial state, all zeros."""
        kinds = 2 if self.config["cell"] in ("lstm", "mlstm") else 1
        return [[np.zeros(self.config["hidden_size"], np.float32)] * kinds for _ in self.cells]

    def advance(self, token: int, state: State) -> tuple[Any, State]:
        """Read a token and return the last layer's output, (H,), and the next state."""
        values, following = None if self.embedding is None else self.embedding[token], []
        for layer, (kernel, recurrent_kernel, bias) in enumerate(self.cells):
            if layer and self.config["layer_norm"]:
                values = self._normalized(values, layer - 1)
            product = kernel[token] if values is None else values @ kernel  # a one-hot vector selects a row
            projected = product + (bias[0] if bias.ndim == 2 else bias)
            after = self.step_cell(self.config, projected, recurrent_kernel, bias, *state[layer])
            following.append(after)
            values = after[0]
        return values, following

    def head(self, values: Any) -> Any:
        """Return the logits of the next token, (V,), from the last layer's output."""
        if self.config["dense_size"]:
            values = np.maximum(values @ self.weights["dense.kernel"] + self.weights["dense.bias"], 0)
        return values @ self.weights["output.kernel"] + self.weights["output.bias"]

    def _normalized(self, values: Any, layer: int) -> Any:
        centred = values - values.mean()
        scaled = centred / np.sqrt(np.square(centred).mean() + EPSILON)
        return scaled * self.weights[f"norm.{layer}.gamma"] + self.weights[f"norm.{layer}.beta"]


class NetworkAverage:
    """Several networks that read the same tokens; their probabilities are averaged."""

    def __init__(self, members: list[Network]) -> None:
        self.members = members

    def zero_state(self) -> list[State]:
        """Return the initial state of each network."""
        return [one.zero_state() for one in self.members]

    def advance(self, token: int, state: list[State]) -> tuple[list[Any], list[State]]:
        """Read a token and return the last layer's output and the next state of each network."""
        pairs = [one.advance(token, own) for one, own in zip(self.members, state, strict=True)]
        return [values for values, _ in pairs], [own for _, own in pairs]

    def head(self, values: list[Any]) -> Any:
        """Return the logarithms of the averaged probabilities of the next token, (V,)."""
        logits = [one.head(own).astype(np.float64) for one, own in zip(self.members, values, strict=True)]
        powers = [np.exp(one - one.max()) for one in logits]
        return np.log(np.mean([one / one.sum() for one in powers], axis=0))


def simple_rnn(config: dict[str, Any], projected: Any, recurrent: Any, bias: Any, hidden: Any) -> list[Any]:
    """Return the next hidden state of a SimpleRNN."""
    sums = projected + hidden @ recurrent
    return [np.maximum(sums, 0) if config["activation"] == "relu" else np.tanh(sums)]


def lstm(config: dict[str, Any], projected: Any, recurrent: Any, bias: Any, hidden: Any, cell: Any) -> list[Any]:
    """Return the next hidden state and cell state of an LSTM. Gate order: input, forget, cell, output."""
    write, forget, candidate, read = np.split(projected + hidden @ recurrent, 4)
    cell = sigmoid(forget) * cell + sigmoid(write) * np.tanh(candidate)
    return [sigmoid(read) * np.tanh(cell), cell]


def mlstm(config: dict[str, Any], projected: Any, recurrent: Any, bias: Any, hidden: Any, cell: Any) -> list[Any]:
    """Return the next hidden state and cell state of a multiplicative LSTM: in place of the hidden state it reads a product."""
    split = 4 * len(hidden)
    multiplied = projected[split:] * (hidden @ recurrent[:, split:])
    return lstm(config, projected[:split], recurrent[:, :split], bias, multiplied, cell)


def gru(config: dict[str, Any], projected: Any, recurrent: Any, bias: Any, hidden: Any) -> list[Any]:
    """Return the next hidden state of a GRU. Gate order: update, reset, candidate."""
    H = len(hidden)
    if config["reset_after"]:
        product = hidden @ recurrent + bias[1]
        update, reset = np.split(sigmoid(projected[: 2 * H] + product[: 2 * H]), 2)
        candidate = np.tanh(projected[2 * H :] + reset * product[2 * H :])
    else:
        update, reset = np.split(sigmoid(projected[: 2 * H] + hidden @ recurrent[:, : 2 * H]), 2)
        candidate = np.tanh(projected[2 * H :] + (reset * hidden) @ recurrent[:, 2 * H :])
    return [candidate + update * (hidden - candidate)]


CELLS: dict[str, Callable[..., list[Any]]] = {
    "simplernn": simple_rnn,
    "dense": simple_rnn,
    "lstm": lstm,
    "mlstm": mlstm,
    "gru": gru,
}


def sigmoid(values: Any) -> Any:
    """Return 1 / (1 + exp(-values)) without overflow."""
    return np.float32(0.5) * np.tanh(np.float32(0.5) * values) + np.float32(0.5)


class Vocabulary:
    """Maps text to token ids and back."""

    def __init__(self, described: dict[str, Any]) -> None:
        self.kind, self.labels = described["kind"], described["labels"]
        self.merges = {(first, second): rank for rank, (first, second) in enumerate(described.get("merges", []))}
        joined = [first + second for first, second in self.merges]
        kinds: dict[str, Callable[[], list[str]]] = {
            "character": lambda: list(described["characters"]),
            "byte": lambda: [chr(byte) for byte in range(256)],
            "word": lambda: ["", *described["words"]],
            "bpe": lambda: list(dict.fromkeys([*described["characters"], *joined])),
        }
        pieces = kinds[self.kind]()
        self.texts = ["", *pieces, *[""] * len(self.labels)]
        self.ids = {piece: number for number, piece in enumerate(pieces, start=1)}
        self.first_label = 1 + len(pieces)

    @property
    def silent_ids(self) -> list[int]:
        """The ids that may be read but are never drawn."""
        unknown = [1] if self.kind == "word" else []
        return [*unknown, *range(self.first_label, len(self.texts))]

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        if self.kind == "byte":
            return [byte + 1 for byte in text.encode("utf-8", "surrogateescape")]
        if self.kind == "word":
            return [self._word_id(word) for word in WORD.findall(text)]
        unknown = sorted(set(text) - set(self.ids))
        if unknown:
            fail("the model has never seen " + ", ".join(f"{one!r} (U+{ord(one):04X})" for one in unknown[:5]))
        if self.kind == "character":
            return [self.ids[one] for one in text]
        return [self.ids[piece] for word in WORD.findall(text) for piece in self._merged(list(word))]

    def _word_id(self, word: str) -> int:
        """Return the id of a word, matched with or without the space before it."""
        forms = (word, word[1:] if word.startswith(" ") else f" {word}")
        known = [self.ids[one] for one in forms if one and one in self.ids]
        if not known:
            fail(f"the model has never seen {word.removeprefix(' ') or word!r}")
        return known[0]

    def _merged(self, pieces: list[str]) -> list[str]:
        """Merge the characters of a word, always the pair with the earliest merge first."""
        while pairs := self.merges.keys() & set(pairwise(pieces)):
            pair = min(pairs, key=self.merges.__getitem__)
            merged: list[str] = []
            waiting = False  # whether the last piece may still be the first of a pair
            for piece in pieces:
                waiting = not (waiting and (merged[-1], piece) == pair)
                if waiting:
                    merged.append(piece)
                else:
                    merged[-1] += piece
            pieces = merged
        return pieces

    def brings_space(self, text: str) -> bool:
        """Return whether a text ends with a space that is not a token, because the next word includes it."""
        return self.kind == "word" and text.endswith(" ") and " " not in self.ids

    def label_id(self, label: str) -> int:
        """Return the token id of a label."""
        if label not in self.labels:
            fail(f"the model has never seen the label {label!r}; it knows {', '.join(self.labels)}")
        return self.first_label + self.labels.index(label)

    def decoded(self, ids: Iterator[int]) -> Iterator[str]:
        """Yield the text of each token; the text of a multi-byte character comes with its last byte."""
        if self.kind != "byte":
            yield from (self.texts[one] for one in ids)
            return
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for one in ids:
            yield decoder.decode(bytes([one - 1]) if one != BOUNDARY else b"")
        yield decoder.decode(b"", final=True)


def make_network(model: dict[str, Any], weights: Weights) -> "Network | NetworkAverage":
    """Return the network of a model, or the average of its networks."""
    if "members" not in model:
        return Network(model["network"], weights)
    members = []
    for one in model["members"]:
        own = {name.removeprefix(one["prefix"]): array for name, array in weights.items() if name.startswith(one["prefix"])}
        members.append(Network(one["network"], own))
    return NetworkAverage(members)


class CarriedState:
    """Reads tokens and carries the state from each to the next."""

    def __init__(self, network: Network | NetworkAverage) -> None:
        self.network, self.state = network, network.zero_state()

    def copy(self) -> "CarriedState":
        """Return an independent copy."""
        other = CarriedState(self.network)
        other.state = self.state
        return other

    def read(self, tokens: Sequence[int]) -> Any:
        """Read tokens and return the logits of the next, (V,)."""
        for token in tokens:
            values, self.state = self.network.advance(token, self.state)
        return self.network.head(values)


class Window:
    """Reads the last tokens from a zero state for each new one; the first `kept` tokens never leave the window."""

    def __init__(self, network: Network | NetworkAverage, tokens: list[int], kept: int) -> None:
        self.network, self.tokens, self.kept = network, tokens, kept

    def copy(self) -> "Window":
        """Return an independent copy."""
        return Window(self.network, self.tokens, self.kept)

    def read(self, tokens: Sequence[int]) -> Any:
        """Read tokens and return the logits of the next, (V,)."""
        length = len(self.tokens)
        moving = [*self.tokens[self.kept :], *tokens][len(tokens) :]
        self.tokens = [*self.tokens[: self.kept], *moving][:length]
        return CarriedState(self.network).read(self.tokens)


FNV_BASIS, FNV_PRIME = 2166136261, 16777619


class Memory:
    """The n-grams of the training text: a tree, level by level, siblings in the order of their tokens; 0 is the root.

    p(token | context) = kept(token, context) + rest(context) p(token | context without its first token)

    Where the lines of the text are known, a factor makes it less probable that a line ends as one of them. They are known by 31
    bits of a hash; the lowest bit of each key says whether the line occurs more than once.
    """

    def __init__(self, described: dict[str, Any], numbers: str) -> None:
        size, content = described["size"], base64.b64decode(numbers)
        arrays, end = [], 0
        for dtype in (described["tokens"], described["children"], "float16"):
            arrays.append(np.frombuffer(content, np.dtype(dtype).newbyteorder("<"), size, end))
            end += arrays[-1].nbytes
        self.tokens, children, self.kept = arrays[0].astype(np.intp), arrays[1].astype(np.intp), arrays[2].astype(np.float32)
        self.weight, self.first_label, self.nowhere = described["weight"], described["first_label"], size
        self.firsts = np.concatenate([[1], 1 + np.cumsum(children), [size]])
        sums = np.bincount(np.repeat(np.arange(size), children), self.kept[1:], size)
        self.rest = np.append(np.clip(1 - sums, 0, 1), 1).astype(np.float32)
        self.order, self.log_factors = described["order"], described.get("log_factors", [])
        self.lines = np.frombuffer(content, "<u4", described.get("lines", 0), end)
        self.hashes = self.lines >> 1
        self.start = [0, *[size] * (self.order - 1), 0]  # the last one: the hash of the line so far, 0 before it begins

    def after(self, contexts: list[int], token: int) -> list[int]:
        """Return the contexts after one more token: the nodes of the last 0, 1, ... tokens, and the hash of the line.

        Tokens that are not in the tree have the node `nowhere`.
        """
        begins = token == BOUNDARY or token >= self.first_label  # a document
        kept = contexts[:1] if begins else contexts[: self.order - 1]
        found = [0, *[self._child(node, token) for node in kept]]
        line = FNV_BASIS if begins else contexts[self.order]
        return [*found, *[self.nowhere] * (self.order - len(found)), (line ^ token) * FNV_PRIME % 2**32 if line else 0]

    def _log_factor(self, line: int) -> float:
        """Return what is added to the logit of the end after a line."""
        place = int(self.hashes.searchsorted(line >> 1))
        known = place < len(self.lines) and self.hashes[place] == line >> 1
        return float(self.log_factors[self.lines[place] & 1]) if known else 0.0

    def _child(self, node: int, token: int) -> int:
        first, end = self.firsts[node], self.firsts[node + 1]
        place = int(first + self.tokens[first:end].searchsorted(token))
        return place if place < end and self.tokens[place] == token else self.nowhere

    def mixed(self, logits: Any, contexts: list[int]) -> Any:
        """Return the logits of the mixture with a network, (V,): square roots of probabilities are averaged."""
        found: Any = np.full(len(logits), 1 / len(logits))
        for node in contexts[: self.order]:
            children = slice(self.firsts[node], self.firsts[node + 1])
            found = found * self.rest[node]
            found[self.tokens[children]] += self.kept[children]
        network = np.exp((logits.astype(np.float64) - logits.max()) / 2)
        mixed = 2 * np.log((1 - self.weight) / np.linalg.norm(network) * network + self.weight * np.sqrt(found))
        mixed[BOUNDARY] += self._log_factor(contexts[self.order])
        return mixed


class Mixture:
    """Reads tokens with a network and a memory."""

    def __init__(self, place: CarriedState | Window, memory: Memory, contexts: list[int]) -> None:
        self.place, self.memory, self.contexts = place, memory, contexts

    def copy(self) -> "Mixture":
        """Return an independent copy."""
        return Mixture(self.place.copy(), self.memory, self.contexts)

    def read(self, tokens: Sequence[int]) -> Any:
        """Read tokens and return the logits of the next, (V,)."""
        for token in tokens:
            self.contexts = self.memory.after(self.contexts, token)
        return self.memory.mixed(self.place.read(tokens), self.contexts)


class Writer:
    """Reads a prompt with a network, and writes any number of texts from there."""

    def __init__(self, model: dict[str, Any], weights: Weights, vocabulary: Vocabulary, prompt: list[int], label: str) -> None:
        network, length = make_network(model, weights), model["context_length"]
        self.ends, self.begun = model["ends"], len(prompt) > 0
        self.silent = np.array(vocabulary.silent_ids, dtype=np.intp)
        start_id = vocabulary.label_id(label) if label else BOUNDARY
        primer = [start_id if one == BOUNDARY else one for one in model["primer"]]
        room = max(length - len(prompt), 1 if vocabulary.labels or not prompt else 0)
        empty = (
            CarriedState(network) if model["carried"] else Window(network, [start_id] * length, int(bool(vocabulary.labels)))
        )
        memory = Memory(model["memory"], MEMORY) if "memory" in model else None
        self.place = Mixture(empty, memory, memory.start) if memory else empty
        self.logits = self.place.read([*(primer[-room:] if room else []), *prompt])

    def write(self, temperature: float, length: int, rng: np.random.Generator) -> Iterator[int]:
        """Yield up to `length` ids; the last one is the boundary if the text ends by itself."""
        logits, place = self.logits, self.place.copy()
        for position in range(length):
            logits = logits.copy()
            if not self.ends or (position == 0 and not self.begun):
                logits[BOUNDARY] = -np.inf
            logits[self.silent] = -np.inf
            token = draw(logits, temperature, rng)
            yield token
            if token == BOUNDARY:
                return
            if position + 1 < length:
                logits = place.read([token])


def draw(logits: Any, temperature: float, rng: np.random.Generator) -> int:
    """Draw an id from logits, (V,); temperature 0 gives the most probable id."""
    if not np.isfinite(logits.max()):
        fail("the hidden state of the network has grown too large, so its probabilities are undefined", code=1)
    if temperature == 0:
        return int(logits.argmax())
    weights = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    cumulative = np.add.accumulate(weights)
    place = int(cumulative.searchsorted(rng.random() * cumulative[-1], side="right"))
    return min(place, len(cumulative) - 1)


def unpack(tensors: Sequence[tuple[str, list[int]]], precision: str, numbers: str) -> Weights:
    """Return the weights by name, as float32."""
    flat = np.frombuffer(base64.b64decode(numbers), {"float32": "<f4", "float16": "<f2"}[precision]).astype(np.float32)
    weights, place = {}, 0
    for name, shape in tensors:
        size = int(np.prod(shape))
        weights[name] = flat[place : place + size].reshape(shape)
        place += size
    return weights


def options(model: dict[str, Any]) -> argparse.Namespace:
    """Parse the command line."""
    about = f"Write text with a network that was trained on {model['name'] or 'a text'!r}."
    parser = argparse.ArgumentParser(description=about.replace("%", "%%"))
    parser.add_argument("--seed", default="", metavar="TEXT", help="text to continue")
    parser.add_argument("--temp", type=float, default=1.0, metavar="T", help="temperature; 0 is greedy  [default: 1.0]")
    parser.add_argument("--length", type=int, default=200, help="maximum number of characters  [default: 200]")
    parser.add_argument("--count", type=int, help=f"number of texts  [default:  1, or {LINES} of a model of lines]")
    parser.add_argument("--random-seed", type=int, help="seed of the random numbers; the same seed gives the same text")
    if model["vocabulary"]["labels"]:
        parser.add_argument("--label", required=True, help="label of the text to write")
    given = parser.parse_args()
    if not 0 <= given.temp < float("inf"):
        parser.error(f"temperature is {given.temp:g}, expected 0 or more")
    if given.length < 0 or (given.count is not None and given.count < 1):
        parser.error("--length is 0 or more, --count 1 or more")
    if given.random_seed is not None and given.random_seed < 0:
        parser.error(f"--random-seed is {given.random_seed}, expected 0 or more")
    return given


def fail(message: str, code: int = 2) -> NoReturn:
    """Print an error and exit."""
    sys.stderr.write(f"{sys.argv[0]}: {''.join(one if one.isprintable() else '?' for one in message)}\n")
    sys.exit(code)


def main() -> None:
    """Write the requested texts."""
    np.seterr(all="ignore")  # `draw` checks the numbers
    model = json.loads(MODEL)
    given = options(model)
    vocabulary = Vocabulary(model["vocabulary"])
    spaced = vocabulary.brings_space(given.seed)
    prompt = vocabulary.encode(given.seed.removesuffix(" ") if spaced else given.seed)
    weights = unpack(model["tensors"], model["precision"], WEIGHTS)
    writer = Writer(model, weights, vocabulary, prompt, getattr(given, "label", ""))
    rng = np.random.default_rng(given.random_seed)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    steps = given.length * (4 if vocabulary.kind == "byte" else 1)  # maximum number of tokens for so many characters

    def text() -> Iterator[str]:
        return cut(vocabulary.decoded(writer.write(given.temp, steps, rng)), given.length, " " if spaced else "")

    if model["reading"] == "line":
        lines = different(text, given.count or LINES, MAX_REPEATS if given.temp else 1)
        say("\n".join(given.seed + one for one in lines))
        if given.temp and len(lines) < (given.count or LINES):
            sys.stderr.write(f"\n{sys.argv[0]}: only {len(lines)} different texts were found\n")
    else:
        for number in range(given.count or 1):
            say("\n\n" + given.seed if number else given.seed)
            for piece in text():
                say(piece)
    say("\n")


def different(text: Callable[[], Iterator[str]], count: int, most_repeats: int) -> list[str]:
    """Return distinct texts: fewer than `count` if the network only repeats itself."""
    found: dict[str, None] = {}
    repeats = 0  # in a row
    while len(found) < count and repeats < most_repeats:
        before = len(found)
        found["".join(text())] = None
        repeats = repeats + 1 if len(found) == before else 0
    return list(found)


def cut(pieces: Iterator[str], length: int, extra: str) -> Iterator[str]:
    """Yield the pieces of a text up to `length` characters, without the text `extra` at its beginning."""
    for piece in pieces:
        yield piece[:length].removeprefix(extra)
        extra, length = "", length - len(piece)
        if length <= 0:
            return


def say(text: str) -> None:
    """Write a piece of text to stdout at once."""
    sys.stdout.write(CONTROLS.sub("", text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


MODEL = ""
WEIGHTS = ""
MEMORY = ""

if __name__ == "__main__":
    main()
