"""tidy_selftest.py - broken trees for tidy.py: each must give exactly the finding that it asks for."""
import os
import shutil
import subprocess
import tempfile

HEADER = """/* store.h - slots.
 *
 * Job       Slots.
 * Owns      All of them.
 * Threads   One.
 * Errors    None.
 */
"""
SOURCE = """/* slots.c - the slots. */
#include "store/store.h"

#include "base/base.h"
#include "weir_status.h"

static int count_slots(void)
{
    return 3; /* malloc(1) in a comment, and "printf(x)" */
}

int weir_store_count(const char *text)
{
    return count_slots() + (text == "exit(1)");
}

void weir_store_end(weir_store *store)
{
    WEIR_STORE_CHECK(store);
}
"""
CLEAN = {
    "tools/layers.txt": "# room: allowed\nstatus:\nbase: status\nstore: status base\ncli: status base api\napi: status\n",
    "include/weir.h": "/* weir.h - the door. */\n" + "int weir_open(void);\n" * 300,
    "src/base/base.h": HEADER.replace("store.h", "base.h"),
    "src/base/heap.c": "/* heap.c - memory. */\nvoid *weir_heap(void)\n{\n    return calloc(1, 1);\n}\n",
    "src/store/store.h": HEADER + "void weir_store_end(weir_store *store);\n",
    "src/store/slots.c": SOURCE,
    "cli/main.c": "/* main.c - begins. */\n#include \"weir.h\"\n\nint main(void)\n{\n    exit(0);\n}\n",
    "tests/unit/slots_test.c": "/* slots_test.c - slots. */\n#include <cmocka.h>\n#include <sys/wait.h>\n",
    "docs/ARCHITECTURE.md": "1 weir_store_count in src/store/slots.c, weir_status.h\n",
    "Makefile": "all:\n",
}

LONG_FUNCTION = "\nstatic void last_long(void)\n{\n" + "    ;\n" * 68 + "}\n"
# what is wrong: (path, text to append or (old, new), a part of the finding)
BROKEN = {
    "a room that looks up": ("src/base/heap.c", '#include "store/store.h"\n', "room base may not include store/store.h (allowed: status)"),
    "an unknown room": ("src/extra/extra.h", HEADER.replace("store.h", "extra.h"), "room extra is not in tools/layers.txt"),
    "a wrong layer": ("tools/layers.txt", "text: bass\n", "room text may include bass, which is no room"),
    "cli beside the door": ("cli/main.c", '#include "store/store.h"\n', "room cli may not include store/store.h"),
    "CUDA outside its folder": ("src/store/slots.c", "#include <cuda_fp16.h>\n", "<cuda_fp16.h> belongs to src/gpu/cuda/"),
    "a first line of CUDA": ("src/store/slots.cu", "/* slots.c - the slots. */\n", "the first line must be `/* slots.cu - its job. */`"),
    "io_uring outside io": ("src/store/slots.c", "#include <liburing.h>\n", "<liburing.h> belongs to src/io/"),
    "the system outside sys": ("src/store/slots.c", "#include <sys/stat.h>\n", "<sys/stat.h> belongs to src/sys/ and src/io/"),
    "intrinsics outside x86": ("src/store/slots.c", "#include <immintrin.h>\n", "<immintrin.h> belongs to src/kernels/x86/"),
    "intrinsics outside arm": ("src/store/slots.c", "#include <arm_neon.h>\n", "<arm_neon.h> belongs to src/kernels/arm/"),
    "the CPU's features outside kernels": ("src/store/slots.c", "#include <sys/auxv.h>\n", "<sys/auxv.h> belongs to src/kernels/"),
    "malloc": ("src/store/slots.c", "static void *p = malloc (1);\n", "malloc may not be used here"),
    "free in cli": ("cli/main.c", "static void f(void) { free(0); }\n", "free may not be used here"),
    "exit in the library": ("src/store/slots.c", "static void f(void) { exit(1); }\n", "exit may not be used here: only cli"),
    "getenv in the library": ("src/store/slots.c", "static void f(void) { getenv(0); }\n", "getenv may not be used here"),
    "a guest that rearranges": ("src/store/slots.c", "static void f(void) { mallopt(1, 2); }\n", "mallopt may not be used here: the library is a guest"),
    "a descriptor for children": ("src/store/slots.c", "static int f(void) { return open(\"x\", O_RDONLY); }\n", "must not reach its caller's children"),
    "a file for children": ("src/store/slots.c", "static void *f(void) { return fopen(\"x\", \"rb\"); }\n", "must not reach its caller's children"),
    "printing": ("src/store/slots.c", "static void f(void) { printf(0); }\n", "printf may not be used here: the library never prints"),
    "stderr": ("src/store/slots.c", "static void f(void) { fputs(0, stderr); }\n", "stderr may not be used here"),
    "sprintf": ("cli/main.c", "static void f(void) { sprintf(0, 0); }\n", "sprintf is not used in this tree: use snprintf"),
    "a long file": ("src/store/slots.c", "\n" * 600, "lines, at most 600 are allowed"),
    "a long header": ("src/store/store.h", "\n" * 250, "lines, at most 250 are allowed"),
    "a long function": ("src/store/slots.c", LONG_FUNCTION, "function last_long has 71 lines, at most 70 are allowed"),
    "a long line": ("cli/main.c", "/* " + "x" * 98 + " */\n", "104 columns, at most 100 are allowed"),
    "a tab": ("cli/main.c", "\tint x;\n", "a tab, or blanks at the end of the line"),
    "a missing label": ("src/store/store.h", (" * Owns      All of them.\n", ""), "the contract block has no line `Owns`"),
    "no front door": ("src/store/store.h", None, "room store has no front door src/store/store.h"),
    "a first line": ("src/store/slots.c", ("slots.c - the", "slot.c - the"), "the first line must be `/* slots.c - its job. */`"),
    "a python first line": ("tools/x.py", "import os\n", "the file must begin with"),
    "promises that nobody looks at": ("src/store/slots.c", ("    WEIR_STORE_CHECK(store);\n", ""), "weir_store_end may change the room"),
    "a bare symbol": ("src/store/slots.c", "\nint count(void)\n{\n    return 0;\n}\n", "function count is seen outside its file"),
    "a static prefix": ("src/store/slots.c", ("static int count_slots", "static int weir_count"), "static function weir_count must not"),
    "a name taken twice": ("src/base/slots.c", "/* slots.c - again. */\n", "the name is taken by src/base/slots.c"),
    "a function that is gone": ("docs/ARCHITECTURE.md", "2 weir_store_gone\n", "weir_store_gone is named here and nowhere in the code"),
    "a file that is gone": ("docs/ARCHITECTURE.md", "see src/store/gone.c\n", "src/store/gone.c is named here and does not exist"),
    "a long Makefile": ("Makefile", "\n" * 200, "lines, at most 200 are allowed"),
    "a long README": ("README.md", "\n" * 151, "151 lines, at most 150 are allowed"),
    "a long decision": ("docs/decisions/0001-x.md", "\n" * 81, "81 lines, at most 80 are allowed"),
    "a figure of an unknown commit": ("docs/SPEED.md", "| model | decode | at |\n| --- | --- | --- |\n| a | 8 | 0fa4dfc |\n| b | 9 | |\n",
                                     "a row of figures without the commit that was measured"),
    "a place on one machine": ("tests/unit/slots_test.c", "/* /wo" "rk/main */\n", "is a place on one machine"),
}


