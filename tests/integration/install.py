#!/usr/bin/env python3
"""install.py - what `make install` leaves is enough: the program in weir.h builds and runs with it, and the examples do."""
import ctypes
import importlib.util
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEMO, PATIENCE_S, ROOT, check, remove, scratch_folder, skip, weir_json

# {0} for all members is what C has, and C++ warns of.
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wno-missing-field-initializers", "-Werror"]
LANGUAGES = {"C": ("gcc", "-std=c11", "c"), "C++": ("g++", "-std=c++17", "c++")}


def run(*words, **keywords):
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=PATIENCE_S, **keywords)
    check(done.returncode == 0, f"{' '.join(map(str, words))}: exit {done.returncode}: {done.stdout[-500:]}{done.stderr[-1500:]}")
    return done.stdout


def install(folder, prefix, *more):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    run("make", "-s", "install", f"PREFIX={prefix}", *more, cwd=ROOT, env=environment)
    return folder


def header_text(name="weir.h"):
    with open(os.path.join(ROOT, "include", name), encoding="utf-8") as file:
        return file.read()


def example():
    """The program in the first comment of weir.h."""
    lines = header_text().split("*/")[0].splitlines()
    program = [line[5:] for line in lines if line.startswith(" *   ") or line == " *"]
    text = "\n".join(program)
    return text[text.index("#include"):] + "\n"


def check_files(prefix):
    found = sorted(os.path.relpath(os.path.join(at, name), prefix) for at, _, names in os.walk(prefix) for name in names)
    version = re.search(r'WEIR_VERSION "(.*)"', header_text()).group(1)
    soname = "libweir.so." + version.rsplit(".", 1)[0]
    wanted = ["bin/weir", "include/weir.h", "include/weir_files.h", "include/weir_status.h", "lib/libweir.a", "lib/libweir.so", f"lib/{soname}",
              f"lib/libweir.so.{version}", "lib/pkgconfig/weir.pc", "lib/systemd/system/weir.service", "lib/systemd/system/weir.socket"]
    share = [name for name in found if name.startswith("share/")]
    check(sorted(set(found) - set(share)) == sorted(wanted), f"installed {found}, wanted {sorted(wanted)}")
    check_share(prefix, share)
    with open(os.path.join(prefix, "lib", "systemd", "system", "weir.service"), encoding="utf-8") as file:
        check(re.search(r"^ExecStart=(\S+)", file.read(), re.M).group(1).endswith("/bin/weir"), "what the service starts")
    lib = os.path.join(prefix, "lib")
    check(os.readlink(os.path.join(lib, "libweir.so")) == soname, f"libweir.so is no link to {soname}")
    check(os.readlink(os.path.join(lib, soname)) == f"libweir.so.{version}", f"{soname} is no link to the library")
    check(f"Library soname: [{soname}]" in run("readelf", "-d", os.path.join(lib, "libweir.so")), "the shared library's name")
    needed = run("readelf", "-d", os.path.join(prefix, "bin", "weir"))
    check("libweir.so" not in needed, f"the program is not linked with the static library: {needed}")
    check(run(os.path.join(prefix, "bin", "weir"), "--version") == f"weir {version}\n", "the installed program's version")


def check_share(prefix, found):
    """Manual pages, completion, licence and all documents, which any user may read."""
    commands = re.findall(r"^  weir ((?:(?:trace|eval) )?[a-z]+)", run(os.path.join(prefix, "bin", "weir"), "help").split("\nExamples")[0], re.M)
    pages = ["weir", *("weir-" + name.replace(" ", "-") for name in commands)]
    zsh = "vendor-completions" if prefix.endswith("/usr") else "site-functions"
    docs = [os.path.relpath(os.path.join(at, name), ROOT) for place in ("docs", "examples") for at, _, names in os.walk(os.path.join(ROOT, place))
            for name in names if not name.endswith(".pyc")]
    documents = ["README.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md", "LICENSE", *docs]
    wanted = [f"share/man/man1/{page}.1" for page in pages] + [f"share/doc/weir/{name}" for name in documents]
    wanted += ["share/bash-completion/completions/weir", f"share/zsh/{zsh}/_weir", "share/fish/vendor_completions.d/weir.fish"]
    check(found == sorted(wanted), f"missing: {sorted(set(wanted) - set(found))}; not wanted: {sorted(set(found) - set(wanted))}")
    closed = [name for name in found if os.stat(os.path.join(prefix, name)).st_mode & 0o777 != (0o755 if "/examples/" in name and name.endswith(".py") else 0o644)]
    check(not closed, f"not to be read, or to be run: {closed}")


def check_exports(prefix):
    """The shared library offers what its headers promise, all of it and nothing else."""
    listed = run("nm", "-D", "--defined-only", os.path.join(prefix, "lib", "libweir.so"))
    found = {line.split()[2] for line in listed.splitlines()}
    declared = re.findall(r"^WEIR_API [^;]*?\b(weir_\w+)\(", header_text() + header_text("weir_files.h"), re.M)
    check(len(declared) > 30 and found == set(declared),
          f"exported and not declared: {sorted(found - set(declared))}; declared and not exported: {sorted(set(declared) - found)}")


