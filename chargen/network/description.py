"""Check the description of a model, which its file holds as JSON."""

from collections.abc import Mapping
from typing import Any

from chargen.corpus.tokens import vocabulary_from_mapping
from chargen.network.strict_json import parse_json
from chargen.settings.layers import resolve

FORMAT_VERSION, FORMAT_OF_SEVERAL = 3, 4  # of a file with one network, and with several
FORMAT_WITH_LINES = 5  # of a file with one network or several, and a memory that knows the lines of the text
READ_VERSIONS = (1, 2, FORMAT_VERSION, FORMAT_OF_SEVERAL, FORMAT_WITH_LINES)  # 1 had no sha256, 2 no memory
MOST_MEMBERS = 16  # networks in a file
METADATA_DEPTH = 8
METADATA_MARKS = 6_000_000  # commas and brackets: a million merges have 4 million
LONGEST_CONTEXT = 1_000_000  # tokens


def parse_description(text: str) -> dict[str, Any]:
    """Return the SHA-256, the task and the fields of a model, with the configurations of its networks in place of the network.

    Raises ValueError, KeyError or ConfigError for an invalid description.
    """
    parsed = expect(parse_json(text, depth=METADATA_DEPTH, marks=METADATA_MARKS), dict)
    version = expect(parsed["format_version"], int)
    if version not in READ_VERSIONS:
        raise ValueError(f"it has format version {version}, this chargen reads {FORMAT_VERSION}")
    vocabulary = vocabulary_from_mapping(expect(parsed["vocabulary"], dict))
    task = parsed.get("task", "generate")
    if task not in ("generate", "classify"):
        raise ValueError(f"it is for the task {task!r:.40}")
    networks = _networks(parsed["networks"], task, version) if version >= FORMAT_OF_SEVERAL else [parsed["network"]]
    return {
        "sha256": expect(parsed["sha256"], str) if version > 1 else None,
        "task": task,
        "networks": tuple(resolve(("model file", {"network": expect(one, dict)})).settings.network for one in networks),
        "vocabulary": vocabulary,
        "context_length": _context_length(parsed["context_length"]),
        "provenance": expect(parsed["provenance"], dict),
        **(_generator_fields(parsed, len(vocabulary), version) if task == "generate" else _classifier_fields(parsed)),
    }


def _networks(networks: Any, task: str, version: int) -> list[Any]:
    fewest = 2 if version == FORMAT_OF_SEVERAL else 1
    if task != "generate" or not fewest <= len(expect(networks, list)) <= MOST_MEMBERS:
        raise ValueError(f"it has several networks for {task!r}, expected {fewest} to {MOST_MEMBERS} that write text")
    return list(networks)


def _context_length(value: Any) -> int:
    if not 1 <= expect(value, int) <= LONGEST_CONTEXT:
        raise ValueError(f"its context length is {value}")
    return value


def _generator_fields(parsed: Mapping[str, Any], vocab_size: int, version: int) -> dict[str, Any]:
    primer = tuple(expect(one, int) for one in expect(parsed["primer"], list))
    if not primer or any(not 0 <= one < vocab_size for one in primer):
        raise ValueError("its primer holds no ids, or ids outside the vocabulary")
    carried = parsed["carried"] if "carried" in parsed else parsed["network"].get("targets") != "last"  # older files
    if parsed["reading"] not in ("line", "document"):
        raise ValueError(f"it reads its corpus by {parsed['reading']!r:.40}, expected line or document")
    memory = _memory_fields(expect(parsed["memory"], dict), version) if "memory" in parsed else None
    ends = expect(parsed["ends"], bool)
    fields = {"reading": parsed["reading"], "primer": primer, "ends": ends, "carried": expect(carried, bool)}
    return fields | {"memory": memory}


def _memory_fields(parsed: Mapping[str, Any], version: int) -> dict[str, Any]:
    """Return the weight of an n-gram memory, and the factors of the lines that it knows or None."""
    lines = [expect(one, float) for one in expect(parsed["lines"], list)] if version == FORMAT_WITH_LINES else None
    return {"weight": expect(parsed["weight"], float), "lines": lines}


def _classifier_fields(parsed: Mapping[str, Any]) -> dict[str, Any]:
    labels = tuple(expect(one, str) for one in expect(parsed["labels"], list))
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise ValueError(f"it has the labels {', '.join(labels)!r:.40}, expected two or more, each once")
    return {"labels": labels}


def expect(value: Any, kind: type) -> Any:
    """Return a value. Raises ValueError if it is not exactly of this kind."""
    if type(value) is not kind:
        raise ValueError(f"its metadata holds {value!r:.40} where a {kind.__name__} was expected")
    return value
