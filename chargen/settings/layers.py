"""Merge layers of settings into the settings of a run, and check each one.

Settings come in layers (defaults, a config file, the command line); later layers override earlier ones.
"""

import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from chargen.errors import ConfigError
from chargen.settings.conflicts import check_together
from chargen.settings.schema import (
    COMMAND_LINE,
    KEYWORDS,
    SECTIONS,
    Mapped,
    Setting,
    Settings,
    declared_settings,
    flag_name,
    keyword_name,
    keyword_of,
)
from chargen.shipped import nearest_shipped, shipped_files, shipped_folder
from chargen.suggestions import KEYWORDS as KEYWORD_NAMES
from chargen.suggestions import OPTIONS, meaning, most_similar


@dataclass(frozen=True)
class Resolved:
    """Hold settings and, for each "section.name", the layer it came from."""

    settings: Settings
    origin: dict[str, str]


def resolve(*layers: tuple[str, Mapping[str, Any]]) -> Resolved:
    """Merge named layers of sections over the defaults, and check the result.

    Raises ConfigError for an unknown section or key, a value of the wrong type or out of range, and settings that
    conflict; the message names the layer and the key.
    """
    origin = {f"{section}.{one.name}": "default" for section, one, _, _ in declared_settings()}
    values: Mapped = {section: {} for section in SECTIONS}
    for layer, sections in layers:
        for section, name, value in _checked(layer, sections):
            values[section][name] = value
            origin[f"{section}.{name}"] = layer
    settings = Settings(**{section: cls(**values[section]) for section, cls in SECTIONS.items()})
    check_together(settings)
    return Resolved(settings, origin)


