#!/usr/bin/env python3
"""Side by side with the peers: whole processes, in alternated pairs, CPU and wall.

    benches/compare.py                 everything, as a table in Markdown
    benches/compare.py busybox python  only some work items
    benches/compare.py --pairs 9       more pairs than five

Installs its peers (mmdebstrap, Docker) where they are missing, which needs root. The mirror is the machine's own.
"""

import argparse
import datetime
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent.parent
SUITE = "bookworm"

# Work item: the profile, the packages that the peer extracts, and the most that each ratio may be: (wall, CPU) or wall alone.
ITEMS = {
    "busybox": ("busybox-glibc", "busybox", {"cold": (0.20, 0.35), "warm": (0.05, None), "members": (0.02, None)}),
    "shell": ("bench-shell", "bash,coreutils,curl,ca-certificates", {"cold": (0.25, None), "warm": (0.10, None), "members": (0.05, None)}),
    "python": ("python3", "python3", {"cold": (0.30, None), "warm": (0.12, None)}),
    "nginx": ("nginx", "nginx", {"cold": (0.30, None), "warm": (0.12, None)}),
}

# What a state of the store lacks: `warm` has the indexes and the packages with their lists of files, `members` also the kept files of
# each package. Both build from a lock, and both know the compressed form of a tar that was compressed before, and have to make that tar anew.
FORGET = {
    "warm": ["layer", "record", "last-recipe", "members", "output"],
    "members": ["layer", "record", "last-recipe", "output"],
}

SHELL_PROFILE = """
description = "bash, coreutils, curl and the certificates"
[packages]
deb = ["bash", "coreutils", "curl", "ca-certificates"]
[keep]
packages = ["coreutils"]
programs = ["/usr/bin/bash", "/usr/bin/curl"]
rules = ["ca-certificates"]
[image]
cmd = ["/usr/bin/bash"]
"""


