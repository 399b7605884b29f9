"""The design's rules R1 to R6 and the sizes of STYLE.md, read from the syntax trees.

Nothing is imported here except `plugs` for its list of kinds; the last tests start a fresh Python
to see what loading really brings in.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from modelwright import plugs

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "modelwright"

ORDER = (
    "samples",
    "errors",
    "plugs",
    "runtime",
    "artifacts",
    "recipe",
    "metrics",
    "encoders",
    "tasks",
    "models",
    "engines",
    "formats",
    "data",
    "train",
    "compress",
    "evaluate",
    "package",
    "serve",
    "monitor",
    "deploy",
    "registry",
    "pipeline",
    "renew",
    "studio",
    "cli",
    "testing",
)
STAGES = ("data", "train", "compress", "evaluate", "package", "serve", "monitor", "deploy")
STAGE_EXCEPTIONS = {("compress", "train"): "recovery training (DESIGN.md, R2)"}

_HEAVY = """
torch torchvision transformers accelerate peft trl tokenizers safetensors sentence_transformers
onnx onnxruntime onnxscript openvino nncf torchao optuna ray
pandas pyarrow polars duckdb datasets sqlalchemy fsspec s3fs huggingface_hub
fastapi starlette uvicorn httpx requests aiohttp prometheus_client opentelemetry
PIL sklearn matplotlib captum fairlearn mlflow tensorboard jinja2 rich
"""
HEAVY = frozenset(_HEAVY.split())
ARRAYS = frozenset({"numpy", "scipy"})
"""Heavy only where `mw --help`, `check` and `list` pass: the folders and files below."""
LIGHT_FOLDERS = ("errors", "plugs", "runtime", "recipe", "cli")

_TORCH = "imported only when a model is made, loaded or trained"
LEAVES: dict[str, tuple[set[str], str]] = {
    "compress/depth.py": ({"torch"}, _TORCH),
    "compress/gates.py": ({"torch"}, _TORCH),
    "compress/importance.py": ({"torch"}, _TORCH),
    "compress/reconstruct.py": ({"torch"}, _TORCH),
    "compress/teaching.py": ({"torch"}, _TORCH),
    "models/attention.py": ({"torch"}, _TORCH),
    "models/heads.py": ({"torch"}, _TORCH),
    "models/importing.py": ({"torch"}, _TORCH),
    "models/checkpoint.py": ({"torch"}, _TORCH),
    "models/dropout.py": ({"torch"}, _TORCH),
    "models/network.py": ({"torch"}, _TORCH),
    "models/preparing.py": ({"torch"}, _TORCH),
    "serve/_admin.py": ({"starlette"}, "the admin application"),
    "serve/_asking.py": ({"starlette"}, "part of the web application"),
    "serve/_feedback.py": ({"starlette"}, "part of the web application"),
    "serve/_reading.py": ({"starlette"}, "part of the web application"),
    "serve/_server.py": ({"uvicorn"}, "the HTTP server itself, imported by the stage"),
    "serve/app.py": ({"starlette"}, "the web application itself, imported by the stage's run"),
    "train/averaging.py": ({"torch"}, _TORCH),
    "train/loop.py": ({"torch", "transformers"}, _TORCH),
    "train/stage.py": ({"torch"}, _TORCH),
    "train/vocabulary.py": ({"torch"}, _TORCH),
}
"""File -> (libraries, reason) for a heavy import at module level."""

DYNAMIC_IMPORTERS = {
    "plugs.py": "finds parts",
    "runtime/libraries.py": "optional libraries, with the extra that brings them",
    "__init__.py": "public names resolve lazily",
    "cli/main.py": "verbs are found by file name",
    "cli/completion.py": "verbs are found by file name",
}
PLUG_IMPORT_EXCEPTIONS: dict[tuple[str, str], str] = {}
"""(importing file, plug) -> reason."""

DEEP_CLASSES = {
    "RecipeError": "the exception tree is drawn at the top of errors.py",
}
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {
    "cli/serve.py:command": "a verb declares its options as parameters, as typer wants",
}
MANY_PARAMETERS: dict[str, str] = {}
"""`file:function` -> reason."""


@dataclass(frozen=True)
class Import:
    """One imported name with where it stands."""

    module: str
    line: int
    top_level: bool
    relative: bool = False


@dataclass(frozen=True)
class Source:
    """A file of the package and its tree."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(PACKAGE).as_posix()

    @property
    def folder(self) -> str:
        """The first step below the package: `data`, or `errors` for errors.py."""
        return self.name.split("/")[0].removesuffix(".py")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"))

    @cached_property
    def imports(self) -> list[Import]:
        return list(_imports(self.tree))

    @property
    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node


