#!/bin/sh
# Puts ONNX Runtime 1.26.0 (MIT licence) into third_party/ort, for `weir snapshot verify` and the trainer.
#
# The library is taken out of its Python wheel: `ort.lock` pins the wheel, LIB_SHA256 below pins the shared
# object (trainer/src/ort_engine.rs checks the same sum before it loads the file). Neither the local Python
# version nor an installed onnxruntime matters. Running it twice does nothing the second time.
set -eu

VERSION=1.26.0
LIB_SHA256=50775d390eb55e7abd9f6d734da103a04f0e5342ef0a76b1c6ec795544439295

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
dest=$root/third_party/ort
lib=libonnxruntime.so.$VERSION

intact() { printf '%s  %s\n' "$LIB_SHA256" "$1" | sha256sum --check --status 2>/dev/null; }
links() { ln -sfn "$lib" "$dest/libonnxruntime.so.1"; ln -sfn "$lib" "$dest/libonnxruntime.so"; }

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo "fetch-ort: ort.lock pins the Linux x86_64 wheel; this is $(uname -sm)" >&2
    exit 1
fi
for tool in python3 sha256sum; do
    command -v "$tool" >/dev/null || { echo "fetch-ort: $tool is needed" >&2; exit 1; }
done

if intact "$dest/$lib"; then
    links
    echo "fetch-ort: $dest/$lib is already there, checksum right"
    exit 0
fi

mkdir -p "$dest"
tmp=$(mktemp -d "$dest/.fetch.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

echo "fetch-ort: downloading the onnxruntime $VERSION wheel pinned by ort.lock"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --platform manylinux_2_28_x86_64 --implementation cp --python-version 311 \
    --require-hashes -r "$root/ort.lock" -d "$tmp"

echo "fetch-ort: unpacking $lib and its licence texts"
# Python's own unzip: a wheel is a zip archive, and `unzip` is not on every machine.
python3 - "$tmp" "$lib" <<'PY'
import glob, pathlib, sys, zipfile

folder, lib = pathlib.Path(sys.argv[1]), sys.argv[2]
(wheel,) = glob.glob(str(folder / "*.whl"))
with zipfile.ZipFile(wheel) as archive:
    for member in (f"onnxruntime/capi/{lib}", "onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"):
        (folder / pathlib.PurePosixPath(member).name).write_bytes(archive.read(member))
PY

if ! intact "$tmp/$lib"; then
    echo "fetch-ort: $lib from the wheel has another checksum than expected ($LIB_SHA256); not installed" >&2
    exit 1
fi
mv -f "$tmp/LICENSE" "$tmp/ThirdPartyNotices.txt" "$dest/"
# Last: the library's presence under its name means that everything beside it is complete.
mv -f "$tmp/$lib" "$dest/$lib"
links
echo "fetch-ort: installed $dest/$lib"
