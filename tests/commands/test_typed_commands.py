"""Command lines as newcomers type them: each is read as what it means, or refused in one line that says how to.

One table of what was met in trials; the modules of `tests/config` and `tests/cli` test each part on its own.
"""

import shlex
import sys

import pytest
from omegaconf import OmegaConf

from seti.cli import command_line
from seti.cli.explain import explain
from seti.config import trainer_checks
from seti.config.compose import compose_words
from seti.config.validation import check_settings

READ = [
    ("train fold=1.0", "fold", 1),
    ("train seed=0x10", "seed", 16),
    ("train seed=1e3", "seed", 1000),
    ("train data.n_folds=1_0", "data.n_folds", 10),
    ("train model=EffNet-B1", "model.backbone", "efficientnet_b1.ft_in1k"),
    ("train model=effnet_b1.yaml", "model.backbone", "efficientnet_b1.ft_in1k"),
    ("train experiment=null", "fold", 0),
    ("train experiment=Demo", "data.n_folds", 5),
    ("train data.balanced=Yes", "data.balanced", True),
    ("train force=1", "force", True),
    ("train augment.roll=5%", "augment.roll", 0.05),
    ("train threads=auto", "threads", None),
    ("train data.image_size=512x256", "data.image_size", [512, 256]),
    ("train data.image_size=(512,256)", "data.image_size", [512, 256]),
    ("train data.clip=-5,10", "data.clip", [-5, 10]),
    ("train data.layout=Channel-Dedoppler data.normalise=whiten augment=flips", "data.layout", "channel_dedoppler"),
    ("train data.packed=off", "data.packed", "false"),
    ("train data.batch_size=Auto", "data.batch_size", "auto"),
    ("train data.batch_size=8.0", "data.batch_size", 8),
    ("train exp_name=2021_08_01", "exp_name", "2021_08_01"),
    ("train exp_name=1.10", "exp_name", "1.10"),
    ("train exp_name=lr=0.1,wd=0", "exp_name", "lr=0.1,wd=0"),
    ("train trainer.precision=16", "trainer.precision", 16),
    ("train trainer.max_epochs=1e1", "trainer.max_epochs", 10),
    ("train 'data.root=a (1)' +trainer.callbacks=[]", "data.root", "a (1)"),
    ("simulate train=1e3", "train", 1000),
    ("simulate preset=Easy", "preset", None),
    ("simulate snr=10,20", "snr", [10, 20]),
    ("stack experiments=base/,1.10", "experiments", ["base/", "1.10"]),
    ("show ids=1234e5678901234", "ids", ["1234e5678901234"]),
    ("scan cadence=[a,b] workers=none", "workers", None),
]
REFUSED = [
    ("train fold=one", "fold=one must be a whole number, such as fold=0"),
    ("train fold=", "fold= must be a whole number, such as fold=0"),
    (
        "train fold=first,second",
        "fold=first,second is several values, one for each job of a sweep: ",
    ),
    ("train fold=0..1", "fold=0..1 must be a whole number, such as fold=0; several are a sweep, -m fold=0,1"),
    ("train fold=[0]", "fold=[0] must be a whole number, such as fold=0"),
    ("train -m fold=0,one", "fold=0,one must be a whole number, such as fold=0"),
    ("train fold=0,1", "fold=0,1 is several values, one for each job of a sweep: add -m to the command"),
    ("train fold=7", "fold=7 is none of the 5 folds: use 0..4, or raise data.n_folds"),
    ("train seed=null", "seed=null must be a whole number, such as seed=42"),
    ("train seed=-1", "seed=-1 must be between 0 and 4294967295"),
    ("train force=maybe", "force=maybe must be true or false"),
    ("train force=2", "force=2 must be true or false"),
    ("train optimizer.lr=fast", "optimizer.lr=fast must be a number, such as optimizer.lr=0.0006"),
    ("train optimizer.lr=1e", "optimizer.lr=1e must be a number, such as optimizer.lr=0.0006"),
    ("train threads=1.5", "threads=1.5 must be a whole number, or null, such as threads=1"),
    ("train data=x", "data=x: data is a group of settings, which are set one by one, as in data.root=<value>"),
    ("train data.batch_size=8.5", "data.batch_size=8.5 must be a whole number of at least 1, or auto"),
    ("train data.batch_size=", "data.batch_size= must be a whole number of at least 1, or auto"),
    ("train data.image_size=big", "data.image_size=big is not [height, width] in pixels, nor null for native size"),
    ("train data.clip=[a,b]", "data.clip=a,b is not a list of numbers: write it as in data.clip=[1,2], or null"),
    (
        "train exp_name=1:30",
        "exp_name='1:30' cannot name a folder of experiments: use letters, digits and . + = , _ - ",
    ),
    ("train exp_name=", "exp_name='' cannot name a folder of experiments: use letters, digits and . + = , _ - "),
    ('train "exp_name=a\'b"', 'exp_name="a\'b" cannot name a folder of experiments: '),
    ("train 'exp_name=$x'", "exp_name='$x' cannot name a folder of experiments: "),
    ("train model=efnet_b1", "model=efnet_b1 is none of convnext_nano, "),
    ("train trainer=tpu", "trainer=tpu is none of auto, cpu, debug, gpu"),
    ("train preset=easy", "preset is not a setting: seti train --cfg job prints those that there are"),
    ("train trainer.epochs=3", "trainer.epochs is not a setting: did you mean trainer.max_epochs?"),
    ("train trainer.max_epoch=3", "trainer.max_epoch is not a setting: did you mean trainer.max_epochs?"),
    ("train +trainer.max_epoch=3", "trainer.max_epoch is not a setting: did you mean trainer.max_epochs?"),
    ("train trainer.max_epochs=", "trainer.max_epochs= must be a whole number of at least 1: "),
    ("train trainer.max_epochs=null", "trainer.max_epochs=null must be a whole number of at least 1: "),
    ("train trainer.max_epochs=1.5", "trainer.max_epochs=1.5 must be a whole number of at least 1: "),
    ("train trainer.max_epochs=0", "trainer.max_epochs=0 must be at least 1: "),
    ("train trainer.devices=4096", "trainer.devices=4096 is more than there are: "),
    ("train batch_size=8", "batch_size is not a setting: did you mean data.batch_size?"),
    ("train data.root", "data.root has no value: write data.root=<value>, without blanks around the ="),
    ("simulate test=ten", "test=ten must be a whole number, such as test=50"),
    ("simulate test=1k", "test=1k must be a whole number, such as test=50"),
    (
        "simulate test=1,000",
        "test=1,000 is several values, one for each job of a sweep: add -m to the command; ",
    ),
    ("simulate train_shapes={line:x}", "train_shapes.line=x must be a number"),
    ("simulate preset=eazy", "preset=eazy is none of cadence, "),
    ("predict flips=x", "flips=x must be true or false"),
    ("predict data.num_workers=x", "data.num_workers=x must be a whole number, such as data.num_workers=2"),
    ("stack n_jobs=x", "n_jobs=x must be a whole number, or null, such as n_jobs=1"),
    ("pack force=x", "force=x must be true or false"),
    ("show ids=", "ids must be a list, such as ids=[a,b]"),
    ("scan scan.snr=x", "scan.snr=x must be a number, such as scan.snr=7"),
    ("predict trainer.devices=2", "trainer.devices is not a setting: did you mean device?"),
    ("predict trainer.foo=2", "trainer.foo is not a setting: seti predict --cfg job prints those that there are"),
    (
        "train data.root=https://x.org/d",
        "data.root=https://x.org/d is an address, and a path on this machine is needed: copy what is there first",
    ),
    (
        "train data.root=file:///tmp/d",
        "data.root=file:///tmp/d is an address, and a path on this machine is needed: write data.root=/tmp/d",
    ),
    ("scan cadence=[s3://a/b.h5,c.h5]", "cadence=s3://a/b.h5 is an address, and a path on this machine is needed: "),
    ("train data.num_workers=1000", "data.num_workers=1000 are 1000 processes, and this one may use "),
    ("train 'exp_name=${exp_name}'", "exp_name: its ${...} stands for itself: write a value"),
    (
        "train 'exp_name=${foo:x}'",
        "exp_name: there is no ${foo:...}: write ${<setting>} for the value of ",
    ),
    (
        "train 'fold=${exp_name}'",
        "fold: its ${...} does not fit: efficientnet_b1-A-spatial-512x512 must be a whole number",
    ),
    ("train --cfg job -p optimiser", "optimiser is not a setting: did you mean optimizer?"),
    ("check workers=x", "workers=x must be a whole number, or null, such as workers=1"),
]


@pytest.fixture(autouse=True)
def started_as_seti(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["seti"])


def settings(line):
    """The checked settings that a command line composes."""
    command, *words = shlex.split(line)
    read = command_line.read(command, words)
    cfg = compose_words(command, [word for word in read if not word.startswith("--")])
    if command == "train":
        trainer_checks.check_trainer(cfg.trainer)
        check_settings(cfg)
    return cfg


@pytest.mark.parametrize(("line", "key", "value"), READ)
def test_what_has_one_meaning_is_read(line, key, value):
    found = OmegaConf.select(settings(line), key)
    assert (OmegaConf.to_container(found) if OmegaConf.is_config(found) else found) == value


@pytest.mark.parametrize(("line", "said"), REFUSED)
def test_what_has_none_is_refused_in_one_line(line, said):
    with pytest.raises(Exception) as refused:  # noqa: PT011 - of this program, of Hydra or of OmegaConf
        settings(line)
    message = explain(refused.value)
    assert message is not None
    assert message.startswith(said)
    assert "\n" not in message
    for raw in ("Error merging", "raised while", "Integer", "Float", "valid bool", "type 'str'", "Lexer", "mismatched"):
        assert raw not in message
