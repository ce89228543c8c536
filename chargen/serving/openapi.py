"""Describe the API of a server as an OpenAPI document, made from the declared fields of the bodies."""

from collections.abc import Sequence
from dataclasses import fields
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from chargen.serving.bodies import CompletionBody, NextBody, OpenAiBody, ScoreBody
from chargen.settings.schema import Setting
from chargen.version import __version__

POSTS: dict[str, tuple[type[Any], str]] = {
    "/api/complete": (CompletionBody, "Continue a text."),
    "/api/next": (NextBody, "Return the probable next tokens."),
    "/api/score": (ScoreBody, "Return the bits of each character of a text."),
    "/v1/completions": (OpenAiBody, "Continue a text, in the form of OpenAI's completions."),
}
GETS = {
    "/api/model": "Describe the model.",
    "/v1/models": "List the models, in the form of OpenAI.",
    "/health": "Report that the server answers.",
    "/metrics": "Report counts for Prometheus.",
}
TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}
ERRORS = {
    "401": "no valid token",
    "403": "a foreign host or origin",
    "408": "the body was too slow",
    "413": "the body or the text is too long",
    "422": "the body is invalid",
    "429": "too many requests are waiting",
    "503": "the request took too long, or the server is stopping",
}


def describe_api(models: Sequence[str]) -> dict[str, Any]:
    """Return the OpenAPI document of a server with some models; the first one is at the root."""
    paths = {path: {"get": {"summary": summary, "responses": _responses()}} for path, summary in GETS.items()}
    paths |= {path: {"post": _post(kind, summary)} for path, (kind, summary) in POSTS.items()}
    native = {path: details for path, details in paths.items() if path.startswith("/api/")}
    paths |= {f"/models/{name}{path}": details for name in models for path, details in native.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "chargen serve", "version": __version__},
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _post(kind: type[Any], summary: str) -> dict[str, Any]:
    content = {"application/json": {"schema": body_schema(kind)}}
    return {"summary": summary, "requestBody": {"required": True, "content": content}, "responses": _responses()}


def _responses() -> dict[str, Any]:
    return {"200": {"description": "the answer"}} | {status: {"description": why} for status, why in ERRORS.items()}


def body_schema(kind: type[Any]) -> dict[str, Any]:
    """Return the JSON schema of a body."""
    types = get_type_hints(kind)
    properties = {one.name: _property(types[one.name], one.metadata["setting"], one.default) for one in fields(kind)}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _property(kind: Any, detail: Setting, default: Any) -> dict[str, Any]:
    """Return the schema of one field. A single value stands for a list of one; null stands for the default."""
    nullable = {"type": "null"}
    if get_origin(kind) is tuple:
        item = _scalar(get_args(kind)[0], detail)
        return {"description": detail.help, "anyOf": [item, {"type": "array", "items": item}, nullable]}
    kind = next(one for one in get_args(kind) if one is not type(None)) if isinstance(kind, UnionType) else kind
    known = {} if default is None else {"default": default}
    return {"description": detail.help, "anyOf": [_scalar(kind, detail), nullable], **known}


def _scalar(kind: Any, detail: Setting) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": TYPES[kind]}
    bounds = {"minimum": detail.minimum, "maximum": detail.maximum, "exclusiveMinimum": detail.above}
    schema |= {name: value for name, value in bounds.items() if value is not None}
    return schema | ({"enum": list(detail.choices)} if detail.choices else {})
