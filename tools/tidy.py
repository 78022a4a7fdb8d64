#!/usr/bin/env python3
"""tidy.py - is the tree as docs/STYLE.md says? Each finding is a sentence with a place.

    tools/tidy.py                       check the tree this file is in
    tools/tidy.py --self-test           make broken trees and expect each finding
    tools/tidy.py --symbols LIB.a       every symbol that the library offers begins with weir_

The allowed order of rooms is tools/layers.txt. Only the Python standard library is needed.
"""
import os
import re
import subprocess
import sys

from tree_files import list_files

# path: why it is excused from its size limit. This list may only shrink.
EXCUSED = {}

C_LINES, HEADER_LINES, FUNCTION_LINES, ISA_FUNCTION_LINES, WIDTH = 600, 250, 70, 150, 100
ISA_FOLDERS = ("src/kernels/x86/", "src/gpu/cuda/")
C_ENDINGS = (".c", ".h", ".cu", ".cuh")
DOCUMENT_LINES = {"Makefile": 200, "README.md": 150, "docs/ARCHITECTURE.md": 400, "docs/HACKING.md": 200,
                  "docs/STYLE.md": 250}
DECISION_LINES = 80
LONG_HEADERS = {"include/weir.h"}
FRONT_DOORS = {"engine": "include/weir.h"}  # all other rooms: src/ROOM/ROOM.h
CONTRACT = ["Job", "Owns", "Threads", "Errors"]
# room: what its calls change, and what asserts its promises after each of them.
CHECKED_ROOMS = {"store": (r"weir_store \*\w", "WEIR_STORE_CHECK"), "state": (r"weir_(state|sequence) \*\w", "WEIR_(STATE|SEQUENCE)_CHECK")}

# System headers that belong to rooms: a pattern, and where it may be included.
SYSTEM_HEADERS = [
    (r"liburing\.h", ["src/io/"]),
    (r"sys/mman\.h", ["src/base/", "src/sys/", "src/io/"]),
    (r"sys/auxv\.h", ["src/kernels/"]),
    (r"(sys|linux)/.*", ["src/sys/", "src/io/"]),
    (r"immintrin\.h|x86intrin\.h", ["src/kernels/x86/"]),
    (r"arm_neon\.h", ["src/kernels/arm/"]),
    (r"cpuid\.h", ["src/kernels/"]),
    (r"(cuda|mma).*\.h", ["src/gpu/cuda/"]),
    (r"pcre2\.h|utf8proc\.h", ["src/text/"]),
    (r"jansson\.h", ["cli/", "src/serve/", "tests/"]),
    (r"microhttpd\.h", ["src/serve/"]),
    (r"histedit\.h|curl/curl\.h|nettle/.*", ["cli/"]),
    (r"cmocka\.h", ["tests/"]),
]
# The command line talks to the terminal, and tests may use all that tests need.
HEADER_GUESTS = {"src/serve/": [r"sys/socket\.h"],
                 "cli/": [r"sys/socket\.h", r"sys/un\.h", r"sys/ioctl\.h", r"sys/stat\.h", r"sys/statvfs\.h", r"sys/types\.h"],
                 "tests/": [r"(sys|linux)/.*"], "bench/": [r"(sys|linux)/.*"], "tools/": [r"(sys|linux)/.*"]}

# Calls that belong to rooms: names, where they are allowed, what to use instead.
CALLS = [
    ("malloc calloc realloc free strdup strndup posix_memalign aligned_alloc memalign", ["src/base/heap.c"],
     "memory comes from base/heap.h or base/mem.h"),
    ("exit _exit quick_exit abort getenv secure_getenv setenv putenv", ["src/base/base.c"],
     "only cli ends the process or reads the environment"),
    ("pthread_create", ["src/base/thread.c"], "threads are started by base/thread.h, so that no signal reaches them"),
    ("mallopt setlocale signal sigaction sigprocmask atexit on_exit umask chdir fchdir prctl setrlimit setpriority nice "
     "fesetround fesetenv mlockall dup2 freopen setvbuf fork vfork system popen mkstemp", [],
     "the library is a guest and leaves its caller's process as it is"),
    ("printf vprintf puts putchar perror", [], "the library never prints"),
    ("stdout stderr", ["src/base/base.c"], "the library never prints"),
]
# Calls that nobody in src and cli needs.
UNSAFE = {"sprintf": "snprintf", "vsprintf": "vsnprintf", "strcpy": "snprintf or memcpy", "gets": "fgets",
          "strcat": "snprintf", "strtok": "strtok_r", "alloca": "planned memory", "rand": "weir_random_next",
          "srand": "weir_random_next", "atoi": "strtol", "atol": "strtol", "atof": "strtod"}

