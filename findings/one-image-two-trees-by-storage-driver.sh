#!/bin/sh
# The same image has other files under podman's storage driver vfs, and under umoci, than under podman's driver overlay.
#
# podman 4.3.1 and umoci 0.4.7, Debian 12. Layer 1 has a directory d and a symbolic link l -> d. Layer 2 has the one entry l/new, and no entry
# for l, which the image specification allows: a layer need not repeat the directories above its files.
#
# - overlay unpacks each layer into a directory of its own, where l is then a directory: it hides the link, and the container has l/new in a
#   directory of its own, and d without new.
# - vfs unpacks layer 2 into a copy of layer 1, where the link is followed: the container has d/new, and l is still a link. umoci does the same.
#
# So whether a file is at d/new depends on how the machine stores images. Needs root (overlay mounts), apt-get and python3.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work" 2>/dev/null || true' EXIT
cd "$work"

apt-get -q -o APT::Sandbox::User=root download podman=4.3.1+ds1-8+deb12u1+b3 umoci=0.4.7+ds-3+b7 conmon=2.1.6+ds1-1 golang-github-containers-common=0.50.1+ds1-4 \
    golang-github-containers-image=5.23.1-4 libgpgme11 libassuan0 libsubid4 >/dev/null
for package in ./*.deb; do dpkg -x "$package" root; done
PATH=$work/root/usr/bin:$PATH
LD_LIBRARY_PATH=$(echo "$work"/root/usr/lib/*-linux-gnu)
export PATH LD_LIBRARY_PATH
mkdir home
export HOME="$work/home"
printf '{"default": [{"type": "insecureAcceptAnything"}]}' >policy.json

python3 - <<'PY'
import hashlib, io, json, os, tarfile

def tar(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, kind, value in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, 0o755
            if kind == tarfile.SYMTYPE:
                info.linkname = value
            elif kind == tarfile.REGTYPE:
                info.size = len(value)
            archive.addfile(info, io.BytesIO(value) if kind == tarfile.REGTYPE else None)
    return out.getvalue()

def blob(data, kind):
    digest = hashlib.sha256(data).hexdigest()
    os.makedirs("oci/blobs/sha256", exist_ok=True)
    open("oci/blobs/sha256/" + digest, "wb").write(data)
    return {"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + digest, "size": len(data)}

lower = tar(("d", tarfile.DIRTYPE, None), ("d/old", tarfile.REGTYPE, b"old"), ("l", tarfile.SYMTYPE, "d"))
upper = tar(("l/new", tarfile.REGTYPE, b"new"))
layers = [blob(data, "layer.v1.tar") for data in (lower, upper)]
config = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"]},
          "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}}
config = blob(json.dumps(config).encode(), "config.v1+json")
manifest = blob(json.dumps({"schemaVersion": 2, "config": config, "layers": layers}).encode(), "manifest.v1+json")
manifest["annotations"] = {"org.opencontainers.image.ref.name": "x"}
json.dump({"schemaVersion": 2, "manifests": [manifest]}, open("oci/index.json", "w"))
json.dump({"imageLayoutVersion": "1.0.0"}, open("oci/oci-layout", "w"))
PY

tree() {
    engine="podman --root $work/$1 --runroot $work/run-$1 --storage-driver $1"
    image=$($engine pull --quiet --signature-policy policy.json oci:oci:x 2>/dev/null)
    container=$($engine create "$image" 2>/dev/null)
    $engine export "$container" 2>/dev/null | tar --list | grep -E '^[dl](/|$)' | sort | tr '\n' ' '
}

expect() {
    printf '%s: %s\n' "$1" "$2"
    [ "$2" = "$3" ] || { echo "changed: expected $3" >&2; exit 1; }
}

expect "podman, overlay" "$(tree overlay)" "d/ d/old l/ l/new "
expect "podman, vfs" "$(tree vfs)" "d/ d/new d/old l "
umoci unpack --rootless --image oci:x bundle >/dev/null 2>&1
expect "umoci" "$(cd bundle/rootfs && find d l | sort | tr '\n' ' ')" "d d/new d/old l "
