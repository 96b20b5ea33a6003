"""Configuration files: YAML that may inherit from other files, read into the sections of ``config``."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from madg_speech.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


def find_config(path: Path) -> Path:
    """``path`` if it exists, else the same ``recipes/...`` path inside the installed package."""
    packaged = Path(__file__).parent.parent / path
    if path.exists() or path.is_absolute() or not packaged.exists():
        return path
    return packaged


def objective_of(path: Path) -> str:
    """The ``objective`` that a YAML file asks for, ``ctc`` where it is silent; ConfigError as below."""
    return str(_read(path, ()).get("objective", "ctc"))


def load_config(
    path: Path | str, model: type[Model], overrides: dict[str, Any] | None = None
) -> Model:
    """Read a YAML file; ``inherit: other.yaml`` (relative to it) supplies what it leaves out.

    ``inherit: [a.yaml, b.yaml]``: where both say something, the later one counts. A section may
    inherit a whole file too: ``speech: {inherit: speech.yaml, training: {...}}``.

    Raises:
        ConfigError: names the file, the key, and the nearest valid key or what was expected.
    """
    path = Path(path)
    values = _merge(_read(path, ()), overrides or {})
    for key, near in _unknown_keys(values, model):
        hint = f"; did you mean {near!r}?" if near else ""
        raise ConfigError(f"{path}: unknown key {key!r}{hint}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """What is wrong with the first value that does not fit, in one line."""
    first = error.errors()[0]
    if not first["loc"]:  # keys that do not go together; the input would be the whole file
        return first["msg"]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":  # the input would be all that is there
        return f"{place}: {first['msg']}"
    return f"{place}: {first['msg']} (got {first.get('input')!r})"


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in above:
        raise ConfigError(f"{path}: inherits from itself")
    if not path.is_file():
        raise ConfigError(f"configuration not found: {path}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML ({error})") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected keys and values at the top level")
    return _inherited(values, path, (*above, path.resolve()))


def _inherited(values: dict[str, Any], path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """``values`` of ``path`` over what their ``inherit`` names, and so in each section."""
    own = {
        key: _inherited(value, path, above) if isinstance(value, dict) else value
        for key, value in values.items()
        if key != "inherit"
    }
    parents = values.get("inherit") or []
    merged: dict[str, Any] = {}
    for parent in [parents] if isinstance(parents, str) else parents:
        merged = _merge(merged, _read(path.parent / str(parent), above))
    return _merge(merged, own)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _unknown_keys(
    values: dict[str, Any], model: type[BaseModel]
) -> Iterator[tuple[str, str | None]]:
    for key, value in values.items():
        field = model.model_fields.get(key)
        if field is None:
            near = difflib.get_close_matches(str(key), model.model_fields, 1, 0.4)
            yield str(key), near[0] if near else None
            continue
        section = field.annotation
        if isinstance(value, dict) and isinstance(section, type) and issubclass(section, BaseModel):
            yield from (
                (f"{key}.{inner}", near and f"{key}.{near}")
                for inner, near in _unknown_keys(value, section)
            )
