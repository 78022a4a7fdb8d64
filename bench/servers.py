"""servers.py - servers that server.py measures: weir's and llama.cpp's, what they hold and what time they take."""
import os
import re
import socket
import subprocess
import tempfile
import time
import urllib.request

from measure import ROOT, WEIR, check

WAIT_S = 600


class Server:
    """A server in the background, in a memory group or in none."""

    def __init__(self, args, group=None):
        os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
        self.log = tempfile.TemporaryFile("w+", dir=os.path.join(ROOT, "build"))
        command = [*map(str, args)] if group is None else group.command(args)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def wait_until(self, holds):
        for _ in range(WAIT_S * 5):
            if holds():
                return
            check(self.process.poll() is None, f"{self.process.args} ended: {self.said()[-500:]}")
            time.sleep(0.2)
        check(False, f"{self.process.args} did not begin within {WAIT_S} s: {self.said()[-500:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def memory_bytes(self):
        """What the process has in memory now."""
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            words = file.read().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class Weir(Server):
    name = "weir"

    def __init__(self, model, *args, group=None):
        super().__init__([WEIR, "serve", model, "--port", 0, "--template", "chatml", *args], group)
        self.wait_until(lambda: "/v1," in self.said())
        self.port = int(re.search(r":(\d+)/v1,", self.said()).group(1))

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=WAIT_S) as answer:
            return float(re.search(rf"^weir_{name} (\S+)$", answer.read().decode(), re.M).group(1))


class Peer(Server):
    """llama.cpp's, with as many places for texts of n_ctx tokens each."""
    name = "llama.cpp"

    def __init__(self, judge, model, places, n_ctx, threads, *args, group=None):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        super().__init__([judge, "server", "-m", model, "--port", self.port, "-t", threads, "-c", places * n_ctx, "-np", places,
                          "--no-webui", *args], group)
        self.wait_until(self.is_healthy)

    def is_healthy(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=WAIT_S) as answer:
                return answer.status == 200
        except OSError:
            return False


def smallest_bytes(model, *args):
    """The smallest ceiling of a server with these options, as it says itself."""
    done = subprocess.run([WEIR, "serve", model, "--port", "0", "--template", "chatml", *map(str, args), "--mem", "1"],
                          capture_output=True, text=True)
    found = re.search(r"the smallest that does is .*?\(--mem (\d+)\)", done.stderr)
    check(found, f"weir serve {model} --mem 1: exit {done.returncode}: {done.stderr}")
    return int(found.group(1))
