#!/usr/bin/env python3
"""tree_files.py - the files of this tree, one a line: what tidy.py looks at and `make dist` packs.

In a checkout they are those that git knows or would take in; in an unpacked tarball, or where there is no git, all
that is there but what builds and Python leave.
"""
import os
import subprocess
import sys

LEFT_BEHIND = {".git", "__pycache__"}  # and build at the root, as .gitignore has it


def files_of_git(root):
    """None: git does not know this folder, or is not there."""
    if not os.path.exists(os.path.join(root, ".git")):
        return None  # and a checkout around this folder, such as that of a test, knows none of it
    try:
        done = subprocess.run(["git", "-C", root, "ls-files", "-z", "-co", "--exclude-standard"], capture_output=True)
    except FileNotFoundError:
        return None
    return {os.fsdecode(path) for path in done.stdout.split(b"\0") if path} if done.returncode == 0 else None


def files_there(root):
    found = set()
    for folder, folders, names in os.walk(root):
        left = LEFT_BEHIND | ({"build"} if folder == root else set())
        folders[:] = [name for name in folders if name not in left]
        found.update(os.path.relpath(os.path.join(folder, name), root) for name in names if name not in left)
    return found


def list_files(root):
    found = files_of_git(root)
    found = files_there(root) if found is None else found
    return sorted(path for path in found if os.path.isfile(os.path.join(root, path)))


if __name__ == "__main__":
    sys.stdout.write("".join(path + "\n" for path in list_files(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))
