"""harness.py - what the integration tests share: paths, skips, the judge, memory cgroups."""
import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build", "release")
WEIR = os.path.join(BUILD, "weir")
MKMODEL = os.path.join(BUILD, "tools", "mkmodel")
MKSHAPE = os.path.join(BUILD, "tools", "mkshape")
DEMO = os.path.join(ROOT, "models", "demo", "weir-demo.gguf")
HELDOUT = os.path.join(ROOT, "models", "demo", "heldout.txt")
MODELS = os.path.join(ROOT, "build", "models")
LONG = os.environ.get("WEIR_TESTS") == "long"  # ./run-tests long: every variant
# How long what should come is waited for, on a machine that is busy and whose disk stalls: it decides when a test that fails
# ends, and never whether one passes.
PATIENCE_S = 300

# What the user has calibrated and set must not change what tests see, nor one test another: where no folder can be nothing is kept.
os.environ["XDG_CACHE_HOME"] = os.environ["XDG_CONFIG_HOME"] = "/dev/null"
for name in ("WEIR_MEM", "WEIR_THREADS"):
    os.environ.pop(name, None)
# Several scripts run at once, so threads that wait for each other only keep others waiting.
if not LONG:
    os.environ["WEIR_THREADS"] = "1"
JUDGE_THREADS = "2" if LONG else "1"


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def check(condition, sentence):
    if not condition:
        print(f"FAILED: {sentence}")
        sys.exit(1)


def peer():
    """The outside judge, llama.cpp's tools behind one script; skips when there is none."""
    path = os.environ.get("WEIR_LLAMA_PEER") or os.path.join(ROOT, "..", "shared", "tools", "llama-peer")
    if not os.access(path, os.X_OK):
        skip("no llama.cpp to judge by (set WEIR_LLAMA_PEER to a script that runs its tools)")
    with alone(os.path.join(ROOT, "build", "peer")):  # the first call may install it
        status = subprocess.run([path, "bench", "--help"], capture_output=True).returncode
    if status == 77:
        skip("llama.cpp cannot be installed here")
    return path


def peer_text(judge, model, prompt, count, ours):
    """What the judge goes on with, count tokens long. On a busy machine it sometimes ends before its last tokens are
    written: what is only the beginning of ours is asked for again."""
    end = time.monotonic() + PATIENCE_S
    text = None
    while text is None or time.monotonic() < end:
        done = subprocess.run([judge, "completion", "-m", model, "-p", prompt, "-n", str(count), "--temp", "0", "-no-cnv",
                               "--no-display-prompt", "-t", JUDGE_THREADS], capture_output=True)
        check(done.returncode == 0, f"llama.cpp: exit {done.returncode}: {done.stderr[-300:]}")
        # It ends its output with words and line breaks of its own.
        text = done.stdout.decode("utf-8", "replace").replace("[end of text]", "").rstrip()
        if text == ours.rstrip() or not ours.startswith(text):
            break
    return text


def peer_perplexity(judge, model, chunks, length=512, may_refuse=False):
    """The judge's perplexity on the first chunks of so many tokens of the held-out text; None where it may refuse
    the model, and does. It sometimes ends well before its last lines are written, on a busy machine nearly every second time,
    hence many tries."""
    end = time.monotonic() + PATIENCE_S
    found = refuses = None
    while not found and not refuses and time.monotonic() < end:
        done = subprocess.run([judge, "perplexity", "-m", model, "-f", HELDOUT, "-c", str(length), "-b", str(length), "--chunks",
                               str(chunks), "-t", JUDGE_THREADS], capture_output=True, text=True)
        found = re.search(r"Final estimate: PPL = ([0-9.]+)", done.stdout + done.stderr)
        refuses = "failed to load model" in done.stderr
    if may_refuse and refuses:
        return None
    check(found, f"llama.cpp gave no perplexity of {model}: {done.stderr[-300:]}")
    return float(found.group(1))