def read_config(name: str) -> tuple[str, Mapped]:
    """Read a config file by path, or a shipped one by name, and return its label and sections.

    Raises ConfigError if there is no such file or it is not TOML.
    """
    import tomllib

    path = _config_path(name)
    try:
        return path.name, tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot read the config {path}: {reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def read_run_config(path: Path) -> tuple[str, Mapped]:
    """Read the config.toml of a run, and add the settings that are newer than the run."""
    label, sections = read_config(str(path))
    return label, filled_up(sections)


def filled_up(sections: Mapped) -> Mapped:
    """Return the recorded settings of a run, and the earlier behaviour for settings that are newer than the run.

    A run records all settings except those that were left open.
    """
    filled = dict(sections)
    for name, value in former_values().items():
        section, key = name.split(".")
        if isinstance(filled.setdefault(section, {}), Mapping):
            filled[section] = {key: value} | filled[section]
    return filled


def former_values() -> dict[str, Any]:
    """Return, by "section.name", the values in runs that are older than a setting, if they differ from the default."""
    return {
        f"{section}.{one.name}": detail.before for section, one, _, detail in declared_settings() if detail.before is not None
    }


def _config_path(name: str) -> Path:
    shipped = shipped_folder("configs") / f"{name.removesuffix('.toml')}.toml"
    if Path(name).is_file():
        return Path(name)
    if Path(name).name == name and shipped.is_file():
        return shipped
    nearest = nearest_shipped("configs", name)
    known = ", ".join(path.stem for path in shipped_files("configs"))
    hint = f"did you mean {nearest}?" if nearest else f"give a TOML file, or one of {known}"
    raise ConfigError(f"no such config: {name}", hint=hint)


def _checked(layer: str, sections: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield (section, name, value) of a layer, each value checked by itself."""
    for section, values in sections.items():
        if section not in SECTIONS:
            raise _unknown(
                layer, f"section [{section}]" if isinstance(values, Mapping) else f"key {section}", section, SECTIONS
            )
        if not isinstance(values, Mapping):
            raise ConfigError(f"{layer}: {section} is {values!r}, expected a section [{section}]")
        known = {one.name: (kind, detail) for name, one, kind, detail in declared_settings() if name == section}
        for name, value in values.items():
            if name not in known:
                raise _unknown(layer, f"key {section}.{name}", name, known)
            kind, detail = known[name]
            yield section, name, check_value(_label(layer, section, name, detail), value, kind, detail)


def _label(layer: str, section: str, name: str, detail: Setting) -> str:
    """Return the name of a setting in its layer."""
    if layer == COMMAND_LINE:
        return flag_name(name, detail)
    return keyword_name(name, detail) if layer == KEYWORDS else f"{layer}: {section}.{name}"


def keyword_layer(files: Sequence[str], given: Mapping[str, Any]) -> tuple[str, Mapped]:
    """Return the layer of keyword arguments, which are named as the flags.

    A setting without a default may be None, which leaves it open, and a flag for one value may be False. Raises ConfigError
    for an unknown keyword and for a setting given in two ways.
    """
    known = _keywords()
    sections: Mapped = {"corpus": {"files": list(files)}} if files else {}
    for keyword, value in given.items():
        if keyword not in known:
            raise unknown_keyword(keyword, known, first="files")
        section, one, shorthand = known[keyword]
        if shorthand is not None:
            value = shorthand if check_value(keyword, value, bool, Setting(help="")) else None
        elif value is None and one.default is not None:
            raise ConfigError(f"{keyword} is None, expected a value", hint="leave it out for the default")
        if value is None:
            continue
        values = sections.setdefault(section, {})
        if one.name in values:
            raise ConfigError(f"{section}.{one.name} is given twice", hint="choose one")
        values[one.name] = os.fspath(value) if isinstance(value, os.PathLike) else value
    return KEYWORDS, sections


def _keywords() -> dict[str, tuple[str, Field[Any], Any]]:
    """Return, by keyword, the section, the field and, for a flag that stands for one value, that value."""
    known: dict[str, tuple[str, Field[Any], Any]] = {}
    for section, one, _, detail in declared_settings():
        known |= {keyword_of(flag): (section, one, value) for flag, value in detail.shorthands.items()}
        known[keyword_name(one.name, detail)] = (section, one, None)
    del known["files"]  # which are positional
    return known


def unknown_keyword(keyword: str, known: Collection[str], *, first: str) -> ConfigError:
    """Return the error for an unknown keyword argument, with the one that was probably meant.

    first: the name of the positional argument.
    """
    likely = likely_name(keyword, [*known, first])
    if likely == first:
        return ConfigError(
            f"unknown keyword {keyword}",
            hint=f"pass the {first} first, without a keyword",
        )
    return ConfigError(f"unknown keyword {keyword}", hint=f"did you mean {likely}?" if likely else f"known: {', '.join(known)}")


def likely_name(typed: str, known: Collection[str]) -> str | None:
    """Return the keyword that a name probably means: a synonym, a part of it, or misspelt."""
    meant = (meaning(typed.replace("_", "-"), OPTIONS) or "").split()
    names = [KEYWORD_NAMES.get(one) or keyword_of(one) for one in meant]
    parts = [name for name in known if len(typed) > 2 and typed in name]
    return next(iter([*[name for name in names if name in known], *parts, *most_similar(typed, known)]), None)


def _unknown(layer: str, what: str, name: str, known: Mapping[str, Any]) -> ConfigError:
    matches = _meant_settings(name) if "." in what else []
    matches += most_similar(name, known)
    hint = f"did you mean {matches[0]}?" if matches else f"known: {', '.join(known)}"
    return ConfigError(f"{layer}: unknown {what}", hint=hint)


def _meant_settings(key: str) -> list[str]:
    """Return the settings, as section.name, that a key means in another section or as a synonym."""
    meant = (meaning(key.replace("_", "-"), OPTIONS) or "").split()
    flags = {f"--{key.replace('_', '-')}", *meant, *[f"--{KEYWORD_NAMES[one]}" for one in meant if one in KEYWORD_NAMES]}
    return [
        f"{section}.{one.name}"
        for section, one, _, detail in declared_settings()
        if flag_name(one.name, detail) in flags or one.name == key
    ]


def check_value(label: str, value: Any, kind: Any, detail: Setting) -> Any:
    """Return `value` as the setting's type; raise ConfigError, naming `label`, if it is of another type or out of range.

    A single value stands for a list of one, and one of several choices may be written in any case: LSTM, RMSprop.
    """
    if get_origin(kind) is tuple:
        values = value if isinstance(value, list | tuple) else (value,)
        return tuple(check_value(label, one, get_args(kind)[0], detail) for one in values)
    kind = next(one for one in get_args(kind) if one is not type(None)) if isinstance(kind, UnionType) else kind
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ConfigError(f"{label} is {value!r}, expected {_NOUNS[kind]}")
    if detail.choices and value not in detail.choices:
        if value.lower() in detail.choices:
            return value.lower()
        raise ConfigError(f"{label} is {value!r}, expected one of {', '.join(detail.choices)}")
    if kind in (int, float):
        _check_range(label, value, detail)
    return value


_NOUNS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def _check_range(label: str, value: float, detail: Setting) -> None:
    low, high = detail.minimum, detail.maximum
    if not math.isfinite(value):
        raise ConfigError(f"{label} is {value}, expected a finite number")
    if low is not None and value < low:
        raise ConfigError(f"{label} is {value}, expected {low:g} or more")
    if detail.above is not None and value <= detail.above:
        raise ConfigError(f"{label} is {value}, expected more than {detail.above:g}")
    if high is not None and value > high:
        raise ConfigError(f"{label} is {value}, expected {high:g} or less")
