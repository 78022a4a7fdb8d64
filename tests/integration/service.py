#!/usr/bin/env python3
"""service.py - weir serve under a service manager: its socket, what they tell each other, keys that it brings, and unit files.

The manager is played: a socket that listens is passed on, datagrams are read. What systemd-analyze says of the units is
asked where it is here.
"""
import contextlib
import fcntl
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import DEMO, ROOT, WEIR, check, remove, scratch_folder, wait_for

WAIT_S = 300
PLAIN = ["serve", DEMO, "--alias", "demo", "--mem", "192M"]
SERVE = [*PLAIN, "--template", "chatml"]


class Manager:
    """Starts weir as systemd would, with one socket, and hears what it says."""

    def __init__(self, listener, *args, words=SERVE, fds=1, **environment):
        self.short = tempfile.mkdtemp(prefix="weir-")  # the name of a socket has 107 bytes at most
        self.path = os.path.join(self.short, "notify")
        self.notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notes.bind(self.path)
        self.notes.settimeout(WAIT_S)
        self.heard = []
        passed = os.dup(listener.fileno())
        found = {**os.environ, "NOTIFY_SOCKET": self.path, "LISTEN_FDS": str(fds), **environment}
        self.process = subprocess.Popen(["sh", "-c", f'export LISTEN_PID=${{LISTEN_PID:-$$}}; exec "$@" 3<&{passed}', "sh", WEIR, *words, *map(str, args)],
                                        stderr=subprocess.PIPE, text=True, env=found, pass_fds=[passed])
        os.close(passed)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        self.notes.close()
        remove(self.short)

    def hear(self, wanted):
        self.hear_until(lambda heard: wanted in heard, wanted)

    def hear_until(self, is_there, wanted):
        """Reads datagrams until what is wanted is among their lines."""
        while not is_there(self.heard):
            try:
                self.heard += self.notes.recv(4096).decode().splitlines()
            except TimeoutError:
                self.process.kill()
                check(False, f"wanted {wanted}, heard {self.heard}; it said {self.process.stderr.read()}")

    def ended(self, status, words):
        said = self.process.communicate(timeout=WAIT_S)[1]
        check(self.process.returncode == status and words in said, f"wanted {status} {words!r}, found {self.process.returncode}: {said}")
        return said


def listen(family=socket.AF_INET, address=("127.0.0.1", 0)):
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(8)
    return listener


class Connection(http.client.HTTPConnection):
    """One that is opened to a socket of any family."""

    def __init__(self, listener):
        super().__init__("localhost", timeout=WAIT_S)
        self.listener = listener

    def connect(self):
        self.sock = socket.socket(self.listener.family, socket.SOCK_STREAM)
        self.sock.settimeout(WAIT_S)
        self.sock.connect(self.listener.getsockname())


def ask(listener, method, path, body=None, **headers):
    with contextlib.closing(Connection(listener)) as connection:
        connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())


