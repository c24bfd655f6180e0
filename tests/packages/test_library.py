"""What librefrain.so shows of itself."""

import os
import pathlib
import re
import subprocess

LIBRARY = pathlib.Path(os.environ["REFRAIN_BINARY_DIR"]) / "librefrain.so"


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_it_exports_the_api_only():
    symbols = [line.split(maxsplit=2)[2]
               for line in run("nm", "-D", "-C", "--defined-only", LIBRARY).splitlines()]
    api = re.compile(r"REFRAIN_0|refrain_\w+|((typeinfo|typeinfo name|vtable) for )?refrain::"
                     r"(Error|Extents|Array|Model|Session|Batcher|detail|version|size_of|name_of|operator)\b.*")
    foreign = [symbol for symbol in symbols
               if not api.fullmatch(symbol.replace("@@REFRAIN_0", "")) or "Impl::" in symbol.split("(")[0]]
    assert not foreign
    names = " ".join(symbols)
    for name in ("refrain_get_api", "refrain::Session::step()", "typeinfo for refrain::Error"):
        assert name in names


def test_its_c_functions_are_those_of_the_header():
    header = (pathlib.Path(os.environ["REFRAIN_SOURCE_DIR"]) / "frontend/embed/refrain_c.h").read_text()
    declared = set(re.findall(r"\b(refrain_\w+)\(", header))
    exported = {line.split()[2].split("@")[0] for line in run("nm", "-D", "--defined-only", LIBRARY).splitlines()
                if " refrain_" in line}
    assert exported and exported == {name for name in declared if not name.endswith("_t")}


def test_its_name_has_the_version_of_the_interface():
    dynamic = run("readelf", "-d", LIBRARY)
    assert "Library soname: [librefrain.so.0]" in dynamic
    assert "TEXTREL" not in dynamic
