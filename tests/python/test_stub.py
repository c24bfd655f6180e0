"""The type stub names exactly what the module has."""

import ast
import pathlib
import re

import pytest

import refrain

STUB = pathlib.Path(refrain.__file__).parent / "__init__.pyi"


def public(names):
    return {name for name in names if not name.startswith("_") or name in ("__enter__", "__exit__", "__bool__")}


def arguments(function):
    spec = function.args
    names = [argument.arg for argument in spec.args + spec.kwonlyargs]
    return [name for name in names if name != "self"], [argument.arg for argument in spec.kwonlyargs]


def signature(function):
    """pybind11 writes it as the first line of the documentation."""
    line = function.__doc__.splitlines()[0]
    depth, parts, part = 0, [], ""
    for letter in re.fullmatch(r"\w+\((.*)\) -> .*", line)[1]:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts, part = parts + [part], ""
        else:
            part += letter
    names = [part.split(":")[0].split("=")[0].strip() for part in parts + [part] if part.strip()]
    keyword_only = names[names.index("*") + 1:] if "*" in names else []
    return [name for name in names if name not in ("self", "*", "*args")
            and not re.fullmatch(r"arg\d+", name)], keyword_only


def check_function(node, function, where):
    assert signature(function) == arguments(node), where


@pytest.fixture(scope="module")
def tree():
    return ast.parse(STUB.read_text())


def test_names(tree):
    stub = {node.name: node for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    assert set(stub) == set(refrain.__all__)
    assert public(vars(refrain)) - {"annotations"} == set(refrain.__all__)


def test_functions_and_classes(tree):
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            check_function(node, getattr(refrain, node.name), node.name)
        elif isinstance(node, ast.ClassDef):
            real = vars(getattr(refrain, node.name))
            members = {member.name if isinstance(member, ast.FunctionDef) else member.target.id: member
                       for member in node.body}
            assert public(members) == public(real), node.name
            for name, member in members.items():
                where = f"{node.name}.{name}"
                if not isinstance(member, ast.FunctionDef):
                    continue
                is_property = "property" in [decorator.id for decorator in member.decorator_list]
                assert is_property == isinstance(real[name], property), where
                if not is_property and name != "__exit__":
                    check_function(member, real[name], where)


def test_mypy_takes_the_stub():
    api = pytest.importorskip("mypy.api")
    out, err, status = api.run([str(STUB), "--strict", "--cache-dir=/dev/null"])
    assert status == 0, out + err