# Paths of one machine. Spelled in two parts, so that this file does not find itself.
MACHINE_PATHS = re.compile(r"(?<![\w.*-])(/wo" r"rk/|/ro" r"ot/|/ho" r"me/\w+/|/tm" r"p/weir/)")


class Tree:
    """The files of one checkout, read once, and what is found in them."""

    def __init__(self, root):
        self.root = root
        self.findings = []
        self.paths = list_files(root)
        self.cache = {}

    def text(self, path):
        """The file's text; None for bytes that are none."""
        if path not in self.cache:
            with open(os.path.join(self.root, path), "rb") as file:
                data = file.read()
            self.cache[path] = None if b"\0" in data[:65536] else data.decode("utf-8", "replace")
        return self.cache[path]

    def lines(self, path):
        return (self.text(path) or "").splitlines()

    def find(self, path, line, sentence):
        self.findings.append((path, line, f"{path}:{line}: {sentence}"))

    def c_files(self, *folders):
        return [path for path in self.paths if path.endswith(C_ENDINGS) and path.startswith(folders)]


def without_comments(text):
    """C text with comments and the contents of strings blanked, line by line as before."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found[0] + " " * (len(found) - 2) + found[-1]
        return re.sub(r"[^\n]", " ", found)

    return pattern.sub(blank, text)


# ---- rooms -----------------------------------------------------------------------------------


def read_layers(tree):
    layers = {}
    for line in tree.lines("tools/layers.txt"):
        if line.strip() and not line.startswith("#"):
            room, _, allowed = line.partition(":")
            layers[room.strip()] = allowed.split()
    return layers


def room_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "src" and len(parts) > 2 else parts[0]


def room_of_include(included, own_room):
    if included in ("weir.h", "weir_bench.h", "weir_files.h"):
        return "api"
    if included == "weir_status.h":
        return "status"
    return included.split("/")[0] if "/" in included else own_room


def check_rooms(tree):
    layers = read_layers(tree)
    for number, (room, allowed) in enumerate(layers.items()):
        for other in allowed:
            if other not in layers:
                tree.find("tools/layers.txt", number + 1, f"room {room} may include {other}, which is no room")
    for path in tree.c_files("src/", "cli/"):
        room = room_of(path)
        if room not in layers:
            tree.find(path, 1, f"room {room} is not in tools/layers.txt")
            continue
        for number, line in enumerate(tree.lines(path), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            other = room_of_include(match.group(1), room) if match else room
            if other != room and other not in layers[room]:
                tree.find(path, number, f"room {room} may not include {match.group(1)} "
                          f"(allowed: {' '.join(layers[room])})")


def check_system_headers(tree):
    for path in tree.c_files("src/", "cli/", "tests/", "tools/", "bench/", "include/", "examples/"):
        guests = [pattern for folder, patterns in HEADER_GUESTS.items() if path.startswith(folder)
                  for pattern in patterns]
        for number, line in enumerate(tree.lines(path), 1):
            match = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
            if not match or any(re.fullmatch(pattern, match.group(1)) for pattern in guests):
                continue
            for pattern, homes in SYSTEM_HEADERS:
                if re.fullmatch(pattern, match.group(1)):
                    if not path.startswith(tuple(homes)):
                        tree.find(path, number, f"<{match.group(1)}> belongs to {' and '.join(homes)}")
                    break


def check_calls(tree):
    for path in tree.c_files("src/", "cli/"):
        rules = [(name, f"{name} may not be used here: {instead}") for names, homes, instead in CALLS
                 for name in names.split() if path.startswith("src/") and path not in homes]
        rules += [(name, f"{name} may not be used here: {instead}") for names, homes, instead in CALLS[:1]
                  for name in names.split() if path.startswith("cli/")]
        rules += [(name, f"{name} is not used in this tree: use {instead}") for name, instead in UNSAFE.items()]
        words = dict(rules)
        for number, line in enumerate(without_comments(tree.text(path)).splitlines(), 1):
            for match in re.finditer(r"(?<![\w.>])(\w+)\b(\s*\()?", line):
                name = match.group(1)
                if name in words and (match.group(2) or name in ("stdout", "stderr")):
                    tree.find(path, number, words[name])
            if path.startswith("src/") and re.search(r'(?<!\w)fopen\(|(?<!\w)open\([^)]*O_', line) and not re.search(
                    r'"\w*e\w*"|O_CLOEXEC', tree.lines(path)[number - 1]):
                tree.find(path, number, "a descriptor of the library must not reach its caller's children: O_CLOEXEC")
            if path.startswith("src/kernels/") and re.search(r"__AVX|__FMA__|__F16C__|__ARM_", line):
                tree.find(path, number, "a file's name says its instruction set; no #ifdef does")


# ---- sizes and shapes ------------------------------------------------------------------------


def functions(text):
    """(first line, last line, head, name) of each function, by the layout that clang-format gives."""
    lines = without_comments(text).splitlines()
    for index, line in enumerate(lines):
        if line != "{" or index == 0:
            continue
        first = index - 1
        while first > 0 and lines[first - 1].strip() and not re.match(r"[}#]|.*[;}\\]\s*$", lines[first - 1]):
            first -= 1
        last = next((at for at in range(index, len(lines)) if lines[at].startswith("}")), len(lines) - 1)
        head = " ".join(lines[first:index])
        name = re.search(r"(\w+)\s*\(", re.sub(r"__attribute__\s*\(\(.*?\)\)", "", head))
        yield first + 1, last + 1, head, name.group(1) if name else ""


def check_sizes(tree):
    for path in tree.c_files("src/", "cli/", "tests/", "tools/", "bench/", "include/", "examples/"):
        lines = tree.lines(path)
        limit = HEADER_LINES if path.endswith(".h") else C_LINES
        generated = bool(lines) and "generated" in lines[0]
        if len(lines) > limit and path not in LONG_HEADERS and path not in EXCUSED and not generated:
            tree.find(path, limit + 1, f"{len(lines)} lines, at most {limit} are allowed")
        limit = ISA_FUNCTION_LINES if path.startswith(ISA_FOLDERS) else FUNCTION_LINES
        for first, last, _, name in functions(tree.text(path)):
            if last - first + 1 > limit:
                tree.find(path, first, f"function {name} has {last - first + 1} lines, at most {limit} are allowed")
        for number, line in enumerate(lines, 1):
            if len(line) > WIDTH and not generated:
                tree.find(path, number, f"{len(line)} columns, at most {WIDTH} are allowed")
            if line != line.rstrip() or "\t" in line:
                tree.find(path, number, "a tab, or blanks at the end of the line")
    for path in tree.paths:
        limit = DECISION_LINES if re.match(r"docs/decisions/.*\.md", path) else DOCUMENT_LINES.get(path)
        if limit and len(tree.lines(path)) > limit:
            tree.find(path, limit + 1, f"{len(tree.lines(path))} lines, at most {limit} are allowed")


def check_first_lines(tree):
    for path in tree.c_files("src/", "cli/", "tests/", "tools/", "bench/", "include/", "examples/"):
        name = os.path.basename(path)
        line = (tree.lines(path) or [""])[0]
        if not re.match(r"/\* " + re.escape(name) + r" - \S", line):
            tree.find(path, 1, f"the first line must be `/* {name} - its job. */`")
    for path in tree.paths:
        name = os.path.basename(path)
        if path.endswith(".py") and not re.match(r'(#![^\n]*\n)?"""' + re.escape(name) + r" - \S", tree.text(path)):
            tree.find(path, 1, f'the file must begin with `"""{name} - its job.`')


