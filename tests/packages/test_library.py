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
    api = re.compile(r"REFRAIN_0|refrain_\w+|"
                     r"(typeinfo for |typeinfo name for |vtable for )?"
                     r"refrain::(Error|Extents|Array|Model|Session|Batcher|detail|version|size_of|name_of|operator)\b.*")
    foreign = [symbol for symbol in symbols if not api.fullmatch(symbol.replace("@@REFRAIN_0", ""))]
    assert not foreign
    assert any("refrain::Error::what" in symbol or "typeinfo for refrain::Error" in symbol for symbol in symbols)


def test_its_name_has_the_version_of_the_interface():
    dynamic = run("readelf", "-d", LIBRARY)
    assert "Library soname: [librefrain.so.0]" in dynamic
    assert "TEXTREL" not in dynamic
