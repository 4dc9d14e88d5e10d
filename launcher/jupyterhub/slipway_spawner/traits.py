"""Print, as JSON, the traits that a jupyterhub_config.py gives to KubeSpawner.

    python -m slipway_spawner.traits jupyterhub_config.py

The file is loaded as JupyterHub loads it, so any Python in it works. A function stands in the answer as
{"$callable": NAME, "source": ..., "file": ..., "line": ..., "cel": ...}, the last only where it is plain enough to be
written as a CEL expression; an object of the Kubernetes client as {"$model": KIND, "value": {...}}.

Exit codes: 0 good, 2 the configuration is at fault, 3 this Python lacks jupyterhub or kubespawner.
"""

import ast
import contextlib
import inspect
import json
import math
import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, TypeAlias

INVALID, LACKING = 2, 3

Definition: TypeAlias = ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef


class ConfigError(Exception):
    """The configuration is at fault; the message says where."""


def load(path: str) -> Any:
    """Give the traitlets configuration of a file."""
    from traitlets.config.loader import PyFileConfigLoader

    folder, name = os.path.split(os.path.abspath(path))
    # What the configuration prints is no part of the answer.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            return PyFileConfigLoader(name, path=folder).load_config()
        except (Exception, SystemExit) as error:
            raise ConfigError(f"{place(error, path)}: {type(error).__name__}: {error}") from error


def place(error: BaseException, path: str) -> str:
    """Say in which line of the configuration an error arose."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    # The last line that isn't ours or a library's: a configuration may load others.
    own = (os.path.abspath(__file__) if "__file__" in globals() else "<string>", "<string>", "<frozen")
    frames = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if not f.filename.startswith(own) and not f.filename.startswith((sys.prefix, sys.base_prefix))
    ]
    if not frames:
        return path
    same = os.path.abspath(frames[-1].filename) == os.path.abspath(path)
    return f"{path if same else frames[-1].filename}:{frames[-1].lineno}"


def spawner_class(config: Any) -> Any:
    """Give the class of the spawner, KubeSpawner or one that is made from it."""
    from kubespawner import KubeSpawner
    from traitlets.utils.importstring import import_item

    name = config.JupyterHub.get("spawner_class", "kubespawner")
    cls = name
    if isinstance(name, str):
        if name in ("kubespawner", "kubespawner.KubeSpawner"):
            return KubeSpawner
        try:
            cls = entry_point(name) or import_item(name)
        except Exception as error:
            raise ConfigError(f"JupyterHub.spawner_class {name!r} can't be imported: {error}") from error
    if not (isinstance(cls, type) and issubclass(cls, KubeSpawner)):
        raise ConfigError(
            f"JupyterHub.spawner_class is {name!r}, and only KubeSpawner and what is made from it can be imported"
        )
    return cls


def entry_point(name: str) -> Any:
    from importlib.metadata import entry_points

    for point in entry_points(group="jupyterhub.spawners"):
        if point.name.lower() == name.lower():
            return point.load()
    return None


def effective(config: Any, cls: Any) -> dict[str, Any]:
    """Merge the sections of the class and of those that it is made from, the most special one last."""
    from traitlets.config import Config
    from traitlets.config.loader import LazyConfigValue

    merged = Config()
    for section in cls.section_names():
        if config._has_section(section):
            merged.merge(config[section])
    declared = cls.class_traits(config=True)
    traits = {}
    for name, value in merged.items():
        if isinstance(value, Config):
            continue  # a section within the section
        if isinstance(value, LazyConfigValue):
            # c.KubeSpawner.volumes.append(...) and the like, over the trait's default.
            default = declared[name].default() if name in declared else None
            value = value.get_value(default)
        traits[name] = value
    if config.JupyterHub.get("internal_ssl"):
        traits["internal_ssl"] = True
    return traits


def plain(value: Any, at: str) -> Any:
    """Give a value as JSON."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError(f"{at}: {value} is no number that Kubernetes takes")
        return value
    if isinstance(value, dict):
        return {str(k): plain(v, f"{at}.{k}") for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v, f"{at}[{i}]") for i, v in enumerate(value)]
    if isinstance(value, set | frozenset):
        return [plain(v, at) for v in sorted(value, key=str)]
    if hasattr(value, "openapi_types"):
        return {"$model": type(value).__name__, "value": plain(model(value), at)}
    if callable(value):
        return function(value)
    raise ConfigError(f"{at}: an object of type {type(value).__name__} is neither a plain value nor a function")


