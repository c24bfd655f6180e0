#!/usr/bin/env bash
# Installs what is missing, builds everything, runs all tests. Run it again whenever you like.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_packages.sh
mkdir -p build
cmake --preset release > build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
cmake --build --preset release
ctest --preset release
