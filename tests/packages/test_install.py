"""The installed tree, and programs built against it."""

import os
import pathlib
import shutil
import subprocess

import pytest

SOURCE = pathlib.Path(os.environ["REFRAIN_SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["REFRAIN_BINARY_DIR"])
MODEL = SOURCE / "tests/models/rnn_tanh_op13/model.onnx"
CONSUMER = SOURCE / "tests/consumer"


def run(*command, **environment):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          env={**os.environ, **environment})
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def tree():
    """Installed by `cmake --install`, then moved: nothing in it may know where it was."""
    first, tree = BUILD / "tests/installed", BUILD / "tests/install"
    for folder in (first, tree):
        shutil.rmtree(folder, ignore_errors=True)
    run("cmake", "--install", BUILD, "--prefix", first)
    first.rename(tree)
    return tree


@pytest.fixture(scope="module")
def libraries(tree):
    (folder,) = {path.parent for path in tree.rglob("librefrain.so")}
    return folder


@pytest.fixture(scope="module")
def expected(tree, libraries):
    """What the C++ program prints; the others must print the same."""
    folder = configure(tree, "consumer")
    printed = run(folder / "consumer_refrain", MODEL)
    assert [line.split()[0] for line in printed.splitlines()] == ["y", "h"]
    return printed


def configure(tree, name, *options):
    folder = BUILD / "tests" / name
    shutil.rmtree(folder, ignore_errors=True)
    run("cmake", "-S", CONSUMER, "-B", folder, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={tree}", *options)
    assert f"refrain_DIR:PATH={tree}" in (folder / "CMakeCache.txt").read_text()
    run("cmake", "--build", folder)
    return folder


def test_the_tree_has_everything(tree, libraries):
    have = {str(path.relative_to(tree)) for path in tree.rglob("*") if not path.is_dir()}
    assert {"bin/refrain", "include/refrain/refrain.h", "include/refrain/refrain_c.h",
            "include/refrain/error.h"} <= have
    assert {"librefrain.so", "librefrain.so.0", "librefrain.a", "pkgconfig/refrain.pc",
            "cmake/refrain/refrain-config.cmake"} <= {path[len(str(libraries.relative_to(tree))) + 1:]
                                                      for path in have}
    assert not [path for path in have if path.startswith("include/") and "refrain/" not in path]


def test_installed_headers_need_only_the_standard_library(tree):
    for path in (tree / "include/refrain").iterdir():
        for line in path.read_text().splitlines():
            if line.startswith("#include"):
                header = line.split()[1]
                assert header.startswith("<") or header.startswith('"refrain/'), (path, line)


@pytest.mark.parametrize("program", ["consumer_refrain_static", "consumer_c"])
def test_cmake_package(tree, expected, program):
    assert run(BUILD / "tests/consumer" / program, MODEL) == expected


def test_cmake_package_in_a_project_without_cxx(tree, expected):
    folder = configure(tree, "consumer_c_only", "-DLANGUAGES=C")
    assert run(folder / "consumer_c", MODEL) == expected


def test_shared_programs_use_the_installed_library(tree, libraries, expected):
    linked = run("ldd", BUILD / "tests/consumer/consumer_refrain")
    assert f"librefrain.so.0 => {libraries}/librefrain.so.0" in linked
    assert "librefrain" not in run("ldd", BUILD / "tests/consumer/consumer_refrain_static")


@pytest.mark.parametrize("compiler, source", [("g++ -std=c++20", "consumer.cc"), ("gcc -std=c11", "consumer.c")])
def test_pkg_config(tree, libraries, expected, compiler, source):
    path = {"PKG_CONFIG_PATH": str(libraries / "pkgconfig")}
    flags = run("pkg-config", "--cflags", "--libs", "refrain", **path).split()
    program = BUILD / "tests/consumer" / f"{source}.pkg-config"
    run(*compiler.split(), "-o", program, CONSUMER / source, *flags)
    assert run(program, MODEL, LD_LIBRARY_PATH=str(libraries)) == expected
    assert run("pkg-config", "--modversion", "refrain", **path).startswith("0.")


def test_pkg_config_static(tree, libraries, expected):
    flags = run("pkg-config", "--static", "--cflags", "--libs", "refrain",
                PKG_CONFIG_PATH=str(libraries / "pkgconfig")).split()
    flags = ["-l:librefrain.a" if flag == "-lrefrain" else flag for flag in flags]
    program = BUILD / "tests/consumer/consumer.static"
    run("g++", "-std=c++20", "-o", program, CONSUMER / "consumer.cc", *flags)
    assert run(program, MODEL) == expected


def test_the_tool_runs_from_the_tree(tree):
    assert "refrain" in run(tree / "bin/refrain", "--version")