def write_tree(root, files):
    for path, text in files.items():
        path = os.path.join(root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def findings_of(check_tree, files):
    root = tempfile.mkdtemp(prefix="weir-tidy-")
    try:
        write_tree(root, files)
        return check_tree(root)
    finally:
        shutil.rmtree(root)


def broken_tree(path, change):
    files = dict(CLEAN)
    if change is None:
        del files[path]
    elif isinstance(change, tuple):
        files[path] = files[path].replace(*change)
    else:
        files[path] = files.get(path, "") + change
    return files


def check_archive(check_symbols):
    """The symbol check, on a library with one good and one bad name."""
    root = tempfile.mkdtemp(prefix="weir-tidy-")
    try:
        write_tree(root, {"a.c": "int weir_good(void) { return 0; }\nint bad(void) { return 0; }\n"})
        for command in (["cc", "-c", "a.c"], ["ar", "rcs", "lib.a", "a.o"]):
            if subprocess.run(command, cwd=root, capture_output=True).returncode != 0:
                return [f"self-test: {command[0]} does not work here"]
        found = check_symbols(os.path.join(root, "lib.a"))
        if len(found) != 1 or "symbol bad must begin with weir_" not in found[0]:
            return [f"self-test: symbols: wanted one finding about bad, found {found}"]
        return []
    finally:
        shutil.rmtree(root)


def run(check_tree, check_symbols):
    failures = [f"self-test: a clean tree gives: {sentence}" for sentence in findings_of(check_tree, CLEAN)]
    for what, (path, change, wanted) in BROKEN.items():
        found = findings_of(check_tree, broken_tree(path, change))
        if not any(wanted in sentence for sentence in found):
            failures.append(f"self-test: {what}: wanted `{wanted}`, found {found}")
        # A missing front door is missed by those who include it, too; all else is one fault.
        if len(found) > 1 and change is not None:
            failures.append(f"self-test: {what}: wanted one finding, found {found}")
    failures += check_archive(check_symbols)
    print(f"tidy --self-test: {len(BROKEN) + 2} trees, {len(failures)} wrong")
    return failures