def weir_json(*args, ok=True):
    """Run weir with --json; the object, or (status, stderr) of a run that was to fail."""
    done = subprocess.run([WEIR, *map(str, args), "--json"], capture_output=True, text=True)
    if not ok:
        return done.returncode, done.stderr
    check(done.returncode == 0, f"weir {' '.join(map(str, args))}: exit {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def ceilings(model, *args):
    """The object of a plan with its three ceilings, min_bytes and so on: of one that does not fit, which forecasts nothing, for that
    takes a second of measuring."""
    done = subprocess.run([WEIR, "plan", model, *map(str, args), "--mem", "1", "--json"], capture_output=True, text=True)
    check(done.returncode == 1 and done.stdout, f"weir plan {model} {args} --mem 1: exit {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


@contextlib.contextmanager
def alone(path):
    """Several scripts run at once; what they share is made by one of them."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_model(name, *args):
    """A synthetic model in build/models, made once: of a preset, or of a file in tools/shapes."""
    path = os.path.join(MODELS, name + ".gguf")
    with alone(path):
        if not os.path.exists(path):
            tool = MKSHAPE if str(args[0]).endswith(".shape") else MKMODEL
            done = subprocess.run([tool, *map(str, args), "-o", path + ".part"], capture_output=True, text=True)
            check(done.returncode == 0, f"{tool} {' '.join(map(str, args))}: {done.stderr}")
            os.rename(path + ".part", path)  # whole, though a run before this one was ended in the middle
    return path


def use_package(wanted, *more):
    """A Python package, as name==version, that `import` finds from here on, in programs started from here too: fetched once,
    with what it asks for, and without any environment, which takes longer to make. more: other packages, and options of pip. Returns
    its folder."""
    folder = os.path.join(ROOT, "build", "judges", wanted)
    with alone(folder):
        if not os.path.exists(os.path.join(folder, "whole")):
            remove(folder)  # what a run left that was ended in the middle
            done = subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--target", folder, *more, wanted],
                                  capture_output=True, text=True)
            if done.returncode != 0:
                skip(f"the Python package {wanted} cannot be had: {(done.stderr or done.stdout).strip()[-200:]}")
            open(os.path.join(folder, "whole"), "w").close()
    sys.path.insert(0, folder)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
    return folder


def use_tokenizers():
    """The judge of tokenizers; what it asks for is how it gets files from the network."""
    use_package("tokenizers==0.23.3", "--no-deps")


# ---- processes that run meanwhile: what they have come to, and not how long it took -----------


def wait_for(is_so, what, process=None):
    """Until is_so() is true, of a process that has not ended if there is one."""
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        check(process is None or process.poll() is None or is_so(), f"it ended before this was so: {what}")
        check(time.monotonic() < end, f"waited {PATIENCE_S} s in vain: {what}")
        time.sleep(0.01)


def proc_file(pid, name):
    with open(f"/proc/{pid}/{name}", encoding="ascii", errors="replace") as file:
        return file.read()


def worked_s(pid):
    """Seconds of processors that a process has used."""
    user, system = proc_file(pid, "stat").rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def let_work(process, seconds):
    """Until a process has used so many seconds of processors more."""
    end = worked_s(process.pid) + seconds
    wait_for(lambda: worked_s(process.pid) >= end, f"it has worked for {seconds} s", process)


def rests(process):
    """Whether it has worked for less than half of a second: it waits, or others have the processors."""
    before = worked_s(process.pid)
    time.sleep(1)
    return worked_s(process.pid) - before < 0.5


def wait_until_caught(process, number):
    """Until a process has a handler for a signal, without which the signal would kill it."""
    wait_for(lambda: int(re.search(r"SigCgt:\s*(\w+)", proc_file(process.pid, "status")).group(1), 16) >> (number - 1) & 1,
             f"signal {number} is caught", process)


class MemoryGroup:
    """A memory cgroup (v1 or v2) with a limit, removed at the end. Skips without the right."""

    def __init__(self, limit_bytes):
        self.v1 = os.path.isdir("/sys/fs/cgroup/memory")
        base = "/sys/fs/cgroup/memory" if self.v1 else "/sys/fs/cgroup"
        try:
            self.path = tempfile.mkdtemp(prefix="weir-test-", dir=base)
            self._write("memory.limit_in_bytes" if self.v1 else "memory.max", limit_bytes)
            if not self.v1:
                self._write("memory.swap.max", 0)
        except OSError as error:
            if getattr(self, "path", None):
                os.rmdir(self.path)
            skip(f"no right to make a memory cgroup: {error}")

    def _write(self, name, value):
        with open(os.path.join(self.path, name), "w") as file:
            file.write(str(value))

    def _read(self, name):
        with open(os.path.join(self.path, name)) as file:
            return file.read()

    def command(self, args):
        """What runs args in the group."""
        procs = os.path.join(self.path, "cgroup.procs")
        return ["sh", "-c", f'echo $$ > "{procs}" && exec "$@"', "sh", *map(str, args)]

    def run(self, args):
        return subprocess.run(self.command(args), capture_output=True, text=True)

    def start(self, args, **more):
        return subprocess.Popen(self.command(args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)

    def set_limit(self, limit_bytes):
        """False when more is in use; version 2 then kills instead."""
        try:
            self._write("memory.limit_in_bytes" if self.v1 else "memory.max", limit_bytes)
        except OSError:
            return False
        return True

    def usage_bytes(self):
        return int(self._read("memory.usage_in_bytes" if self.v1 else "memory.current"))

    def peak_bytes(self):
        return int(self._read("memory.max_usage_in_bytes" if self.v1 else "memory.peak"))

    def oom_kills(self):
        text = self._read("memory.oom_control" if self.v1 else "memory.events")
        return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill "))

    def close(self):
        try:
            os.rmdir(self.path)
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


def scratch_folder():
    """A folder under build/ that the caller removes with shutil.rmtree."""
    os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
    return tempfile.mkdtemp(prefix="test-", dir=os.path.join(ROOT, "build"))


def memory_folder(bytes_wanted=64 << 20):
    """The same in memory, where there is room: for files that a disk would have to take first, as each is read past the page
    cache. `./run-tests long` has them on the disk."""
    try:
        left = os.statvfs("/dev/shm")
        if not LONG and left.f_bavail * left.f_frsize >= bytes_wanted:
            return tempfile.mkdtemp(prefix="weir-test-", dir="/dev/shm")
    except OSError:
        pass
    return scratch_folder()


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)
