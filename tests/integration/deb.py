#!/usr/bin/env python3
"""deb.py - the Debian package: what it holds, what it depends on, and that its program and library work."""
import functools
import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEMO, PATIENCE_S, ROOT, WEIR, alone, check, remove, scratch_folder, skip

NEEDED = ["usr/bin/weir", "usr/lib/libweir.so.0.2", "usr/lib/libweir.a", "usr/include/weir.h", "usr/lib/pkgconfig/weir.pc", "usr/share/man/man1/weir.1.gz",
          "usr/share/man/man1/weir-trace-record.1.gz", "usr/share/bash-completion/completions/weir", "usr/share/zsh/vendor-completions/_weir",
          "usr/share/fish/vendor_completions.d/weir.fish", "usr/lib/systemd/system/weir.service", "usr/lib/systemd/system/weir.socket", "usr/share/doc/weir/copyright", "usr/share/doc/weir/changelog.gz", "usr/share/doc/weir/changelog.Debian.gz", "usr/share/doc/weir/README.md"]


def run(*words, **more):
    done = subprocess.run([*words], capture_output=True, text=True, timeout=PATIENCE_S, **more)
    check(done.returncode == 0, f"{' '.join(words)}: exit {done.returncode}: {done.stdout[-500:]}{done.stderr[-1500:]}")
    return done.stdout


def package():
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment["DEB_XZ_LEVEL"] = "0"  # seconds, of which nothing is seen
    with alone(os.path.join(ROOT, "build", "deb-package")):
        said = run("make", "deb", cwd=ROOT, env=environment)
    return os.path.join(ROOT, re.search(r"DEB +(\S+)$", said.strip()).group(1))


@functools.cache
def owners_of(library):
    return {line.split(":")[0] for line in run("dpkg-query", "-S", f"*/{library}").splitlines()}


def check_control(deb, root):
    fields = dict(re.findall(r"^([A-Z][\w-]*): (.*)$", run("dpkg-deb", "--field", deb), re.M))
    with open(os.path.join(ROOT, "include", "weir.h"), encoding="utf-8") as file:
        version = re.search(r'WEIR_VERSION "(.*)"', file.read()).group(1)
    check(fields["Version"] == version + "-1" and fields["Package"] == "weir", f"{fields}")
    depends = set(re.findall(r"[\w.+-]+(?= \(|,|$)", fields["Depends"]))
    for name in ("usr/bin/weir", f"usr/lib/libweir.so.{version}"):
        for library in re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", os.path.join(root, name))):
            owners = owners_of(library)
            check(owners & depends, f"{name} needs {library} of {owners}, the package depends on {depends}")
    for source in ("cli/curl_load.c", "src/serve/mhd_load.c"):
        with open(os.path.join(ROOT, source), encoding="utf-8") as file:
            loaded = re.search(r'names\[\] = \{"(.*?)"', file.read()).group(1)
        owner = run("dpkg-query", "-S", f"*/{loaded}").split(":")[0]
        check(owner in fields["Recommends"], f"{source} loads {loaded} of {owner}, recommended is {fields['Recommends']}")


def check_contents(deb, root):
    listed = run("dpkg-deb", "--contents", deb)
    for name in NEEDED:
        check(os.path.exists(os.path.join(root, name)), f"no {name} in {listed}")
    for line in listed.splitlines():
        rights, owner = line.split()[:2]
        check(owner == "root/root" and rights in ("-rw-r--r--", "-rwxr-xr-x", "drwxr-xr-x", "lrwxrwxrwx"), f"owner or rights: {line}")
    for path in glob.glob(os.path.join(root, "**"), recursive=True):
        if os.path.isfile(path):
            with open(path, "rb") as file:
                check(ROOT.encode() not in file.read(), f"{path} names the folder that it was built in")


def check_works(root):
    program = os.path.join(root, "usr", "bin", "weir")
    text = run(WEIR, "run", DEMO, "-p", "The old man", "-n", "8", "--temp", "0", "-q")
    check(run(program, "run", DEMO, "-p", "The old man", "-n", "8", "--temp", "0", "-q") == text != "", "the packaged program writes another text")
    said = run("bash", "-c", f". '{root}/usr/share/bash-completion/completions/weir'; complete -p weir")
    check("_weir weir" in said, f"completion: {said}")


def main():
    for tool in ("dpkg-deb", "dpkg-shlibdeps"):
        if shutil.which(tool) is None:
            skip(f"no {tool}: this is no Debian system")
    folder = scratch_folder()
    try:
        deb = package()
        run("dpkg-deb", "--extract", deb, folder)
        run("dpkg-deb", "--control", deb, os.path.join(folder, "DEBIAN"))
        run("md5sum", "--check", "--quiet", "DEBIAN/md5sums", cwd=folder)
        check_contents(deb, folder)
        check_control(deb, folder)
        check_works(folder)
    finally:
        remove(folder)
    print("deb: it has what make install brings, and depends on what its program links")


main()
