"""A recipe file to plain values: encoding, YAML, `--set` overrides, environment variables.

    bytes ─ decode ─▶ text ─ parse ─▶ values + places ─ --set ─▶ ─ ${VAR} ─▶ Loaded

What makes reading impossible is raised; every other mistake is kept in `Loaded.problems`, so that
`check` reports it together with the rest.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from modelwright.errors import Problem, RecipeError, nearest
from modelwright.recipe.parse import parse
from modelwright.recipe.places import SET, Path, Place, Places, dotted, parsed

MAX_BYTES = 256 * 1024

_VARIABLE = re.compile(r"\$\{([^}]*)\}?")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UTF16_32 = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


@dataclass
class Loaded:
    """A recipe's values before they are checked.

    Attributes:
        file: the recipe as the user named it.
        folder: where its relative paths start.
        values: plain dictionaries, lists and scalars.
        places: where each value stands.
        problems: mistakes found so far.
    """

    file: str
    folder: FilePath
    values: dict[str, Any]
    places: Places
    problems: list[Problem]


def load(path: FilePath | str, sets: Sequence[str] = ()) -> Loaded:
    """Read a recipe and apply `--set KEY=VALUE` overrides.

    Raises:
        RecipeError: MW-804 (no such file), MW-103 (not YAML), MW-102 or MW-104 (no section at all).
    """
    file = str(path)
    document = parse(_decode(_read(FilePath(path), file), file), file)
    if document.empty or document.value is None:
        raise _error(
            "MW-104",
            "the recipe is empty",
            file,
            "at least the keys name, task and data",
            "write one, or let `mw new DATA` write it",
        )
    if not isinstance(document.value, dict):
        kind = "a list" if isinstance(document.value, list) else "a single value"
        raise _error(
            "MW-102",
            f"the recipe is {kind}",
            file,
            "keys with values: `name: my-run`",
            "start the file with `name: ...`, without a dash before it",
        )
    folder = FilePath(path).resolve().parent
    loaded = Loaded(file, folder, document.value, Places(file, document.places), document.problems)
    for text in sets:
        _override(loaded, text)
    _fill_variables(loaded)
    return loaded


# -- the file -------------------------------------------------------------------------------------
def _error(
    code: str, seen: str, file: str, expected: str, fix: str, *, line: int | None = None
) -> RecipeError:
    return RecipeError(
        [Problem(code=code, seen=seen, expected=expected, fix=fix, file=file, line=line)]
    )


def _read(path: FilePath, file: str) -> bytes:
    try:
        if path.is_dir():
            recipes = sorted(p.name for p in path.iterdir() if p.suffix in {".yaml", ".yml"})
            fix = f"name the file: {path / recipes[0]}" if recipes else "name a recipe in it"
            raise _error("MW-804", "this is a folder", file, "a recipe file", fix)
        if not path.exists():
            raise _missing(path, file)
        if not path.is_file():
            raise _error("MW-804", "this is not a regular file", file, "a recipe file", "name one")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise _error(
                "MW-103",
                f"the file has {size:,} bytes",
                file,
                f"a recipe, which has at most {MAX_BYTES:,}",
                "is this the data? `mw new DATA` writes a recipe for it",
            )
        return path.read_bytes()
    except OSError as error:
        raise _error(
            "MW-804",
            f"it cannot be read: {error.strerror or error}",
            file,
            "a readable file",
            "check the path and its permissions",
        ) from error


def _missing(path: FilePath, file: str) -> RecipeError:
    folder = path.parent
    names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    recipes = sorted(name for name in names if name.endswith((".yaml", ".yml")))
    close = nearest(path.name, recipes)
    if close:
        fix = f"did you mean `{folder / close}`?"
    elif recipes:
        fix = f"recipes in that folder: {', '.join(recipes[:8])}"
    else:
        fix = "`mw new DATA -o recipe.yaml` writes one"
    return _error("MW-804", "there is no such file", file, "a recipe file", fix)


def _decode(data: bytes, file: str) -> str:
    for mark, name in _UTF16_32:
        if data.startswith(mark):
            raise _encoding(file, name, name.lower())
    if b"\0" in data:
        raise _error(
            "MW-103",
            "the file is binary (it holds zero bytes)",
            file,
            "text in UTF-8",
            "name the recipe, not data or a model; `mw new DATA` writes a recipe for data",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _encoding(file, _guess(data), "gb18030", line, data[error.start]) from None


def _guess(data: bytes) -> str:
    """The likeliest encoding of text that is not UTF-8."""
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return "Latin-1"
    return "GBK" if any("\u4e00" <= character <= "\u9fff" for character in text) else "Latin-1"


def _encoding(
    file: str, name: str, iconv: str, line: int | None = None, byte: int | None = None
) -> RecipeError:
    iconv = "latin1" if name == "Latin-1" else iconv
    seen = f"the text is not UTF-8; it looks like {name}"
    if byte is not None:
        seen += f" (byte 0x{byte:02X})"
    fix = f"save it as UTF-8: `iconv -f {iconv} -t utf-8 {file} > utf8.yaml`"
    return _error("MW-103", seen, file, "text in UTF-8", fix, line=line)


# -- overrides ------------------------------------------------------------------------------------
def _override(loaded: Loaded, text: str) -> None:
    """Apply one `KEY=VALUE`; what cannot be understood becomes MW-109."""
    key, equals, value = text.partition("=")
    path = parsed(key.strip())
    if not equals or path is None:
        loaded.problems.append(
            _set_problem(text, "KEY=VALUE, such as finetune.epochs=2", _set_fix(text, equals))
        )
        return
    try:
        document = parse(value, SET)
    except RecipeError as error:
        loaded.problems.append(
            _set_problem(text, "a YAML value after =", f"{error.problem.seen}; quote the value")
        )
        return
    if document.problems:
        loaded.problems.append(_set_problem(text, "each key once", document.problems[0].seen))
        return
    parent = _parent(loaded, path, text)
    if parent is None:
        return
    loaded.places.forget(path)
    _assign(parent, path[-1], document.value)
    for below in document.places or {(): None}:
        loaded.places.of[(*path, *below)] = Place(SET)


def _set_fix(text: str, equals: str) -> str:
    if not equals:
        return f"write --set {text.replace(':', '=', 1) if ':' in text else text + '=VALUE'}"
    return "write the key with dots: --set data.splits.validation=0.2"


def _set_problem(text: str, expected: str, fix: str) -> Problem:
    return Problem(code="MW-109", seen=f"`{text}`", expected=expected, fix=fix, file=SET, line=None)


def _parent(loaded: Loaded, path: Path, text: str) -> Any:
    """The section or list that holds `path`, made where it is not there; None with a problem."""
    holder: Any = loaded.values
    for depth, step in enumerate(path[:-1]):
        here = path[: depth + 1]
        child = _child(holder, step)
        if child is None:
            child = {}
            if not _fits(holder, step):
                loaded.problems.append(_no_item(text, path[:depth], holder))
                return None
            _assign(holder, step, child)
            loaded.places.of[here] = Place(SET)
        elif child == path[depth + 1]:
            child = {child: {}}  # the short form of a part, `lora`, becomes {lora: {}}
            _assign(holder, step, child)
        elif not isinstance(child, (dict, list)):
            loaded.problems.append(
                _set_problem(
                    text,
                    f"a section at `{dotted(here)}`, which is `{child}`",
                    f"set `{dotted(here)}` itself",
                )
            )
            return None
        holder = child
    if not _fits(holder, path[-1]):
        loaded.problems.append(_no_item(text, path[:-1], holder))
        return None
    return holder


def _child(holder: Any, step: str | int) -> Any:
    if isinstance(holder, dict):
        return holder.get(step)
    if isinstance(step, int) and step < len(holder):
        return holder[step]
    return None


def _fits(holder: Any, step: str | int) -> bool:
    if isinstance(holder, list):
        return isinstance(step, int) and step <= len(holder)
    return isinstance(step, str)


def _assign(holder: Any, step: str | int, value: Any) -> None:
    if isinstance(holder, dict):
        holder[step] = value
    elif step == len(holder):
        holder.append(value)
    else:
        holder[step] = value


def _no_item(text: str, path: Path, holder: Any) -> Problem:
    if isinstance(holder, list):
        expected = f"an index from 0 to {len(holder)} after `{dotted(path)}`"
        return _set_problem(text, expected, f"set the whole list: {dotted(path)}=[...]")
    return _set_problem(text, f"a key after `{dotted(path)}`", "it is a section, not a list")


# -- environment variables ------------------------------------------------------------------------
def _fill_variables(loaded: Loaded) -> None:
    """Replace `${VAR}` in path-like values; a missing one becomes MW-108."""
    loaded.values = copy.deepcopy(loaded.values)
    for path in list(loaded.places.of):
        if _is_path_like(path):
            _fill(loaded, path)


def _is_path_like(path: Path) -> bool:
    match path:
        case ("base",) | ("data", "source"):
            return True
        case ("data", "splits", "train" | "validation" | "test"):
            return True
        case ("data", "options", *_) | ("package", _, *_):
            return True
    return False


def _fill(loaded: Loaded, path: Path) -> None:
    holder: Any = loaded.values
    for step in path[:-1]:
        holder = holder[step]
    text = holder[path[-1]]
    if not isinstance(text, str) or "${" not in text:
        return
    missing: list[str] = []

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if not match[0].endswith("}") or not _VARIABLE_NAME.fullmatch(name):
            missing.append("")
            return match[0]
        if name not in os.environ:
            missing.append(name)
            return match[0]
        loaded.places.variables[name] = os.environ[name]
        return os.environ[name]

    holder[path[-1]] = _VARIABLE.sub(value_of, text)
    loaded.places.raw[path] = text
    loaded.problems += [_variable_problem(loaded, path, text, name) for name in missing]


def _variable_problem(loaded: Loaded, path: Path, text: str, name: str) -> Problem:
    place = loaded.places.at(path)
    known = nearest(name, os.environ) if name else None
    fix = f"export {name}=..." if name else "write ${NAME} with letters, digits and _"
    if known:
        fix += f", or did you mean `${{{known}}}`?"
    return Problem(
        code="MW-108",
        seen=f"`{dotted(path)}: {text}`"
        + (f": the environment has no variable {name}" if name else ": this names no variable"),
        expected="a variable that is set",
        fix=fix,
        file=place.file,
        line=place.line,
    )