def check_contracts(tree):
    rooms = sorted({room_of(path) for path in tree.c_files("src/")})
    for room in rooms:
        door = FRONT_DOORS.get(room, f"src/{room}/{room}.h")
        if door not in tree.paths:
            tree.find(f"src/{room}", 1, f"room {room} has no front door {door}")
            continue
        block = tree.text(door).split("*/")[0]
        for label in CONTRACT:
            if not re.search(rf"^ \* {label} +\S", block, re.M):
                tree.find(door, 1, f"the contract block has no line `{label}`")


def check_promises(tree):
    """Every call by which a room's state may change ends with a check of its promises, or in a function that has one."""
    for room, (handle, check) in CHECKED_ROOMS.items():
        files = tree.c_files(f"src/{room}/")
        door = "".join(without_comments(tree.text(path)) for path in files if path.endswith(".h") and "_internal" not in path)
        calls = {name for name, arguments in re.findall(r"\b(weir_\w+)\(([^;{}]*)\);", door)
                 if re.search(rf"(?<!const )\b{handle}", arguments)}
        bodies = {}
        for path in [path for path in files if path.endswith(".c")]:
            lines = without_comments(tree.text(path)).splitlines()
            for first, last, head, name in functions(tree.text(path)):
                bodies[name] = (path, first, "\n".join(lines[first - 1 + head.count("\n"):last]))
        checked = {name for name, (_, _, body) in bodies.items() if re.search(check, body)}
        for name in sorted(calls & set(bodies) - checked):
            path, first, body = bodies[name]
            if not set(re.findall(r"\b(\w+)\(", body)) & (checked - {name}):
                tree.find(path, first, f"{name} may change the room and does not end with {check}()")