class SlowTemplate:
    """A pipe as a chat template: a load waits for what is written into it."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "template")
        os.mkfifo(self.path)
        self.pipe = os.open(self.path, os.O_RDWR)  # so that neither side waits for the other to open it

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pipe is not None:
            os.close(self.pipe)

    def write(self, reader):
        os.write(self.pipe, b"{% for message in messages %}{{ message['content'] }}{% endfor %}")
        wait_for(lambda: fcntl.ioctl(self.pipe, termios.FIONREAD, bytes(4)) == bytes(4), "the template is read", reader)
        os.close(self.pipe)
        self.pipe = None


def it_takes_the_socket_and_tells(folder):
    with listen() as listener:
        early = Connection(listener)  # the manager's socket takes connections before anybody is there
        early.connect()
        early.request("GET", "/health")
        with SlowTemplate(folder) as template, Manager(listener, "--template", template.path, words=PLAIN, WATCHDOG_USEC="200000") as manager:
            answer = early.getresponse()
            told = json.loads(answer.read())
            check((answer.status, told["status"]) == (503, "loading"), f"health at first: {answer.status} {told}")
            early.close()
            template.write(manager.process)
            manager.hear("READY=1")
            check(ask(listener, "GET", "/health")[2] == {"status": "ok"}, "it is ready")
            status, _, text = ask(listener, "POST", "/v1/completions", {"prompt": "The", "max_tokens": 2})
            check(status == 200 and text["usage"]["completion_tokens"] == 2, f"an answer: {status} {text}")
            manager.hear_until(lambda heard: heard.count("WATCHDOG=1") >= 3, "three signs of life")
            manager.hear_until(lambda heard: any(re.match("STATUS=.* requests so far", line) for line in heard), "a status")
            manager.process.send_signal(signal.SIGTERM)
            manager.hear("STOPPING=1")
            manager.ended(143, f"port {listener.getsockname()[1]}")
        listener.settimeout(WAIT_S)
        next_one = Connection(listener)  # it still listens: the next start finds who came meanwhile
        next_one.connect()
        next_one.close()


def a_socket_of_files_will_do():
    with tempfile.TemporaryDirectory(prefix="weir-") as short, listen(socket.AF_UNIX, os.path.join(short, "door")) as listener, \
            Manager(listener) as manager:
        manager.hear("READY=1")
        check(ask(listener, "GET", "/v1/models")[2]["data"][0]["id"] == "demo", "over a socket in the file system")


def keys_come_as_a_credential(folder):
    secrets = os.path.join(folder, "secrets")
    os.mkdir(secrets)
    with open(os.path.join(secrets, "weir.keys"), "w", encoding="ascii") as file:
        file.write("first-secret-secret\nsecond-secret-secret weight=4\n")
    config = os.path.join(folder, "config")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"# what the unit has\nmodel = {DEMO}\nalias = named\nmem = 192M\ntemplate = chatml\nqueue = 3\n")
    with listen(address=("0.0.0.0", 0)) as listener, \
            Manager(listener, words=["serve", "--config", config], CREDENTIALS_DIRECTORY=secrets) as manager:
        manager.hear("READY=1")
        check(ask(listener, "GET", "/v1/models")[0] == 401, "a key is wanted")
        for key in ("first-secret-secret", "second-secret-secret"):
            found = ask(listener, "GET", "/v1/models", Authorization="Bearer " + key)
            check(found[0] == 200 and found[2]["data"][0]["id"] == "named", f"the keys and the name of the config: {found}")
        check(ask(listener, "GET", "/props", **{"x-api-key": "first-secret-secret"})[2]["queue"] == 3, "the queue of the config")
    for line, words in (("first-secret-secret weight=0", "weight=N"), ("first-secret-secret heavy", "weight=N"), ("short", "16 characters"),
                        ("first-secret-secret\nfirst-secret-secret", "once")):
        with open(os.path.join(secrets, "weir.keys"), "w", encoding="ascii") as file:
            file.write(line + "\n")
        with listen() as listener, Manager(listener, CREDENTIALS_DIRECTORY=secrets) as manager:
            check("secret" not in manager.ended(1, words).replace(secrets, ""), "no word of a key is said")


def what_makes_no_sense_is_refused():
    with listen() as listener:
        with Manager(listener, fds=2) as manager:
            manager.ended(1, "wanted one socket")
        with Manager(listener, "--port", 8080) as manager:
            manager.ended(2, "--port")
        with Manager(listener, "--port", 0, LISTEN_PID="1") as manager:  # meant for somebody else
            manager.hear("READY=1")
            manager.process.send_signal(signal.SIGTERM)
            manager.ended(143, "http://127.0.0.1:")
    with socket.socket() as deaf, Manager(deaf) as manager:
        manager.ended(1, "ListenStream=")
    with listen(address=("0.0.0.0", 0)) as listener, Manager(listener) as manager:
        manager.ended(2, "--api-key-file")


def the_units_are_right(folder):
    if shutil.which("systemd-analyze") is None:
        print("service: no systemd-analyze, so nobody judges the units")
        return
    for name in ("weir.service", "weir.socket"):
        with open(os.path.join(ROOT, "tools", "systemd", name), encoding="utf-8") as file:
            text = file.read()
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(re.sub(r"^ExecStart=\S+", f"ExecStart={WEIR}", text, flags=re.M))
    service = os.path.join(folder, "weir.service")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", service], capture_output=True, text=True,
                          env={**os.environ, "SYSTEMD_UNIT_PATH": folder + ":"})
    said = [line for line in (done.stdout + done.stderr).splitlines() if "weir" in line]
    check(done.returncode == 0 and not said, f"systemd-analyze verify: {done.returncode} {said} {done.stderr[-500:]}")
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", service], capture_output=True, text=True)
    check(done.returncode == 0, f"systemd-analyze security: more exposed than 2.0: {done.stdout[-3000:]}{done.stderr[-500:]}")


def main():
    folder = scratch_folder()
    try:
        the_units_are_right(folder)
        it_takes_the_socket_and_tells(folder)
        a_socket_of_files_will_do()
        keys_come_as_a_credential(folder)
        what_makes_no_sense_is_refused()
    finally:
        remove(folder)
    print("service: it takes the manager's socket and keys, says how it is, and its units are right")


if __name__ == "__main__":
    main()
