"""Profiles and environment become settings; what is wrong is said in one line with key, file and line.

Later sources win: the defaults of the schema, the profile's file, then variables such as
`WHYDESK__RISK__MAX_GROSS=0.4` (two underscores between levels, YAML values).
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from configs.schema.settings import Settings

PROFILES = Path(__file__).parent / "profiles"
PREFIX = "WHYDESK__"
MOST_BYTES = 1_000_000
LONGEST = 600


class SettingsError(ValueError):
    """One line: which key of which file and line, what was found and what was expected."""


def load(profile: str, environment: Mapping[str, str]) -> Settings:
    """Read a profile by name or path, lay the environment over it, and check every value."""
    path = find(profile)
    values, lines = read(path)
    for name, text in sorted(environment.items()):
        if name.startswith(PREFIX):
            _lay_over(values, lines, name, text)
    return convert(values, lines, path)


def text_of(values: Mapping[str, Any]) -> str:
    """The text of a profile that holds these values."""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)


def find(profile: str) -> Path:
    """The file of a profile: a path if there is one of that name, else a shipped profile."""
    path = Path(profile)
    if path.is_file():
        return path
    shipped = PROFILES / f"{profile}.yaml"
    if re.fullmatch(r"[a-z0-9_-]+", profile) and shipped.is_file():
        return shipped
    known = ", ".join(sorted(each.stem for each in PROFILES.glob("*.yaml")))
    raise SettingsError(f"profile {profile!r} is neither a file nor one of: {known}")


def read(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of a file, and where each key stands ("file line 12")."""
    try:
        raw = path.read_bytes()
        if len(raw) > MOST_BYTES:
            raise SettingsError(f"{path}: {len(raw)} bytes is too long for a profile (at most {MOST_BYTES})")
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not UTF-8 text") from None
    node, values = _parse(text, str(path), "YAML")
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: expected sections such as `desk:`, found {type(values).__name__}")
    lines: dict[str, str] = {}
    _note_lines(node, "$", path, lines)
    return values, lines


def _parse(text: str, where: str, what: str) -> tuple[Any, Any]:
    """The tree and the values. References are refused: one could contain itself, or a billion others."""
    try:
        events = yaml.parse(text, Loader=yaml.SafeLoader)
        reference = next((event for event in events if isinstance(event, yaml.AliasEvent)), None)
        if reference is None:
            return yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise SettingsError(f"{where}: is not {what}: {_one_line(error)}") from None
    line = reference.start_mark.line + 1 if reference.start_mark else 1
    raise SettingsError(f"{where} line {line}: *{reference.anchor} is a reference; write the value itself")


def convert(values: dict[str, Any], lines: Mapping[str, str], path: Path) -> Settings:
    """Check and freeze. SettingsError names the key, where it stands and what was meant."""
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(str(error), values, lines, path)) from None


def _note_lines(node: Any, at: str, path: Path, lines: dict[str, str]) -> None:
    """Walk the YAML tree; a key that stands twice is refused, for the second would silently win."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            where = f"{path} line {key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                shown = repr(key.value) if isinstance(key, yaml.ScalarNode) else f"a {key.id}"
                raise SettingsError(f"{where}: {shown} cannot be a key; expected a name such as desk")
            name = f"{at}.{key.value}"
            if name in lines:
                raise SettingsError(f"{where}: {name[2:]} is set twice, first at {lines[name]}")
            lines[name] = where
            _note_lines(value, name, path, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[f"{at}[{index}]"] = f"{path} line {value.start_mark.line + 1}"
            _note_lines(value, f"{at}[{index}]", path, lines)


def _lay_over(values: dict[str, Any], lines: dict[str, str], name: str, text: str) -> None:
    keys = name[len(PREFIX) :].lower().split("__")
    _, value = _parse(text, f"environment {name}", "a YAML value")
    place = values
    for depth, key in enumerate(keys[:-1], start=1):
        lines.setdefault("$." + ".".join(keys[:depth]), f"environment {name}")
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise SettingsError(f"environment {name}: {key} is a value, not a section")
    place[keys[-1]] = value
    at = "$." + ".".join(keys)
    for inside in [known for known in lines if known.startswith((f"{at}.", f"{at}["))]:
        del lines[inside]
    lines[at] = f"environment {name}"


def _explain(message: str, values: dict[str, Any], lines: Mapping[str, str], path: Path) -> str:
    """msgspec's words, with the place in the file, the value found, and the nearest known key."""
    said, _, at = message.partition(" - at `")
    at = at.rstrip("`").removeprefix("key` in `") or "$"
    unknown = re.search(r"unknown field `(.*)`", said, re.DOTALL)
    if unknown:
        key = unknown.group(1)
        near = difflib.get_close_matches(key, _known_keys(at), n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(_known_keys(at))}"
        full = f"{at}.{key}"
        return _short(f"{_where(full, lines, path)}: unknown key {full[2:]}{hint}")
    if said.startswith(("Expected", "Invalid", "Object")):  # msgspec's words, not a name of ours
        said = said[0].lower() + said[1:]
    return _short(f"{_where(at, lines, path)}: {at[2:] or 'settings'}: {said}{_found(at, values)}")


def _known_keys(at: str) -> list[str]:
    """The keys that the section at a path such as `$.risk` knows."""
    kind: Any = Settings
    for part in re.findall(r"[a-z_]+|\[", at[1:]):
        hints = {field.name: field.type for field in msgspec.structs.fields(kind)} if part != "[" else {}
        kind = hints.get(part, kind) if part != "[" else _element(kind)
    return [field.name for field in msgspec.structs.fields(kind)]


def _element(kind: Any) -> Any:
    """The type inside `Annotated[tuple[X, ...], ...]`."""
    inner = getattr(kind, "__args__", (kind,))[0]
    return getattr(inner, "__args__", (inner,))[0]


def _where(at: str, lines: Mapping[str, str], path: Path) -> str:
    """The line of the key, or of the nearest section around it that stands in the file."""
    while at:
        for known, where in lines.items():
            if known == at or re.sub(r"\[\d+\]", "[...]", known) == at:
                return where
        at = at[: max(at.rfind("."), at.rfind("["), 0)]
    return str(path)


def _found(at: str, values: Any) -> str:
    for part in re.findall(r"[^.\[\]$]+", at):
        if isinstance(values, dict) and part in values:
            values = values[part]
        elif isinstance(values, list) and part.isdecimal() and int(part) < len(values):
            values = values[int(part)]
        else:
            return ""
    if isinstance(values, dict | list):
        return ""
    try:
        return f", was {values!r}"
    except ValueError:  # an integer of thousands of digits
        return ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _short(message: str) -> str:
    """One line, however long the key or the value that somebody wrote."""
    line = " ".join(message.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."