def _imports(tree: ast.Module) -> Iterator[Import]:
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    typing_only = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.dump(test.test)
        for node in ast.walk(test)
    }
    for node in ast.walk(tree):
        top = id(node) not in inner and id(node) not in typing_only
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, top)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield Import("." * node.level + (node.module or ""), node.lineno, top, True)
                continue
            module = node.module or ""
            yield Import(module, node.lineno, top)
            for alias in node.names:
                inside = PACKAGE.parent.joinpath(*module.split("."), alias.name)
                if inside.with_suffix(".py").is_file() or inside.is_dir():
                    yield Import(f"{module}.{alias.name}", node.lineno, top)


SOURCES = [Source(path) for path in sorted(PACKAGE.rglob("*.py"))]


def _own(module: str) -> str | None:
    """The folder of ours that a module lies in, or None."""
    parts = module.split(".")
    return parts[1] if parts[0] == "modelwright" and len(parts) > 1 else None


def _report(found: list[str]) -> None:
    assert not found, "\n" + "\n".join(found)


def test_every_folder_has_its_place_in_the_order() -> None:
    unknown = {source.folder for source in SOURCES} - set(ORDER) - {"__init__", "__main__"}
    assert not unknown, f"add to ORDER, with a decision record: {sorted(unknown)}"


def test_r1_a_folder_imports_only_from_folders_above_it() -> None:
    rank = {name: index for index, name in enumerate(ORDER)}
    found = []
    for source in SOURCES:
        if source.folder in {"__init__", "__main__"}:
            continue
        for imported in source.imports:
            other = _own(imported.module)
            if other in rank and rank[other] > rank[source.folder]:
                found.append(f"{source.name}:{imported.line} imports {imported.module}")
    _report(found)


def test_r2_stages_meet_on_disk() -> None:
    found = []
    for source in SOURCES:
        for imported in source.imports:
            other = _own(imported.module)
            if source.folder not in STAGES or other not in STAGES or other == source.folder:
                continue
            if (source.folder, other) not in STAGE_EXCEPTIONS:
                found.append(f"{source.name}:{imported.line} imports {imported.module}")
    _report(found)


def _plug_files() -> dict[str, Path]:
    """Module name -> file of every plug."""
    return {
        f"{module}.{path.stem}": path
        for kind, module in plugs.KINDS.items()
        for path in sorted(plugs.folder(kind).glob("*.py"))
        if not path.name.startswith("_")
    }


def test_r3_nobody_imports_a_plug_by_name() -> None:
    files = _plug_files()
    found = [
        f"{source.name}:{imported.line} imports the plug {imported.module}"
        for source in SOURCES
        for imported in source.imports
        if imported.module in files and (source.name, imported.module) not in PLUG_IMPORT_EXCEPTIONS
    ]
    _report(found)


def test_r3_only_named_files_import_dynamically() -> None:
    found = []
    for source in SOURCES:
        if source.name in DYNAMIC_IMPORTERS or source.path.stem == "__init__":
            continue  # a package may export its names lazily
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__"}:
                found.append(f"{source.name}:{node.lineno} imports dynamically")
    _report(found)


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_r4_heavy_libraries_are_not_imported_at_module_level() -> None:
    plug_files = {path.relative_to(PACKAGE).as_posix() for path in _plug_files().values()}
    found = []
    for source in SOURCES:
        light = source.folder in LIGHT_FOLDERS or source.name in plug_files
        light = light or (source.path.stem == "__init__" and source.folder != "metrics")
        for imported in source.imports:
            library = imported.module.split(".")[0]
            banned = library in HEAVY or (library in ARRAYS and light)
            if (
                banned
                and imported.top_level
                and library not in LEAVES.get(source.name, ((), ""))[0]
            ):
                found.append(f"{source.name}:{imported.line} imports {library} at module level")
    _report(found)