def model(value: Any) -> dict[str, Any]:
    """Give an object of the Kubernetes client as JSON; what is null stays out."""
    out = {}
    for attribute, key in value.attribute_map.items():
        v = getattr(value, attribute)
        if v is not None:
            out[key] = model_value(v)
    return out


def model_value(v: Any) -> Any:
    if hasattr(v, "openapi_types"):
        return model(v)
    if isinstance(v, list | tuple):
        return [model_value(item) for item in v]
    if isinstance(v, dict):
        return {k: model_value(item) for k, item in v.items()}
    return v


def function(f: Callable[..., Any]) -> dict[str, Any]:
    """Describe a Python function."""
    out = {"$callable": getattr(f, "__qualname__", type(f).__qualname__)}
    # A configuration is no module, so its functions are found by their code.
    code = getattr(inspect.unwrap(f), "__code__", None) if not inspect.isclass(f) else None
    if code is None:
        return out
    out["file"], out["line"] = code.co_filename, code.co_firstlineno
    try:
        with open(code.co_filename, encoding="utf-8") as file:
            text = file.read()
        tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError):
        return out
    node = find(tree, code)
    if node is None:
        return out
    out["source"] = textwrap.dedent(ast.get_source_segment(text, node) or "")
    draft = expression_of(node)
    if draft:
        out["cel"] = draft
    return out


def find(tree: ast.AST, code: CodeType) -> Definition | None:
    """Find the definition that code was compiled from."""
    kinds = ast.Lambda if code.co_name == "<lambda>" else (ast.FunctionDef, ast.AsyncFunctionDef)
    names = code.co_varnames[: code.co_argcount]
    for node in ast.walk(tree):
        if not isinstance(node, kinds):
            continue
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        if first == code.co_firstlineno and tuple(a.arg for a in node.args.args) == names:
            return node
    return None


def expression_of(node: Definition) -> str | None:
    """Write a function as CEL, if it is nothing but one plain expression; else give None."""
    arguments = [a.arg for a in node.args.args]
    if isinstance(node, ast.Lambda):
        body = node.body
    else:
        statements = [s for s in node.body if not isinstance(s, ast.Expr | ast.Pass)]
        if len(arguments) == 2:
            return patches(statements, arguments[1])
        if len(statements) != 1 or not isinstance(statements[0], ast.Return) or statements[0].value is None:
            return None
        body = statements[0].value
    if len(arguments) != 1:
        return None
    try:
        return without_parentheses(cel(body, arguments[0]))
    except NotPlainError:
        return None


def without_parentheses(text: str) -> str:
    """Take the outermost parentheses away where they enclose everything."""
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return text[1:-1] if c == ")" and text[0] == "(" and i == len(text) - 1 else text
    return text


class NotPlainError(Exception):
    """There is no plain CEL for it."""


# What a spawner knows of its user, in Python and in CEL.
FACTS = {"user.name": "user.name", "user.id": "user.id", "name": "server.name"}
OPERATORS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "/", ast.Mod: "%",
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.In: "in",
    ast.And: "&&", ast.Or: "||",
}  # fmt: skip
METHODS = {"lower": "lowerAscii", "upper": "upperAscii", "startswith": "startsWith", "endswith": "endsWith",
           "replace": "replace", "split": "split", "strip": "trim"}  # fmt: skip


