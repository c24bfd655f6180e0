#!/usr/bin/env bash
# The main job: a recurrent model that PyTorch exported is imported, its graph printed, run on real input and
# verified against PyTorch's outputs. Installs what is missing and builds first; run it again whenever you like.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install_packages.sh
mkdir -p build
cmake --preset release > build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
cmake --build --preset release --target refrain

refrain=build/frontend/refrain
model=tests/models/bilstm2_op13
step() { printf '\n$ %s\n' "$*"; "$@"; }

step $refrain inspect $model/model.onnx --stage optimized
step $refrain run $model/model.onnx --input x=$model/test_data_set_0/input_0.pb --output-dir build/demo
step $refrain verify $model