def build_and_run(folder, prefix, language, is_static):
    compiler, standard, suffix = LANGUAGES[language]
    source = os.path.join(folder, "program." + suffix)
    program = os.path.join(folder, "program")
    with open(source, "w", encoding="utf-8") as file:
        file.write(example())
    environment = dict(os.environ, PKG_CONFIG_PATH=os.path.join(prefix, "lib", "pkgconfig"))
    flags = run("pkg-config", *(["--static"] if is_static else []), "--cflags", "--libs", "weir", env=environment).split()
    run(compiler, standard, *WARNINGS, "-x", suffix, source, "-x", "none", "-o", program, *flags)
    needs_shared = "[libweir.so.0." in run("readelf", "-d", program)
    check(needs_shared != is_static, f"{language}: linked with the {'shared' if needs_shared else 'static'} library")
    text = run(program, DEMO)
    check(text == wanted_text(), f"{language}, {'static' if is_static else 'shared'}: {text!r}, wanted {wanted_text()!r}")
    missing = subprocess.run([program, "no-such.gguf"], capture_output=True, text=True)
    check(missing.returncode == 1 and "no-such.gguf" in missing.stderr, f"a missing model: {missing}")


def wanted_text():
    return weir_json("run", DEMO, "-p", "The old man", "-n", 20, "--temp", 0, "--ignore-eos")["text"]


def example_module(path):
    """The Python example, as a module: its library is that of LD_LIBRARY_PATH or WEIR_LIBRARY."""
    spec = importlib.util.spec_from_file_location("example", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_layout(folder, prefix, module):
    """The structures that the Python example writes down are those of weir.h."""
    pairs = {"weir_err": module.Err, "weir_config": module.Config, "weir_sampler_config": module.SamplerConfig}
    lines = [f'_Static_assert(sizeof(struct {name}) == {ctypes.sizeof(kind)}, "{name}");' for name, kind in pairs.items()]
    lines += [f'_Static_assert(offsetof(struct {name}, {field[0]}) == {getattr(kind, field[0]).offset}, "{name}.{field[0]}");'
              for name, kind in pairs.items() for field in kind._fields_]
    source = os.path.join(folder, "layout.c")
    with open(source, "w", encoding="utf-8") as file:
        file.write("#include <stddef.h>\n#include <weir.h>\n" + "\n".join(lines) + "\n")
    run("gcc", "-std=c11", "-fsyntax-only", f"-I{os.path.join(prefix, 'include')}", source)


def check_examples(folder, prefix):
    """As they are installed, with the installed library."""
    examples = os.path.join(prefix, "share", "doc", "weir", "examples")
    wanted = weir_json("run", DEMO, "-p", "The old man", "-n", 40, "--temp", 0)["text"]
    program = os.path.join(folder, "continue")
    flags = run("pkg-config", "--cflags", "--libs", "weir", env=dict(os.environ, PKG_CONFIG_PATH=os.path.join(prefix, "lib", "pkgconfig"))).split()
    run("gcc", "-std=c11", *WARNINGS, os.path.join(examples, "continue.c"), "-o", program, *flags)
    text = run(program, DEMO, "0.5", "The old man")
    check(text == wanted, f"examples/continue.c: {text!r}, wanted {wanted!r}")
    found = {**os.environ, "LD_LIBRARY_PATH": os.path.join(prefix, "lib"), "PYTHONDONTWRITEBYTECODE": "1"}
    text = run(os.path.join(examples, "continue.py"), DEMO, "0.5", "The old man", env=found)
    check(text == wanted, f"examples/continue.py: {text!r}, wanted {wanted!r}")
    for words in ([program], [os.path.join(examples, "continue.py")]):
        done = subprocess.run([*words, "no-such.gguf", "1", "x"], capture_output=True, text=True, env=found)
        check(done.returncode == 1 and "no-such.gguf" in done.stderr, f"a missing model: {done}")
        done = subprocess.run([*words, DEMO, "0.001", "x"], capture_output=True, text=True, env=found)
        check(done.returncode == 1 and "ceiling" in done.stderr, f"a ceiling that is too small: {done}")
    os.environ["WEIR_LIBRARY"] = os.path.join(prefix, "lib", "libweir.so")
    check_layout(folder, prefix, example_module(os.path.join(examples, "continue.py")))


def main():
    for compiler, _, _ in LANGUAGES.values():
        if shutil.which(compiler) is None:
            skip(f"no {compiler}")
    folder = scratch_folder()
    try:
        prefix = os.path.join(folder, "prefix")
        install(folder, prefix)
        check_files(prefix)
        check_exports(prefix)
        for language in LANGUAGES:
            build_and_run(folder, prefix, language, is_static=False)
        check_examples(folder, prefix)
        # With both libraries there a linker takes the shared one; who wants the static one has it alone.
        for name in os.listdir(os.path.join(prefix, "lib")):
            if name.startswith("libweir.so"):
                os.remove(os.path.join(prefix, "lib", name))
        for language in LANGUAGES:
            build_and_run(folder, prefix, language, is_static=True)
        stage = os.path.join(folder, "stage")
        install(folder, "/opt/weir", f"DESTDIR={stage}")
        check_files(os.path.join(stage, "opt", "weir"))
        install(folder, "/usr", f"DESTDIR={stage}")
        check_files(os.path.join(stage, "usr"))
        with open(os.path.join(stage, "usr", "lib", "pkgconfig", "weir.pc"), encoding="utf-8") as file:
            check("rpath" not in file.read(), "a path for the loader that it has anyway")
    finally:
        remove(folder)
    print("install: the program of weir.h builds and runs, in C and C++, with both libraries")


main()