def test_r5_imports_are_absolute() -> None:
    _report(
        [
            f"{source.name}:{imported.line} imports {imported.module}"
            for source in SOURCES
            for imported in source.imports
            if imported.relative
        ]
    )


def test_r6_no_class_is_deeper_than_abstract_to_final() -> None:
    bases: dict[str, set[str]] = {}
    for source in SOURCES:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef):
                names = {ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases}
                bases.setdefault(node.name, set()).update(names)
    found = [
        f"{name} -> {parent} -> {grandparent}"
        for name, parents in bases.items()
        for parent in parents
        for grandparent in bases.get(parent, ())
        if grandparent in bases and name not in DEEP_CLASSES and name != parent
    ]
    _report(found)


def test_no_file_is_a_drawer_for_anything() -> None:
    drawers = {"utils", "util", "common", "helpers", "helper", "misc"}
    _report([source.name for source in SOURCES if source.path.stem.strip("_") in drawers])


def test_files_have_at_most_500_lines() -> None:
    found = []
    for source in SOURCES:
        lines = len(source.path.read_text(encoding="utf-8").splitlines())
        if lines > 500 and source.name not in LONG_FILES:
            found.append(f"{source.name}: {lines} lines")
    _report(found)


def test_functions_have_at_most_60_lines() -> None:
    found = []
    for source in SOURCES:
        for function in source.functions:
            name, lines = f"{source.name}:{function.name}", _length(function)
            if lines > 60 and name not in LONG_FUNCTIONS:
                found.append(f"{name}: {lines} lines")
    _report(found)


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines without the docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def test_functions_have_at_most_6_parameters() -> None:
    """A verb's `command` declares its options as parameters, as typer wants; it is no exception
    in spirit, so it is left out."""
    found = []
    for source in SOURCES:
        for function in source.functions:
            name = f"{source.name}:{function.name}"
            if source.folder == "cli" and function.name == "command":
                continue
            arguments = function.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            count = len([a for a in every if a.arg not in {"self", "cls"}])
            if count > 6 and name not in MANY_PARAMETERS:
                found.append(f"{name}: {count} parameters")
    _report(found)


@pytest.mark.parametrize(
    "listed", [LEAVES, LONG_FILES, LONG_FUNCTIONS, MANY_PARAMETERS, DYNAMIC_IMPORTERS]
)
def test_exceptions_name_files_that_exist(listed: dict[str, object]) -> None:
    gone = [name for name in listed if not (PACKAGE / name.split(":")[0]).is_file()]
    assert not gone, f"delete these exceptions: {gone}"


def test_every_plug_has_a_mirrored_test() -> None:
    missing = []
    for path in _plug_files().values():
        place = path.relative_to(PACKAGE)
        test = ROOT / "tests" / place.parent / f"test_{place.stem}.py"
        if not test.is_file():
            missing.append(f"{place.as_posix()} has no {test.relative_to(ROOT).as_posix()}")
    _report(missing)


def test_every_plug_says_what_it_is() -> None:
    found = []
    for path in _plug_files().values():
        first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[
            0
        ]
        if not first.endswith((".", ":")) or len(first) > 100:
            found.append(f"{path.relative_to(PACKAGE)}: first line of the docstring: {first!r}")
    _report(found)


def test_every_plug_names_an_extra_that_can_be_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    found = []
    for kind in plugs.KINDS:
        for name in plugs.names(kind):
            unknown = set(plugs.load(kind, name).requires.values()) - set(extras)
            found += [f"{kind} {name}: {extra}" for extra in sorted(unknown)]
    _report(found)


LOADED = """
import sys
from modelwright import plugs
for kind in {kinds!r}:
    for name in plugs.names(kind):
        plugs.load(kind, name)
print(*sorted({{name.split('.')[0] for name in sys.modules}} & {heavy!r}))
"""


@pytest.mark.parametrize(
    "kind",
    ["task", "source", "cleaner", "augmenter", "method", "suite", "format", "pass"],
)
def test_loading_a_part_for_a_check_brings_in_no_heavy_library(kind: str) -> None:
    program = LOADED.format(kinds=[kind], heavy=set(HEAVY | ARRAYS))
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(PACKAGE.parent), "PYDANTIC_DISABLE_PLUGINS": "__all__"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
