#!/usr/bin/env bash
# Compiles the Highway kernels for 64-bit Arm and runs their tests (NEON) under QEMU.
#
# Continuous integration doesn't run this, for the time that it takes: a cross-compiler to install and
# a minute or two to build and emulate, every time, for code that targets share but for few lines.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_packages.sh scripts/packages_neon.txt

# Highway for arm64, unpacked into the build folder with package lists of its own: the system stays
# as it is, without a foreign architecture.
arm64=$PWD/build/neon/arm64
if [ ! -e "$arm64/usr/lib/aarch64-linux-gnu/libhwy.so" ]; then
  mkdir -p "$arm64" build/neon/apt/{lists,cache/archives}/partial
  apt=$PWD/build/neon/apt
  : > "$apt/status"
  options=(-q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=
    -o "Dir::State::lists=$apt/lists" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt/cache")
  apt-get "${options[@]}" update
  (cd "$apt" && apt-get "${options[@]}" download libhwy1 libhwy-dev)
  for package in "$apt"/*.deb; do dpkg -x "$package" "$arm64"; done
fi

cmake -S tests/neon -B build/neon -G Ninja -DCMAKE_TOOLCHAIN_FILE="$PWD/cmake/aarch64.cmake" \
  -DARM64_ROOT="$arm64" > build/neon/configure.log 2>&1 || { cat build/neon/configure.log; exit 1; }
cmake --build build/neon
ctest --test-dir build/neon --output-on-failure
