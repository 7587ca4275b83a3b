#!/usr/bin/env python3
"""repository.py OUT [KEY]: an RPM repository out of Debian packages of this machine's mirror, in seconds, signed with KEY where one is given.

No RPM repository can be reached from everywhere, and tests of dnf need real packages with real programs, dependencies and scripts.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PACKAGES = ["busybox", "libc6", "dash"]
DIRECTORIES = """boot dev etc home media mnt opt proc root run srv sys tmp usr usr/bin usr/sbin usr/lib usr/lib64 usr/share var var/lib
var/log var/cache var/tmp etc/ld.so.conf.d""".split()
MERGED = ["bin", "sbin", "lib", "lib64"]
MACROS = """%global debug_package %{nil}
%global __os_install_post %{nil}
%global _build_id_links none
%global _binary_payload w1.gzdio
%global _buildhost test
"""


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stdout}{done.stderr}")
    return done.stdout


class Builder:
    def __init__(self, out, work):
        self.out, self.work = out, work

    def build(self, name, version, root, files, head="", scripts="", release="1", arch="x86_64"):
        own = Path(tempfile.mkdtemp(dir=self.work))
        text = f"""{MACROS}Name: {name}
Version: {version}
Release: {release}
Summary: a package for tests
License: as the original
{head}
%description
For tests.
%install
rm -rf %{{buildroot}}; cp -a {root} %{{buildroot}}
{scripts}
%files
""" + "\n".join(files)
        (own / "package.spec").write_text(text + "\n")
        settings = {"_topdir": own, "_rpmdir": self.out, "_dbpath": own / "db", "_rpmfilename": "%{NAME}-%{VERSION}.%{ARCH}.rpm"}
        words = [word for key, value in settings.items() for word in ("--define", f"{key} {value}")]
        run("rpmbuild", "-bb", "--quiet", "--target", arch, *words, own / "package.spec",
            env=dict(os.environ, HOME=str(own), SOURCE_DATE_EPOCH="1700000000"))

    def filesystem(self):
        root = self.work / "filesystem"
        for name in DIRECTORIES:
            (root / name).mkdir(parents=True)
        for name in MERGED:
            (root / name).symlink_to(f"usr/{name}")
        mode = lambda name: "1777" if name.endswith("tmp") else "0755"
        files = [f"%dir %attr({mode(name)}, root, root) /{name}" for name in DIRECTORIES]
        # The accounts are written before any package has files of theirs.
        post = """%post -p <lua>
local function write(path, text) local file = io.open(path, "w"); file:write(text); file:close() end
write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\\nweb:x:33:42::/:/bin/sh\\n")
write("/etc/group", "root:x:0:\\nweb:x:42:\\n")
"""
        self.build("filesystem", "1", root, files + [f"/{name}" for name in MERGED], "AutoReqProv: no", post)

    def from_debian(self, deb):
        field = lambda name: run("dpkg-deb", "-f", deb, name).strip()
        name, version = field("Package"), re.sub(r"[^\w.+~]", "_", field("Version").rpartition(":")[2])
        root = self.work / name
        run("dpkg-deb", "-x", deb, root)
        provides = []
        for directory in MERGED:
            own = root / directory
            if own.is_dir() and not own.is_symlink():
                provides += [f"Provides: /{directory}/{file.name}" for file in own.iterdir() if re.fullmatch(r"[\w.+-]+", file.name)]
                run("cp", "-a", f"{own}/.", (root / "usr" / directory).mkdir(parents=True, exist_ok=True) or root / "usr" / directory)
                shutil.rmtree(own)
        for directory in ["doc", "man", "locale", "lintian", "doc-base", "menu"]:
            shutil.rmtree(root / "usr/share" / directory, ignore_errors=True)
        licence = root / "usr/share/licenses" / name / "COPYING"
        licence.parent.mkdir(parents=True)
        licence.write_text("A licence.\n")
        files = [f'"/{path.relative_to(root)}"' for path in root.rglob("*") if not path.is_dir() or path.is_symlink()]
        head = ["Requires(pre): filesystem"] + provides
        if name == "libc6":
            head += ["Provides: rtld(GNU_HASH)"]
        self.build(name, version, root, files, "\n".join(head))

    def owned(self):
        """Whatever is easily lost on the way: an owner, a set-user-ID bit, a capability; and a script that shows that it ran."""
        root = self.work / "owned"
        (root / "srv").mkdir(parents=True)
        for name in ["owned", "setuid", "capable"]:
            (root / "srv" / name).write_text(name)
        files = ["%attr(0640, web, web) /srv/owned", "%attr(4711, root, web) /srv/setuid", "%caps(cap_net_raw=ep) /srv/capable"]
        post = "%post\necho ran >/srv/post-ran\necho >/dev/null\n"
        self.build("owned", "1", root, files, "Requires: filesystem busybox dash\nRequires(post): /bin/sh busybox", post)
        self.build("broken", "1", self.work / "owned", files, "Requires: there-is-no-such-thing")
        self.build("failing", "1", self.work / "empty", [], "Requires(pre): /bin/sh", "%pre\necho the script failed >&2\nexit 1\n")


def main():
    out = Path(sys.argv[1]).absolute()
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        (work / "debs").mkdir()
        (work / "empty").mkdir()
        # apt's own downloader drops its privileges, and may not write here.
        run("apt-get", "-o", "APT::Sandbox::User=root", "download", *PACKAGES, cwd=work / "debs")
        builder = Builder(out, work)
        builder.filesystem()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(builder.from_debian, sorted((work / "debs").glob("*.deb"))))
        builder.owned()
    if len(sys.argv) > 2:
        run("rpmsign", "--define", "__gpg /usr/bin/gpg", "--define", f"_gpg_name {sys.argv[2]}", "--addsign", *sorted(out.glob("*.rpm")))
    run("createrepo_c", "-q", "--no-database", "--simple-md-filenames", out)


main()
