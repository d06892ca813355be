"""Words of a command line that are refused, with the right spelling."""

import shlex
import sys

import pytest
from typed_settings import read

from seti.config.arguments import to_hydra
from seti.errors import SetiError


@pytest.mark.parametrize(
    ("command", "word", "sweep", "said"),
    [
        (
            "train",
            "data.root=$NO_SUCH/x",
            False,
            "data.root=$NO_SUCH/x: there is no environment variable NO_SUCH; for a folder of that name write "
            "'data.root=./$NO_SUCH/x'",
        ),
        (
            "train",
            "data.root=a${b",
            False,
            "data.root=a${b: '${' begins the name of another setting, as in ${output_dir}; for those characters write "
            "'data.root=\"a\\${b\"'",
        ),
        (
            "train",
            'output_dir="a\\${b"',
            False,
            "output_dir=\"a\\${b\": results cannot go to a folder whose name holds '${': give it another name",
        ),
        (
            "train",
            "fold=0,1",
            False,
            "fold=0,1 is several values, one for each job of a sweep: add -m to the command",
        ),
        (
            "train",
            "model=effnet_b1,effnet_b0",
            False,
            "model=effnet_b1,effnet_b0 is several values, one for each job of a sweep: add -m to the command",
        ),
        (
            "train",
            "data.image_size=[24,32",
            False,
            "data.image_size=[24,32 cannot be read: the bracket [ is not closed",
        ),
        (
            "train",
            "data.image_size=24,32]",
            False,
            "data.image_size=24,32] cannot be read: the bracket ] closes nothing",
        ),
        ("train", "data.image_size=[a,b]", False, "data.image_size=a,b is not a list of numbers: write it as in "),
        (
            "train",
            "data.clip={a: 1}",
            False,
            "data.clip={a: 1} is not a list of numbers: write it as in data.clip=[1,2], or ",
        ),
        ("stack", "experiments=[[a]]", False, "experiments=[[a]] is a list in a list: write experiments=[a,b]; "),
        ("train", "output_dir=", False, "output_dir= is empty, and a path is needed: . is the current folder"),
        ("train", "data.pack_dir=", False, "data.pack_dir= is empty, and a path is needed: null switches it off"),
        ("predict", "ckpt_dir=", False, "ckpt_dir= is empty, and a path is needed: . is the current folder"),
        ("train", "fold=0,,1", True, "fold=0,,1 cannot be read: nothing stands before or after one of its commas"),
        ("train", "fold=0,1,", True, "fold=0,1, cannot be read: nothing stands before or after one of its commas"),
        ("train", "data.root.x=1", False, "data.root.x is not a setting: "),
        (
            "simulate",
            "train_shapes={line: 1, wave: 2}",
            False,
            "train_shapes.wave is not a setting: ",
        ),
        ("train", "data={rot: x}", False, "data.rot is not a setting: did you mean data.root?"),
        ("train", "fold=[", False, "fold=[ cannot be read: the bracket [ is not closed"),
        ("train", "fold=1)", False, "fold=1) cannot be read: the bracket ) closes nothing"),
        ("train", "fold='1", False, "fold='1 cannot be read: the quote ' is not closed"),
        ("train", "fold=a=b", False, "fold=a=b must be a whole number, such as fold=0"),
        ("train", "+trainer.x=a(b)c", False, "; as text it is written '+trainer.x=\"a(b)c\"'"),
        (
            "train",
            "data.clip=all",
            False,
            "data.clip=all is not a list of numbers: write it as in data.clip=[1,2], or null",
        ),
        (
            "train",
            "data.image_size=512,256",
            True,
            "data.image_size=512,256 in a sweep (-m), where commas separate jobs: write data.image_size=[512,256] for "
            "one list, or data.image_size=[512,512],[256,256] for 2 jobs",
        ),
        ("train", "trainer.max_epoch=1", False, "trainer.max_epoch is not a setting: did you mean trainer.max_epochs?"),
        (
            "train",
            "trainer.overfit_batch=1",
            False,
            "trainer.overfit_batch is not a setting: did you mean trainer.overfit_batches?",
        ),
        ("train", "trainr.max_epochs=1", False, "trainr is not a setting: did you mean trainer?"),
        ("train", "lr=1", False, "lr is not a setting: did you mean optimizer.lr?"),
        ("train", "optimizer.learning_rate=1", False, "optimizer.learning_rate is not a setting: "),
        ("train", "batch_size=8", False, "batch_size is not a setting: did you mean data.batch_size?"),
        ("train", "data.normalize=whiten", False, "data.normalize is not a setting: did you mean data.normalise?"),
        (
            "train",
            "data.dedoppler.drift=3",
            False,
            "data.dedoppler.drift is not a setting: did you mean data.dedoppler.drifts?",
        ),
        ("check", "root=data", False, "root is not a setting: did you mean data.root?"),
        ("simulate", "data.root=x", False, "data.root is not a setting: did you mean root?"),
        (
            "simulate",
            "train_shapes.lines=1",
            False,
            "train_shapes.lines is not a setting: did you mean train_shapes.line?",
        ),
        ("train", "~data.layout", False, "data.layout cannot be removed: set it to another value, as in data.layout=<"),
        ("check", "~data", False, "data cannot be removed: set it to another value, as in data.<name>=<value>"),
        ("train", "~seed=3", False, "seed cannot be removed: set it to another value, as in seed=<value>"),
        ("train", "~data.lay", False, "data.lay is not a setting: did you mean data.layout?"),
        ("check", "dataroot=d", False, "dataroot is not a setting: did you mean data.root?"),
        ("check", "data/root=d", False, "data/root is not a setting: did you mean data.root?"),
        ("train", "data_root=d", False, "data_root is not a setting: did you mean data.root?"),
        ("check", "data_dir=d", False, "data_dir is not a setting: did you mean data.root?"),
        ("train", "trainer/max_epochs=1", False, "trainer/max_epochs is not a setting: did you mean trainer.max_e"),
        ("train", "data-batch-size=1", False, "data-batch-size is not a setting: did you mean data.batch_size?"),
        ("predict", "out_dir=.", False, "out_dir is not a setting: did you mean out?"),
        ("predict", "output_dir=.", False, "output_dir is not a setting: did you mean out?"),
        ("predict", "out_file=a.csv", False, "out_file is not a setting: did you mean out?"),
        ("predict", "ckpt=a", False, "ckpt is not a setting: did you mean ckpt_dir?"),
        ("train", "xyzzy=1", False, "xyzzy is not a setting: seti train --cfg job prints those that there are"),
        (
            "train",
            "trian",
            False,
            "'trian' is not a setting: write <setting>=<value>; seti train --help lists the settings",
        ),
        ("train", "demo", False, "'demo' is not a setting: write <setting>=<value>; did you mean experiment=demo?"),
        ("train", "fold", False, "fold has no value: write fold=<value>, without blanks around the ="),
        ("train", "=3", False, "'=3' begins with '=': write <setting>=<value>, without blanks around the ="),
        (
            "predict",
            "outputs/a (1)",
            False,
            "'outputs/a (1)' is not a setting: write <setting>=<value>; did you mean 'ckpt_dir=\"outputs/a (1)\"'?",
        ),
        (
            "check",
            "./data",
            False,
            "'./data' is not a setting: write <setting>=<value>; did you mean data.root=./data?",
        ),
    ],
)
def test_refusals_say_the_right_spelling_in_our_words(monkeypatch, command, word, sweep, said):
    monkeypatch.setattr(sys, "argv", ["seti"])
    with pytest.raises(SetiError) as refused:
        to_hydra(command, [word], sweep=sweep)
    message = str(refused.value)
    assert message.startswith(said) or (said.startswith(";") and message.endswith(said)), message
    assert "\n" not in message
    for raw in ("Lexer", "mismatched", "viable", "hydra.cc", "extraneous"):
        assert raw not in message


def test_blanks_without_quotes_are_explained(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["seti"])
    for words, said in (
        (
            ["data.root=/my", "data/x"],
            "'data/x' is not a setting: write <setting>=<value>; did you mean 'data.root=/my data/x'",
        ),
        (["data.root=", "/x"], "'/x' is not a setting: write <setting>=<value>; did you mean data.root=/x?"),
        (["fold", "=", "0"], "fold has no value: write fold=<value>, without blanks around the ="),
    ):
        with pytest.raises(SetiError) as refused:
            to_hydra("train", words)
        assert str(refused.value).startswith(said), refused.value


def test_a_spelling_that_a_refusal_names_can_be_typed(monkeypatch):
    monkeypatch.delenv("NO_SUCH", raising=False)
    for word, value in (("data.root=$NO_SUCH/x", "./$NO_SUCH/x"), ("data.root=a${b", "a${b")):
        with pytest.raises(SetiError) as refused:
            to_hydra("train", [word])
        (proposed,) = shlex.split(str(refused.value).rpartition(" write ")[2])
        assert read("train", proposed) == value