def check_names(tree):
    seen = {}
    for path in tree.c_files("src/"):
        name = os.path.basename(path)
        if name in seen:
            tree.find(path, 1, f"the name is taken by {seen[name]}; file names are unique in src")
        seen[name] = path
    for path in [path for path in tree.c_files("src/", "cli/") if path.endswith(".c")]:
        for first, _, head, name in functions(tree.text(path)):
            own = re.match(r"static\b|WEIR_INLINE\b", head)
            if not own and not name.startswith("weir_") and name != "main":
                tree.find(path, first, f"function {name} is seen outside its file and must begin with weir_")
            if own and name.startswith("weir_"):
                tree.find(path, first, f"static function {name} must not begin with weir_")


# ---- documents -------------------------------------------------------------------------------


def check_documents(tree):
    names = set()
    for path in tree.c_files("src/", "include/", "cli/"):
        names.update(re.findall(r"\bweir_\w+", without_comments(tree.text(path))))
    known = set(tree.paths)
    for path in tree.paths:
        while os.path.dirname(path):
            path = os.path.dirname(path)
            known.add(path)
    for document in ["README.md", "docs/ARCHITECTURE.md", "docs/HACKING.md", "docs/STYLE.md"]:
        if document not in tree.paths:
            continue
        for number, line in enumerate(tree.lines(document), 1):
            for name in re.findall(r"\bweir_[a-z0-9_]+\b(?!\.h|[*<])", line):
                if document == "docs/ARCHITECTURE.md" and name not in names and not name.endswith("_"):
                    tree.find(document, number, f"{name} is named here and nowhere in the code")
            for path in re.findall(r"(?<![\w/.])(?:src|cli|tests|tools|docs|bench|include|models|examples)/[\w./-]*\w", line):
                if path not in known and not re.search(r"[A-Z]{4,}(?!\w*\.md)|^\.", path.split("/")[-1]):
                    tree.find(document, number, f"{path} is named here and does not exist")


def check_figures(tree):
    """A table of speeds names the commit of each row: in the row, in its header, or in the text above."""
    for path, header_words in (("README.md", "tokens/s"), ("docs/SPEED.md", "")):
        above, header = "", None
        for number, line in enumerate(tree.lines(path) if path in tree.paths else [], 1):
            if not line.startswith("|"):
                above, header = ("" if line.startswith("#") or header is not None else above) + line, None
            elif header is None:
                header = line
            elif header_words in header and re.search(r"[0-9]", line) and not re.search(r"\b[0-9a-f]{7}\b|published", above + header + line):
                tree.find(path, number, "a row of figures without the commit that was measured")


def check_machine_paths(tree):
    for path in tree.paths:
        for number, line in enumerate(tree.lines(path), 1):
            match = MACHINE_PATHS.search(line)
            if match:
                tree.find(path, number, f"{match.group(1)} is a place on one machine")


CHECKS = [check_rooms, check_system_headers, check_calls, check_sizes, check_first_lines, check_contracts,
          check_promises, check_names, check_documents, check_figures, check_machine_paths]


def check_tree(root):
    tree = Tree(root)
    for check in CHECKS:
        check(tree)
    return [sentence for _, _, sentence in sorted(tree.findings)]


def check_symbols(library):
    done = subprocess.run(["nm", "-g", "--defined-only", library], capture_output=True, text=True)
    if done.returncode != 0:
        return [f"{library}: nm cannot read it: {done.stderr.strip()}"]
    findings = []
    member = count = 0
    for line in done.stdout.splitlines():
        fields = line.split()
        if line.endswith(":"):
            member = line[:-1]
        elif len(fields) == 3:
            count += 1
            if not fields[2].startswith("weir_"):
                findings.append(f"{library}: {member}: symbol {fields[2]} must begin with weir_ or be static")
    return findings if count else [f"{library}: it offers no symbols"]


def main():
    if sys.argv[1:2] == ["--self-test"]:
        sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
        import tidy_selftest
        findings = tidy_selftest.run(check_tree, check_symbols)
    elif sys.argv[1:2] == ["--symbols"] and len(sys.argv) == 3:
        findings = check_symbols(sys.argv[2])
    elif len(sys.argv) == 1:
        findings = check_tree(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    else:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    for sentence in findings:
        print(sentence)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
