"""Ways to stop a run in this process: a signal in a step, and a stand-in for SIGKILL between two files."""

import signal

from seti.models.classifier import CadenceClassifier

RECIPE = ("mixup.alpha=0.5", "augment=flips_affine", "trainer.max_epochs=2", "data.batch_size=4")  # 5 steps an epoch


def signal_in(monkeypatch, hook, call, number=signal.SIGTERM):
    """Raise a signal in the given call of a hook of the classifier."""
    original = getattr(CadenceClassifier, hook)
    calls = []

    def raise_once(self, *args):
        calls.append(hook)
        if len(calls) == call:
            signal.raise_signal(number)
        return original(self, *args)

    monkeypatch.setattr(CadenceClassifier, hook, raise_once)


class Killed(BaseException):
    """Stand-in for SIGKILL that leaves this process alive."""


def kill_at(patch, owner, name, call, done):
    """Raise `Killed` at the given call of a function, before it runs or after it is done."""
    original, calls = getattr(owner, name), []

    def killing(*args, **options):
        calls.append(args)
        if len(calls) == call and not done:
            raise Killed
        value = original(*args, **options)
        if len(calls) == call:
            raise Killed
        return value

    patch.setattr(owner, name, killing)
