"""The Debian packages: made, unpacked into a folder, looked at, and used from there."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

SOURCE = pathlib.Path(os.environ["REFRAIN_SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["REFRAIN_BINARY_DIR"])
NAMES = ["librefrain0", "librefrain-dev", "refrain-tools", "python3-refrain"]
MODEL = SOURCE / "tests/models/rnn_tanh_op13/model.onnx"


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def packages():
    """Name to file."""
    folder = BUILD / "packages"
    shutil.rmtree(folder, ignore_errors=True)
    run("cpack", "-G", "DEB", cwd=BUILD)
    files = {path.name.split("_")[0]: path for path in folder.glob("*.deb")}
    assert sorted(files) == sorted(NAMES)
    return files


@pytest.fixture(scope="module")
def root(packages):
    """All of them unpacked over each other, which none of their files may hinder."""
    root = BUILD / "tests/debian"
    shutil.rmtree(root, ignore_errors=True)
    seen = set()
    for package in packages.values():
        files = {line.split(None, 5)[5] for line in run("dpkg-deb", "-c", package).splitlines()
                 if not line.startswith("d")}
        assert not seen & files
        seen |= files
        run("dpkg-deb", "-x", package, root)
    return root


@pytest.fixture(scope="module")
def usr(root):
    return root / "usr"


@pytest.fixture(scope="module")
def libraries(usr):
    (path,) = usr.rglob("librefrain.so.0")
    return path.parent


def field(package, name):
    return run("dpkg-deb", "-f", package, name).strip()


def depends(package):
    return {entry.split()[0]: entry for entry in re.split(r",\s*", field(package, "Depends"))}


def test_descriptions_and_dependencies(packages):
    for name in ("librefrain0", "refrain-tools"):
        assert {"libc6", "libstdc++6", "libdnnl2", "libhwy1", "libonnx1", "libprotobuf32", "libtbb12"} <= set(
            depends(packages[name]))
    version = field(packages["librefrain0"], "Version")
    for name in ("librefrain-dev", "python3-refrain"):
        assert depends(packages[name])["librefrain0"] == f"librefrain0 (= {version})"
    python = depends(packages["python3-refrain"])
    assert {"python3", "python3-numpy"} <= set(python)
    for package in packages.values():
        summary, *text = field(package, "Description").splitlines()
        assert len(summary) < 80 and text and all(re.match(r" \S.{1,79}$", line) for line in text)
        # Where Debian's development packages are installed, the others are in the same version of Debian.
        for name in set(depends(package)) - set(NAMES) - {"python3", "python3-numpy"}:
            run("dpkg-query", "-W", name)


def test_the_library_tells_others_what_to_depend_on(packages):
    shlibs = run("dpkg-deb", "-I", packages["librefrain0"], "shlibs")
    assert re.match(r"librefrain 0 librefrain0 \(>= ", shlibs)
    scripts = run("dpkg-deb", "-I", packages["librefrain0"])
    assert "postinst" in scripts or "triggers" in scripts  # ldconfig


def test_contents(usr, libraries):
    for name in NAMES:
        assert "Apache-2.0" in (usr / "share/doc" / name / "copyright").read_text()
    assert (libraries / "librefrain.so").is_symlink() and (libraries / "librefrain.a").exists()
    dynamic = run("readelf", "-d", libraries / "librefrain.so.0")
    assert "RPATH" not in dynamic and "RUNPATH" not in dynamic
    assert ".symtab" not in run("readelf", "-SW", libraries / "librefrain.so.0")


def test_the_tool_runs(usr):
    assert run(usr / "bin/refrain", "--version").startswith("refrain ")


def test_the_python_module_runs(usr):
    printed = run(sys.executable, "-B", "-c",
                  f"import refrain; print(refrain.__file__); print(refrain.load({str(MODEL)!r}))",
                  env={**os.environ, "PYTHONPATH": str(usr / "lib/python3/dist-packages")})
    file, model = printed.splitlines()
    assert file.startswith(str(usr)) and "x: f32[T, B, 6]" in model


def test_programs_build_against_it(usr, libraries):
    folder = BUILD / "tests/debian_consumer"
    shutil.rmtree(folder, ignore_errors=True)
    run("cmake", "-S", SOURCE / "tests/consumer", "-B", folder, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={usr}")
    assert f"refrain_DIR:PATH={libraries}" in (folder / "CMakeCache.txt").read_text()
    run("cmake", "--build", folder)
    printed = {run(folder / program, MODEL) for program in ("consumer_refrain", "consumer_refrain_static", "consumer_c")}
    assert len(printed) == 1