def run(command, environment=None):
    """Runs a command and returns its wall seconds, CPU seconds and peak memory in MiB."""
    with open(os.devnull, "rb") as nothing, tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdin=nothing, stdout=output, stderr=output, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        if status != 0:
            output.seek(0)
            sys.exit(f"{' '.join(map(str, command))} failed:\n{output.read().decode(errors='replace')[-2000:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def median(values):
    return statistics.median(values)


class Bench:
    def __init__(self, directory, pairs):
        self.directory, self.pairs, self.rows, self.failures = directory, pairs, [], []
        self.binary = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target")) / "release/minimg"
        self.store = directory / "store"
        self.profiles = directory / "profiles"
        self.profiles.mkdir()
        # A lock of a built-in profile is looked for in the current directory.
        os.chdir(directory)
        (self.profiles / "bench-shell.toml").write_text(SHELL_PROFILE)

    def minimg(self, profile, *more):
        return [self.binary, "build", profile, "--suite", SUITE, "--board", "amd64", "--quiet", "--no-record",
                "--store", self.store, "--profiles", self.profiles, "-o", self.directory / f"{profile}.tar", *more]

    def forget(self, state):
        if state == "cold":
            shutil.rmtree(self.store, ignore_errors=True)
            return
        for kind in FORGET[state]:
            shutil.rmtree(self.store / "v1/entries" / kind, ignore_errors=True)
        for tar in self.directory.glob("*.tar"):
            tar.unlink()

    def pair(self, name, state, ours, theirs, prepare, limits, peer):
        """Alternates the two and adds a row."""
        a, b = [], []
        for _ in range(self.pairs):
            prepare()
            a.append(run(ours))
            b.append(run(theirs))
        wall = median([x[0] / y[0] for x, y in zip(a, b)])
        cpu = median([x[1] / y[1] for x, y in zip(a, b)])
        wall_limit, cpu_limit = limits
        good = wall <= wall_limit and (cpu_limit is None or cpu <= cpu_limit)
        if not good:
            self.failures.append(f"{name} {state}")
        limit = f"{wall_limit:.2f}" + (f" / {cpu_limit:.2f}" if cpu_limit else "")
        self.rows.append((name, state, peer, *(median([x[i] for x in a]) for i in range(3)),
                          *(median([y[i] for y in b]) for i in range(3)), wall, cpu, limit, good))
        print(f"{name} {state}: wall ratio {wall:.3f}, CPU ratio {cpu:.3f} (at most {limit})", file=sys.stderr)

    def item(self, name):
        profile, packages, limits = ITEMS[name]
        peer_tar = self.directory / "peer.tar"
        peer = ["mmdebstrap", "--quiet", "--variant=extract", f"--include={packages}", SUITE, peer_tar]
        self.forget("cold")
        self.lock(profile)
        run(self.minimg(profile))
        for state, limit in limits.items():
            ours = self.minimg(profile) if state == "cold" else self.minimg(profile, "--locked")
            if state == "cold":
                self.lock_of(profile).unlink()
            else:
                self.lock(profile)
            self.pair(name, state, ours, peer, lambda state=state: self.forget(state), limit, "mmdebstrap --variant=extract")

    def lock_of(self, profile):
        return self.directory / f"{profile}.lock"

    def lock(self, profile):
        subprocess.run([self.binary, "lock", profile, "--suite", SUITE, "--board", "amd64", "--quiet", "--store", self.store,
                        "--profiles", self.profiles], check=True, cwd=self.directory)

    def unchanged(self, name, docker):
        """A repeated build with nothing changed against a fully cached `docker build`."""
        profile = ITEMS[name][0]
        context = self.directory / f"context-{name}"
        subprocess.run([*self.minimg(profile), "-o", f"dockerfile:{context}"], check=True)
        self.lock(profile)
        ours = self.minimg(profile, "--locked")
        run(ours)
        build = [*docker, "build", "-q", "-t", f"bench-{name}", context]
        run(build)
        self.pair(name, "nothing changed", ours, build, lambda: None, (0.10, None), "docker build, fully cached")

    def print(self):
        print(f"\nMeasured on {datetime.date.today()}, {os.cpu_count()} cores, Debian {SUITE}/amd64, medians of {self.pairs} alternated pairs.\n")
        print("| work | state | minimg wall / CPU / memory | peer | wall / CPU / memory | wall ratio | CPU ratio | at most |")
        print("|---|---|---|---|---|---|---|---|")
        for name, state, peer, w, c, m, pw, pc, pm, wall, cpu, limit, good in self.rows:
            mark = "" if good else " (missed)"
            print(f"| {name} | {state} | {w:.3f} s / {c:.3f} s / {m:.0f} MiB | {peer} | {pw:.2f} s / {pc:.2f} s / {pm:.0f} MiB "
                  f"| {wall:.3f} | {cpu:.3f} | {limit}{mark} |")

    def sizes(self):
        """The compressed layer of busybox-glibc, in both compressions."""
        for compression, limit in [("gzip", 1_450_000), ("zstd", 1_300_000)]:
            command = [*self.minimg("busybox-glibc"), "--compression", compression, "--json"]
            command.remove("--quiet")
            image = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["images"][0]
            size = image["compressed_size"]
            print(f"busybox-glibc in {compression}: {size:,} bytes (at most {limit:,}; the official image's layer: 2,226,327)")
            if size > limit:
                self.failures.append(f"size in {compression}")


def install(packages):
    missing = [p for p in packages if subprocess.run(["dpkg-query", "-W", p], capture_output=True).returncode]
    if missing:
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *missing], check=True, stdout=sys.stderr)


class Dockerd:
    """A Docker engine of our own, stopped by its process id."""

    def __init__(self, directory):
        self.directory = directory

    def __enter__(self):
        socket = self.directory / "docker.sock"
        command = ["dockerd", "--data-root", self.directory / "docker", "--exec-root", self.directory / "exec",
                   "-H", f"unix://{socket}", "--pidfile", self.directory / "docker.pid", "--bridge=none", "--iptables=false"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        docker = ["/usr/bin/docker", "-H", f"unix://{socket}"]
        for _ in range(100):
            if subprocess.run([*docker, "info"], capture_output=True).returncode == 0:
                return docker
            time.sleep(0.2)
        sys.exit("the private dockerd did not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("items", nargs="*", default=list(ITEMS), metavar="ITEM", help=", ".join(ITEMS))
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    install(["mmdebstrap", "docker.io"])
    subprocess.run(["cargo", "build", "--quiet", "--release", "--locked"], cwd=HERE, check=True)
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        bench = Bench(directory, arguments.pairs)
        for name in arguments.items:
            bench.item(name)
        with Dockerd(directory) as docker:
            for name in arguments.items:
                bench.unchanged(name, docker)
        bench.print()
        bench.sizes()
    if bench.failures:
        sys.exit(f"missed: {', '.join(bench.failures)}")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
