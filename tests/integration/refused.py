#!/usr/bin/env python3
"""refused.py - calls that a filter of the system refuses: said, worked around, and never a process that cannot be stopped."""
import ctypes
import errno
import json
import os
import platform
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
from harness import DEMO, PATIENCE_S, WEIR, check, rests, skip, wait_for, wait_until_caught

RUN = ["run", DEMO, "-p", "The old man", "--temp", "0", "-n", "8"]
# The same number on every machine since they were added; sched_getaffinity is older.
IO_URING_SETUP, IO_URING_ENTER, IO_URING_REGISTER = 425, 426, 427
SCHED_GETAFFINITY = {"x86_64": 204, "aarch64": 123}.get(platform.machine())
SYSINFO = {"x86_64": 99, "aarch64": 179}.get(platform.machine())
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LIBC = ctypes.CDLL(None, use_errno=True)


def refuse(calls, number):
    """From here on this process and those that it starts get errno number for the calls (seccomp(2), BPF)."""
    steps = [(0x20, 0, 0, 0)]  # load the call's number
    for call in calls:
        steps += [(0x15, 0, 1, call), (0x06, 0, 0, 0x00050000 | number)]
    steps.append((0x06, 0, 0, 0x7FFF0000))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
    if LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or \
            LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) != 0:
        os._exit(77)


def behind(calls, number, *args):
    done = subprocess.run([WEIR, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S,
                          preexec_fn=lambda: refuse(calls, number))
    if done.returncode == 77:
        skip("the kernel takes no seccomp filter")
    return done


def test_io_uring_that_is_refused():
    wanted = subprocess.run([WEIR, *RUN], stdin=subprocess.DEVNULL, capture_output=True).stdout
    for call, number in ((IO_URING_SETUP, errno.EPERM), (IO_URING_ENTER, errno.EPERM), (IO_URING_ENTER, errno.ENOSYS),
                         (IO_URING_ENTER, errno.EINTR), (IO_URING_ENTER, errno.EAGAIN), (IO_URING_ENTER, errno.EBUSY)):
        what = f"call {call} refused with {errno.errorcode[number]}"
        found = json.loads(behind([call], number, "doctor", DEMO, "--json").stdout)
        line = next(check for check in found["checks"] if check["what"] == "io_uring")
        check(found["uring"] is False and not line["ok"], f"doctor, {what}: {line}")
        check(os.strerror(number) in line["found"] and "threads" in line["advice"], f"doctor, {what}: {line}")
        done = behind([call], number, *RUN, "--expert-share", "0.3")
        check(done.returncode == 0 and done.stdout == wanted, f"run, {what}: {done}")
        check(b"threads direct" in done.stderr and os.strerror(number).encode() in done.stderr, f"run, {what}: {done.stderr}")
        done = behind([call], number, *RUN, "--io", "uring")
        check(done.returncode == 1 and os.strerror(number).encode() in done.stderr, f"--io uring, {what}: {done}")
    found = json.loads(behind([IO_URING_REGISTER], errno.EPERM, "doctor", DEMO, "--json").stdout)
    check(found["uring"] is True, "io_uring works without the call that nobody makes")


def test_processors_and_memory_that_nobody_tells():
    if SCHED_GETAFFINITY is None:
        return
    found = json.loads(behind([SCHED_GETAFFINITY], errno.EPERM, "doctor", "--json").stdout)
    check(found["n_cpu"] >= 1, f"{found['n_cpu']} processors")
    done = behind([SCHED_GETAFFINITY, SYSINFO], errno.EPERM, *RUN)
    check(done.returncode == 0, f"without affinity and sysinfo: {done.stderr}")


def test_a_device_that_never_answers_can_be_stopped():
    for number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen([WEIR, *RUN, "--fake-io", "1:3"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        wait_until_caught(process, number)
        wait_for(lambda: rests(process), "a process that waits leaves the processors alone", process)
        process.send_signal(number)
        err = process.communicate(timeout=PATIENCE_S)[1]
        check(process.returncode == 128 + number and b"stopped" in err, f"{number}: {process.returncode} {err}")


def main():
    for name, test in list(globals().items()):
        if name.startswith("test_") and (len(sys.argv) < 2 or sys.argv[1] in name):
            test()
            print(f"ok  {name[5:].replace('_', ' ')}")


if __name__ == "__main__":
    main()
