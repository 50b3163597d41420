"""Jobs on the nodes of a Ray cluster, which need no common files: models travel with the jobs."""

from __future__ import annotations

import dataclasses
import io
import os
import socket
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qfl_envs.errors import QflError
from train.competition.jobs import Done, Job, TrainJob, failure, perform, too_long
from train.competition.protocol import code_version
from train.competition.results import Entry, Record, Training
from train.runs import make_writable, write_atomically
from train.training.plans import MODE_FILE, MODEL_FILE, PLAN_FILE

RETRIES = 2
"""How often a job begins anew whose process ended; where a node is lost, that is nobody's fault."""
CONNECT_S, NO_NODES_S = 5.0, 60.0
"""How long to wait for an address to answer, and for a node to come back when none is left."""


class RayError(QflError):
    """A Ray cluster that cannot be used."""


@dataclasses.dataclass
class _Running:
    """A job on the cluster."""

    job: Job
    begun: float
    limit_s: float | None

    def left_s(self) -> float:
        return float("inf") if self.limit_s is None else self.begun + self.limit_s - time.monotonic()


class RayPool:
    """A pool of all processors of a cluster, one job on each; see :class:`train.competition.jobs.Pool`."""

    def __init__(self, ray: Any) -> None:
        """Use the cluster that Ray is connected to; see :func:`connect`.

        Args:
            ray: The package.
        """
        self._ray = ray
        self._perform = ray.remote(num_cpus=1, max_retries=RETRIES)(_perform)
        self._running: dict[Any, _Running] = {}
        self._models: dict[Path, Any] = {}
        self._seen_nodes = time.monotonic()

    def free(self) -> int:
        """How many jobs would start at once, on the nodes that are there now.

        Raises:
            RayError: If there have been none for a while.
        """
        processors = int(self._ray.cluster_resources().get("CPU", 0))
        if processors:
            self._seen_nodes = time.monotonic()
        elif time.monotonic() - self._seen_nodes > NO_NODES_S:
            raise RayError("no node of the Ray cluster is left; start some, and run the same command again")
        return processors - len(self._running)

    def start(self, job: Job, limit_s: float | None = None) -> None:
        """Start a job; one that takes longer than the limit is ended, and has failed."""
        model = None
        if not isinstance(job, TrainJob) and job.model is not None:
            if job.model not in self._models:
                self._models[job.model] = self._ray.put(pack(job.model))
            model = self._models[job.model]
        reference = self._perform.remote(job, model, code_version())
        self._running[reference] = _Running(job, time.monotonic(), limit_s)

    def collect(self, timeout_s: float) -> list[Done]:
        """Jobs that have ended, waiting for the first up to a time.

        Raises:
            RayError: If the cluster is gone.
        """
        if not self._running:
            time.sleep(timeout_s)
            return []
        wait_s = max(0.0, min([timeout_s, *(one.left_s() for one in self._running.values())]))
        ended, _ = self._ray.wait(list(self._running), num_returns=1, timeout=wait_s)
        done = []
        for reference in list(self._running):
            one = self._running[reference]
            if reference in ended:
                found = self._found(reference, one.job)
            elif one.limit_s is not None and one.left_s() <= 0:
                self._ray.cancel(reference, force=True)
                found = too_long(one.job, one.limit_s)
            else:
                continue
            del self._running[reference]
            done.append(Done(one.job, found, time.monotonic() - one.begun))
        return done

    def steps_done(self) -> dict[Entry, int]:
        """Nothing: nodes do not tell before they are done."""
        return {}

    def _found(self, reference: Any, job: Job) -> Record | QflError:
        exceptions = self._ray.exceptions
        try:
            found, files = self._ray.get(reference)
        except exceptions.WorkerCrashedError:
            return failure(job, f"its process ended, {1 + RETRIES} times")
        except exceptions.RayError as error:
            return RayError(f"the Ray cluster failed ({type(error).__name__}); run the same command again")
        if isinstance(job, TrainJob) and isinstance(found, Training):
            unpack(files, job.folder)
        result: Record | QflError = found
        return result


@contextmanager
def connect(address: str) -> Iterator[RayPool]:
    """The pool of a cluster.

    Args:
        address: ``host:port`` of its head, ``auto`` for a cluster that this machine belongs to.

    Raises:
        RayError: If Ray is not installed, or no cluster answers.
    """
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise RayError("--ray needs Ray: pip install 'qfl-envs[ray]'") from error
    _knock(address)
    paths = [os.getcwd(), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    absolute = os.pathsep.join(dict.fromkeys(os.path.abspath(path) for path in paths))
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": {"PYTHONPATH": absolute}},
        )
    except Exception as error:  # of many kinds: no cluster, one that is gone, one of other versions
        raise _unreachable(address, str(error)) from error
    try:
        yield RayPool(ray)
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Ask whether anybody answers, which Ray itself would do for minutes.

    Raises:
        RayError: If nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _unreachable(address, str(error)) from error


def _unreachable(address: str, why: str) -> RayError:
    said = " ".join(why.split())
    return RayError(
        f"no Ray cluster answers at {address!r} ({said}); start one with: ray start --head --port 6379, "
        "and give host:port of its head, or auto on one of its nodes"
    )


def _perform(job: Job, model: bytes | None, expected: str) -> tuple[Record | QflError, bytes | None]:
    """On a node: do a job, in a folder of its own; what a training has left is packed."""
    if code_version() != expected:
        error = RayError(f"node {socket.gethostname()} has code {code_version()}, not {expected}; install the same")
        return error, None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if isinstance(job, TrainJob):
            here = dataclasses.replace(job, folder=folder)
            found = perform(here, lambda steps: None)
            return found, pack_all(folder) if isinstance(found, Training) else None
        if model is not None and job.model is not None:
            unpack(model, folder)
            inside = folder if job.model.suffix != ".zip" else folder / job.model.name
            job = dataclasses.replace(job, model=inside)
        return perform(job, lambda steps: None), None


def pack(model: Path) -> bytes:
    """What a competitor is loaded from: the files of a folder of ``qfl train`` that are needed to play, or a model."""
    if model.suffix != ".zip":
        return _packed(model, [model / name for name in (MODEL_FILE, MODE_FILE, PLAN_FILE)])
    beside = [model.with_name(name) for name in (MODE_FILE, PLAN_FILE)] if model.name == MODEL_FILE else []
    return _packed(model.parent, [model, *(path for path in beside if path.exists())])


def pack_all(folder: Path) -> bytes:
    """All files of a folder."""
    return _packed(folder, [path for path in sorted(folder.rglob("*")) if path.is_file()])


def _packed(root: Path, files: list[Path]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in files:
            archive.write(path, path.relative_to(root).as_posix())
    return buffer.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Write what was packed; the model comes last, since where it is all is."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in sorted(archive.namelist(), key=lambda name: name == MODEL_FILE):
            make_writable((folder / name).parent)
            write_atomically(folder / name, archive.read(name))
