"""Processes of other processes."""

import os
import time


def children_of(pid):
    """Processes whose parent this is, read from Linux' process table."""
    children = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/stat") as file:
                if entry.isdigit() and int(file.read().rsplit(")", 1)[1].split()[1]) == pid:
                    children.append(int(entry))
        except OSError:
            continue
    return children


def wait_for_end(pids):
    """Workers must not outlive their parent by long."""
    deadline = time.monotonic() + 60
    while any(os.path.exists(f"/proc/{pid}") for pid in pids):
        assert time.monotonic() < deadline, "workers live on after their parent was killed"
        time.sleep(0.1)
