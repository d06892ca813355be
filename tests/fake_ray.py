"""Ray in this process: actors that work when their results are asked for, and that can be killed."""

import pickle
from contextlib import contextmanager
from types import SimpleNamespace

SETTINGS = {"address": None, "actors": None, "cpus": 1, "gpus": "auto", "retries": 3}


class RayError(Exception):
    """A process has gone."""


class OutOfMemoryError(RayError):
    """Ray has ended a process."""


class RayTaskError(RayError):
    """An error of the work."""

    def __init__(self, cause):
        super().__init__()
        self.cause = cause


class FakeRay:
    """The calls of Ray that `seti.utils.ray_pool` needs.

    Args:
        has: resources of the cluster.
        kills: numbers, from 0, of the calls during which an actor is killed.
        error: of which a killed actor is reported.
    """

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError, OutOfMemoryError=OutOfMemoryError)

    def __init__(self, has=None, kills=(), error=RayError):
        self.has = {"CPU": 2.0} if has is None else has
        self.kills, self.error = set(kills), error
        self.calls, self.killed, self.started, self.options = 0, [], 0, []

    def cluster_resources(self):
        return self.has

    def put(self, value):
        return pickle.dumps(value)

    def remote(self, kind):
        def start(folder, held):
            self.started += 1
            actor = kind(folder, pickle.loads(held))
            methods = {name: SimpleNamespace(remote=_later(getattr(actor, name))) for name in ("ready", "call")}
            return SimpleNamespace(**methods)

        def options(**given):
            self.options.append(given)
            return SimpleNamespace(remote=start)

        return SimpleNamespace(options=options)

    def wait(self, references, num_returns, timeout):
        return references[-1:], references[:-1]  # the last one ends first

    def get(self, reference):
        work, arguments = reference
        if arguments:
            self.calls += 1
            if self.calls - 1 in self.kills:
                raise self.error
        try:
            return work(*arguments)
        except Exception as error:
            raise RayTaskError(error) from error

    def kill(self, actor):
        self.killed.append(actor)


class _Reference(tuple):
    __hash__ = object.__hash__
    __eq__ = object.__eq__


def _later(work):
    return lambda *arguments: _Reference((work, arguments))


def install(monkeypatch, ray):
    """Let `launcher=ray` use a fake; returns it."""
    from seti.utils import extras, ray_pool

    @contextmanager
    def joined(*_, **__):
        yield ray

    monkeypatch.setattr(extras, "find_spec", lambda _: 1)
    monkeypatch.setattr(ray_pool.ray_cluster, "joined", joined)
    return ray
