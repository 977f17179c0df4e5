"""mounts.py - small file systems of their own for tests: ext4, ext2, xfs, tmpfs, ramfs, overlayfs.

All in a mount namespace of this process, so they end with it, whatever happens.

    mounts.need()
    with mounts.mounted("xfs", 400) as directory: ...
"""

import contextlib
import ctypes
import os
import pathlib
import shutil
import tempfile

import harness

CLONE_NEWNS = 0x20000
_ready = False


def need():
    """A mount namespace of our own; Skip without the right to one."""
    global _ready
    if _ready:
        return
    if os.geteuid() != 0:
        raise harness.Skip("needs root, to mount file systems")
    for what in ("mount", "umount"):
        if not shutil.which(what):
            raise harness.Skip(f"{what} is not here")
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise harness.Skip(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
    if harness.run(["mount", "--make-rprivate", "/"], check=False).returncode != 0:
        raise harness.Skip("mounts can't be made private")
    _ready = True


def mount(*words):
    """mount WORDS...; Skip where this system can't."""
    done = harness.run(["mount", *words], check=False)
    if done.returncode != 0:
        raise harness.Skip(f"mount {' '.join(str(word) for word in words)}: {done.stderr.decode().strip()}")


def unmount(directory):
    # A thread of a process that was killed may hold it for a moment.
    harness.wait_until(lambda: harness.run(["umount", directory], check=False).returncode == 0, 20,
                       f"umount {directory}")


def scratch():
    """Where images lie: memory, if there is some, so that no real disk is in the way."""
    return tempfile.mkdtemp(prefix="millrace-mounts-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)


def make_image(kind, path, mb):
    options = {"ext4": ["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0"], "ext2": ["-q"], "xfs": ["-q"]}
    if not shutil.which(f"mkfs.{kind}"):
        raise harness.Skip(f"mkfs.{kind} is not here")
    with open(path, "wb") as file:
        file.truncate(mb << 20)
    harness.run([f"mkfs.{kind}", *options[kind], path])


@contextlib.contextmanager
def mounted(kind, mb):
    """A directory on a fresh file system of that kind and size."""
    need()
    where = pathlib.Path(scratch())
    directory = where / "mounted"
    directory.mkdir()
    below = []
    try:
        if kind == "tmpfs":
            mount("-t", "tmpfs", "-o", f"size={mb}m", "tmpfs", directory)
        elif kind == "ramfs":
            mount("-t", "ramfs", "ramfs", directory)
        elif kind == "overlay":
            base = where / "base"
            base.mkdir()
            mount("-t", "tmpfs", "-o", f"size={mb}m", "tmpfs", base)
            below.append(base)
            for name in ("lower", "upper", "work"):
                (base / name).mkdir()
            mount("-t", "overlay", "-o", f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work",
                  "overlay", directory)
        else:
            make_image(kind, where / "image", mb)
            mount("-t", kind, "-o", "loop", where / "image", directory)
        below.append(directory)
        yield directory
    finally:
        for each in reversed(below):
            unmount(each)
        shutil.rmtree(where, ignore_errors=True)