def cel(node: ast.AST, spawner: str) -> str:
    """Write an expression of Python's as CEL."""
    match node:
        case ast.Constant():
            return constant(node.value)
        case ast.Attribute():
            return attribute(node, spawner)
        case ast.BinOp() if type(node.op) in OPERATORS:
            return f"({cel(node.left, spawner)} {OPERATORS[type(node.op)]} {cel(node.right, spawner)})"
        case ast.BoolOp():
            return "(" + f" {OPERATORS[type(node.op)]} ".join(cel(v, spawner) for v in node.values) + ")"
        case ast.Compare(ops=[op]) if type(op) in OPERATORS:
            return f"({cel(node.left, spawner)} {OPERATORS[type(op)]} {cel(node.comparators[0], spawner)})"
        case ast.IfExp():
            return f"({cel(node.test, spawner)} ? {cel(node.body, spawner)} : {cel(node.orelse, spawner)})"
        case ast.JoinedStr():
            return joined(node, spawner)
        case ast.Call():
            return call(node, spawner)
        case ast.List() | ast.Tuple():
            return "[" + ", ".join(cel(v, spawner) for v in node.elts) + "]"
        case ast.Dict():
            pairs = [(k, v) for k, v in zip(node.keys, node.values, strict=True) if k is not None]
            if len(pairs) == len(node.values):  # no **other
                return "{" + ", ".join(f"{cel(k, spawner)}: {cel(v, spawner)}" for k, v in pairs) + "}"
    raise NotPlainError


def constant(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    raise NotPlainError


def attribute(node: ast.AST, spawner: str) -> str:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id != spawner or ".".join(names) not in FACTS:
        raise NotPlainError
    return FACTS[".".join(names)]


def joined(node: ast.JoinedStr, spawner: str) -> str:
    parts = []
    for value in node.values:
        if isinstance(value, ast.FormattedValue):
            if value.conversion != -1 or value.format_spec is not None:
                raise NotPlainError
            parts.append(f"string({cel(value.value, spawner)})")
        else:
            parts.append(cel(value, spawner))
    return "(" + " + ".join(parts) + ")"


def call(node: ast.Call, spawner: str) -> str:
    if node.keywords:
        raise NotPlainError
    arguments = ", ".join(cel(a, spawner) for a in node.args)
    match node.func:
        case ast.Name(id=("int" | "str" | "float") as name) if len(node.args) == 1:
            return f"{ {'int': 'int', 'str': 'string', 'float': 'double'}[name] }({arguments})"
        case ast.Attribute(value=value, attr=method) if method in METHODS:
            return f"{cel(value, spawner)}.{METHODS[method]}({arguments})"
    raise NotPlainError


def patches(statements: Sequence[ast.stmt], pod: str) -> str | None:
    """Write a hook that only sets fields of the pod to constants as a list of JSON patches; else give None."""
    if not statements:
        return None
    *assignments, last = statements
    if not (isinstance(last, ast.Return) and isinstance(last.value, ast.Name) and last.value.id == pod and assignments):
        return None
    written = []
    try:
        for statement in assignments:
            if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
                return None
            value = cel(statement.value, "")
            written.append(f'JSONPatch{{op: "add", path: "{pointer(statement.targets[0], pod)}", value: {value}}}')
    except NotPlainError:
        return None
    return "[" + ", ".join(written) + "]"


def pointer(node: ast.AST, pod: str) -> str:
    """Give the JSON pointer of a field of the pod."""
    match node:
        case ast.Name(id=name) if name == pod:
            return ""
        case ast.Attribute():
            head, *rest = node.attr.split("_")
            return pointer(node.value, pod) + "/" + head + "".join(word.capitalize() for word in rest)
        case ast.Subscript(slice=ast.Constant(value=key)) if isinstance(key, str | int) and key != -1:
            return pointer(node.value, pod) + "/" + str(key).replace("~", "~0").replace("/", "~1")
    raise NotPlainError


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return INVALID
    try:
        import jupyterhub  # noqa: F401
        import kubespawner  # noqa: F401
        import traitlets  # noqa: F401
    except ImportError as error:
        print(
            f"{sys.executable} lacks what a hub needs: {error}; pip install slipway-spawner[kubespawner]",
            file=sys.stderr,
        )
        return LACKING
    path = arguments[0]
    if not os.path.isfile(path):
        print(f"{path}: no such file", file=sys.stderr)
        return INVALID
    try:
        config = load(path)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return INVALID
    try:
        cls = spawner_class(config)
        traits = {name: plain(value, name) for name, value in effective(config, cls).items()}
    except ConfigError as error:
        print(f"{path}: {error}", file=sys.stderr)
        return INVALID
    json.dump({"spawner": cls.__name__, "traits": traits}, sys.stdout, ensure_ascii=False)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
