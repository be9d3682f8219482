"""Sources of an agent: the code and hyper-parameter files that determine its behaviour.

`fingerprint` hashes them, so that results of a changed agent are not mistaken for its own:

* the module that defines the agent, and the agent's own modules that it imports, directly or
  indirectly: those of `agents` and of the user.  The standard library, installed packages and
  `amc_gym` are not the agent's own; a record names their versions;
* YAML and TOML files that these modules name in their code;
* files that the agent declares: a class or function may have an attribute
  ``hyperparameter_files``, a function that takes the agent's keyword arguments and returns paths;
* own modules that such files name, as rows of hyper-parameters name classes.

Files are read and nothing is run: an import inside a function counts, too, and an import whose name
is computed does not.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import json
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

PACKAGE = __package__ or "agents"
"""Package of the agents: ``agents`` in a checkout, ``amc_gym.agents`` from a wheel."""

FRAME = (PACKAGE, *(f"{PACKAGE}.{name}" for name in ("registry", "recording", "sources")))
"""Modules that register and record agents, and belong to none of them."""

OTHERS = ("amc_gym", "benchmarks")
"""Packages of this project that are no agent's own, in any folder."""

INSTALLED = {"site-packages", "dist-packages"}
"""Folders of installed packages."""

DATA = (".yml", ".yaml", ".toml")

_DOTTED = re.compile(rb"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")


def fingerprint(factory: Any, arguments: Mapping[str, Any] | None = None) -> str:
    """Return 16 hexadecimal digits that change with an agent's code and its files.

    Args:
        factory: the registered class or function, or a `functools.partial` of one.
        arguments: further keyword arguments that the agent will be made with; they determine which
            files it reads.

    Raises:
        ValueError: the agent was not defined in a file.
        OSError: a file cannot be read.
    """
    keywords: dict[str, Any] = {}
    positional: tuple[Any, ...] = ()
    while isinstance(factory, partial):
        keywords, positional = factory.keywords | keywords, (*factory.args, *positional)
        factory = factory.func
    factory = inspect.unwrap(factory)
    defined = factory if hasattr(factory, "__qualname__") else type(factory)
    files: list[Path] = []
    if callable(reads := getattr(factory, "hyperparameter_files", None)):
        read: Any = reads(**keywords | dict(arguments or {}))
        files = [Path(path) for path in read]
    parts = _sources(defined.__module__, files)
    if parts is None:
        raise ValueError(
            f"the code of {defined.__qualname__} cannot be read, so that changes would go "
            "unnoticed: define the agent in a module, which is a file"
        )
    parts["made with"] = json.dumps(_plain([positional, keywords]), sort_keys=True).encode()
    return _digest(parts)


def fingerprint_of_module(name: str) -> str | None:
    """Hash the code of a module or script; ``None`` if it has no file."""
    parts = _sources(name)
    return None if parts is None else _digest(parts)


def _sources(root: str, files: Iterable[Path] = ()) -> dict[str, bytes] | None:
    """Return the contents of a module and of all it needs, by name; ``None`` without a file."""
    first = _located(root)
    if first is None:
        return None
    parts: dict[str, bytes] = {}
    modules, data, read = {root: first}, list(files), set[Path]()
    while modules or data:
        if data:
            path = data.pop()
            content = _content(path)
            parts[f"file {path.name} {hashlib.sha256(content).hexdigest()}"] = content
            read.add(path)
            names = [here(name.decode()) for name in _DOTTED.findall(content)]
        else:
            name, path = modules.popitem()
            content = parts[_key(name)] = _content(path)
            tree = _parsed(content)
            names = list(_imports(tree, name if path.name == "__init__.py" else _parent(name)))
            data += set(_named(tree, path)) - {*read, *data}
        for needed in {each for name in names for each in _with_parents(name)}:
            path = None if _key(needed) in parts else _located(needed)
            if path is not None and _is_own(needed, path, root):
                modules[needed] = path
    return parts


def here(name: str) -> str:
    """Return the name here of a module that hyper-parameter files call ``agents.replay``."""
    return f"{PACKAGE}.{name.removeprefix('agents.')}" if name.startswith("agents.") else name


def _key(name: str) -> str:
    """Return the name under which a module is hashed, the same in a checkout and from a wheel."""
    inside = name.startswith(f"{PACKAGE}.")
    return f"module agents.{name.removeprefix(f'{PACKAGE}.')}" if inside else f"module {name}"


def _is_own(name: str, path: Path, root: str) -> bool:
    top = _top(name)
    if name in FRAME:
        return False
    if name.startswith(f"{PACKAGE}."):
        return True
    if top in OTHERS:
        return False
    if top == _top(root):  # the agent's own package
        return True
    # Packages may also belong to another environment that this one uses.
    borrowed = INSTALLED.intersection(path.parts)
    return not borrowed and not any(path.is_relative_to(folder) for folder in _installed())


@cache
def _installed() -> tuple[Path, ...]:
    """Return the folders of the standard library and of installed packages."""
    found = map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib"))
    return tuple({Path(folder).resolve() for folder in found if folder})


def _located(name: str) -> Path | None:
    """Return the file of a module, without importing anything."""
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded is not None:
        return _file(loaded)
    top, *inner = name.split(".")
    module = sys.modules.get(top)
    if module is not None:
        file, folders = getattr(module, "__file__", None), list(getattr(module, "__path__", ()))
    else:
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
        file = spec.origin if spec.has_location else None
        folders = list(spec.submodule_search_locations or ())
    for part in inner:
        places = [Path(folder, part) for folder in folders]
        choices = [each for place in places for each in (place / "__init__.py", _py(place))]
        file = next((each for each in choices if each.is_file()), None)
        folders = [place for place in places if place.is_dir()]
    return None if file is None else _file(file)


def _file(path: str | Path) -> Path | None:
    path = Path(path).resolve()
    return path if path.is_file() else None


def _py(path: Path) -> Path:
    return path.with_name(f"{path.name}.py")


def _parsed(content: bytes) -> ast.AST:
    try:
        return ast.parse(content)
    except (SyntaxError, ValueError):  # compiled code: hashed, but without names
        return ast.Module([], [])


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the names of all modules that code imports; some may be names in a module instead."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            outer = package.split(".")
            outer = outer[: len(outer) - node.level + 1] if node.level else []
            base = ".".join(filter(None, [*outer, node.module]))
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


def _named(tree: ast.AST, module: Path) -> Iterator[Path]:
    """Yield files that string constants name, beside the module or in the current folder."""
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if not isinstance(text, str) or not text.endswith(DATA) or len(text) > 255:
            continue
        # ".yml" alone is an argument of `Path(__file__).with_suffix`.
        names = [module.with_suffix(text)] if text in DATA else []
        places = (*names, module.parent / text, Path.cwd() / text)
        yield from [path for path in places if path.is_file()][:1]


def _with_parents(name: str) -> list[str]:
    """Return the module and its parent packages, whose code runs as well."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)]


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _top(name: str) -> str:
    return name.partition(".")[0]


def _content(path: Path) -> bytes:
    """Return the file's content with Unix line ends, the only difference between checkouts."""
    return path.read_bytes().replace(b"\r\n", b"\n")


def _plain(value: Any) -> Any:
    """Return the value in a form that is the same in every process."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}:{value.__qualname__}"
    return {type(value).__qualname__: _plain(getattr(value, "__dict__", {}))}


def _digest(parts: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for what, content in sorted(parts.items()):
        whole.update(f"{what}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()[:16]
