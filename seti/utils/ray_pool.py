"""Actors of Ray: processes on any machine of a cluster, which keep what they have loaded."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from seti.errors import SetiError
from seti.utils import malloc, ray_cluster

SECTION = "ray"  # of the settings
PATIENCE = 60.0  # s without any actor, after which that is said
Item = tuple[Any, ...]


class Cluster:
    """A Ray cluster, and the actors that fit into it.

    Args:
        ray: the module.
        settings: with `actors`, `cpus`, `gpus`, `retries`.

    Raises:
        SetiError: it has too little for one actor.
    """

    def __init__(self, ray: Any, settings: Any) -> None:
        self._ray, self._settings = ray, settings
        self._options, slots = ray_cluster.resources(ray.cluster_resources(), settings, SECTION)
        self.count = settings["actors"] or slots

    @property
    def has_gpus(self) -> bool:
        """True if each actor has a GPU, or a share of one."""
        return self._options["num_gpus"] > 0

    @contextmanager
    def actors(self, most: int, held: Any = None, memory: int | None = None) -> Iterator["Actors"]:
        """Start actors, and end them with the block.

        Args:
            most: number of them, where the cluster has places for more.
            held: copied to each of them once; first argument of its work.
            memory: that each needs, in bytes.
        """
        options = self._options if memory is None else {**self._options, "memory": memory}
        started = Actors(self._ray, min(self.count, most), options, held, self._settings["retries"])
        try:
            yield started
        finally:
            started.end()


class Actors:
    """Actors that work, each at one item at a time; one that is killed is replaced.

    Args:
        ray: the module.
        count: number of actors.
        options: of each, for Ray.
        held: copied to each of them; None for nothing.
        retries: how often each may be replaced.
    """

    def __init__(self, ray: Any, count: int, options: dict[str, Any], held: Any, retries: int) -> None:
        self._ray, self.count, self._retries = ray, count, retries
        self._kind = ray.remote(_Actor).options(**options)
        self._arguments = os.getcwd(), ray.put(held)  # noqa: PTH109 - the folder as it is spelled, not resolved
        self._running: dict[
            Any, tuple[Any, int, Item | None]
        ] = {}  # actor, its replacements, and item; None: it starts
        self._free: list[tuple[Any, int]] = []
        for _ in range(count):
            self._start(0)

    def as_they_end(self, work: Callable[..., Any], items: Iterable[Item]) -> Iterator[tuple[Item, Any]]:
        """Yield each item with its result, in the order in which they end.

        An item is taken from the iterable when an actor is free. Its work is done again where its actor was killed.

        Args:
            work: a function that other processes can import; its first argument is what the actors hold, if anything.
            items: its further arguments.

        Raises:
            SetiError: an actor was killed too often, or as `work`.
        """
        waiting, again, said = iter(items), [], False
        while True:
            while self._free and (item := again.pop() if again else next(waiting, None)) is not None:
                actor, replaced = self._free.pop()
                self._running[actor.call.remote(work, item)] = actor, replaced, item
            if self._free and all(item is None for *_, item in self._running.values()):
                return
            ended, _ = self._ray.wait(list(self._running), num_returns=1, timeout=PATIENCE)
            if not ended and not said and all(item is None for *_, item in self._running.values()):
                print(
                    "waiting for processes of Ray: its cluster is in use, too small or slow to start them", flush=True
                )
                said = True
            for one in ended:
                actor, replaced, item = self._running.pop(one)
                try:
                    result = self._ray.get(one)
                except self._ray.exceptions.RayTaskError as error:
                    raise error.cause from error
                except self._ray.exceptions.RayError as error:
                    self._replace(actor, replaced, error)
                    again += [] if item is None else [item]
                    continue
                self._free.append((actor, replaced))
                if item is not None:
                    yield item, result

    def in_order(self, work: Callable[..., Any], *batches: Iterable[Any], chunk: int = 1) -> Iterator[Any]:
        """Yield results in the order of the arguments, as `seti.utils.processes.pool` does.

        `chunk` has no meaning here: each call goes to the actor that is free.
        """
        items = enumerate(zip(*batches, strict=False))
        kept: dict[int, Any] = {}
        due = 0
        for (number, *_), result in self.as_they_end(_numbered, ((number, work, item) for number, item in items)):
            kept[number] = result
            while due in kept:
                yield kept.pop(due)
                due += 1

    def end(self) -> None:
        """End all actors, whatever they do."""
        for actor, *_ in [*self._free, *self._running.values()]:
            self._ray.kill(actor)

    def _start(self, replaced: int) -> None:
        actor = self._kind.remote(*self._arguments)
        self._running[actor.ready.remote()] = actor, replaced, None

    def _replace(self, actor: Any, replaced: int, error: Exception) -> None:
        self._ray.kill(actor)
        if replaced < self._retries:
            self._start(replaced + 1)
            return
        short = isinstance(error, self._ray.exceptions.OutOfMemoryError)
        why = "because its machine was short of memory" if short else "perhaps for lack of memory"
        msg = (
            f"a process of Ray was killed, {why}, and had been replaced ray.retries={self._retries} times: set fewer "
            "ray.actors, or more ray.cpus for each; the same command goes on"
        )
        raise SetiError(msg) from error


class _Actor:
    """Process that holds something, and works with it."""

    def __init__(self, folder: str, held: Any) -> None:
        malloc.keep_freed_memory()  # a setting of the process, which Ray has started
        os.chdir(folder)
        self._held = () if held is None else (held,)

    def ready(self) -> None:
        """Do nothing, once this process has started."""

    def call(self, work: Callable[..., Any], item: Item) -> Any:
        """Work at one item."""
        return work(*self._held, *item)


def _numbered(_: int, work: Callable[..., Any], arguments: Item) -> Any:
    return work(*arguments)


@contextmanager
def cluster(launcher: str | None, settings: Any) -> Iterator[Cluster | None]:
    """Join the Ray cluster that settings name, for this block; None where they name none.

    Args:
        launcher: `ray`, or None.
        settings: with `address`, and those of `Cluster`.

    Raises:
        SetiError: Ray does not answer, or has too little.
    """
    if launcher is None:
        yield None
        return
    with ray_cluster.joined(settings["address"], None, SECTION, print_logs=False) as ray:
        yield Cluster(ray, settings)
