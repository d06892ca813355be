import operator

import pytest
from fake_ray import SETTINGS, FakeRay, OutOfMemoryError

from seti.errors import SetiError
from seti.utils import ray_pool
from seti.utils.ray_pool import Cluster

NUMBERS = [(number,) for number in range(7)]


def times(held, number):
    return held * number


def broken(number):
    msg = f"{number}: a damaged file"
    raise SetiError(msg)


def actors(ray, most=5, held=None, **settings):
    return Cluster(ray, SETTINGS | settings).actors(most, held)


def test_every_item_is_worked_at_by_what_the_actors_hold():
    ray = FakeRay()
    with actors(ray, held=10) as two:
        assert two.count == 2
        assert sorted(two.as_they_end(times, NUMBERS)) == [((number,), 10 * number) for number in range(7)]
        assert len(list(two.as_they_end(times, NUMBERS))) == 7  # by the same actors
    assert ray.started == len(ray.killed) == 2
    assert ray.options == [{"num_cpus": 1, "num_gpus": 0}]


def test_every_actor_keeps_freed_memory(monkeypatch):
    called = []
    monkeypatch.setattr(ray_pool.malloc, "keep_freed_memory", lambda: called.append("kept"))
    with actors(FakeRay()) as two:
        list(two.as_they_end(operator.neg, NUMBERS))
    assert called == ["kept", "kept"]


def test_results_in_the_order_of_the_arguments():
    with actors(FakeRay()) as two:
        assert list(two.in_order(operator.sub, range(9), [5] * 9, chunk=3)) == [number - 5 for number in range(9)]


def test_an_item_is_taken_when_an_actor_is_free():
    taken = []
    items = (taken.append(item) or item for item in NUMBERS)
    with actors(FakeRay(), held=1) as two:
        for done, _ in enumerate(two.as_they_end(times, items), 1):
            assert len(taken) <= done + 1


def test_a_killed_actor_is_replaced_and_its_work_done_again():
    ray = FakeRay(kills=(0, 3, 4))
    with actors(ray, held=2) as two:
        assert sorted(two.as_they_end(times, NUMBERS)) == [((number,), 2 * number) for number in range(7)]
    assert ray.started == 5


@pytest.mark.parametrize(
    ("error", "why"),
    [(None, "perhaps for lack of memory"), (OutOfMemoryError, "because its machine was short of memory")],
)
def test_an_actor_that_is_killed_too_often_ends_the_work(error, why):
    ray = FakeRay(kills=range(20), **({} if error is None else {"error": error}))
    with pytest.raises(SetiError) as ended, actors(ray, held=1, retries=2) as two:
        list(two.as_they_end(times, NUMBERS))
    assert str(ended.value) == (
        f"a process of Ray was killed, {why}, and had been replaced ray.retries=2 times: set fewer ray.actors, or more "
        "ray.cpus for each; the same command goes on"
    )


def test_an_error_of_the_work_is_raised_as_it_is():
    with pytest.raises(SetiError, match=r"^\d: a damaged file$"), actors(FakeRay()) as two:
        list(two.as_they_end(broken, NUMBERS))


def test_as_many_actors_as_there_are_places_for_and_as_have_work():
    many = FakeRay({"CPU": 32.0, "GPU": 4.0})
    cluster = Cluster(many, SETTINGS)
    assert cluster.count == 4
    assert cluster.has_gpus
    assert Cluster(many, SETTINGS | {"gpus": 0.5}).count == 8
    assert Cluster(many, SETTINGS | {"gpus": 0, "cpus": 8}).count == 4
    assert Cluster(many, SETTINGS | {"actors": 2}).count == 2
    with cluster.actors(3, memory=1000) as three:
        assert three.count == 3
    assert many.options == [{"num_cpus": 1, "num_gpus": 1, "memory": 1000}]
    with pytest.raises(SetiError) as refused:
        Cluster(FakeRay(), SETTINGS | {"gpus": 1})
    assert str(refused.value) == (
        "ray.gpus=1 for each actor, and Ray has 0 GPUs in all: set ray.gpus to what one machine has"
    )


def test_waiting_for_a_place_is_said_once(capsys):
    ray = FakeRay()
    answer, ray.waits = ray.wait, 0

    def wait(references, num_returns, timeout):
        ray.waits += 1
        return ([], references) if ray.waits < 4 else answer(references, num_returns, timeout)

    ray.wait = wait
    with actors(ray, held=1) as two:
        assert len(list(two.as_they_end(times, NUMBERS))) == 7
    assert capsys.readouterr().out == (
        "waiting for processes of Ray: its cluster is in use, too small or slow to start them\n"
    )
