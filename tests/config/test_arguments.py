"""Words of a command line, and the settings that they become."""

import inspect

import pytest
from conftest import compose
from omegaconf import OmegaConf

from seti.config import keys
from seti.config.arguments import to_hydra
from seti.errors import SetiError
from seti.utils import extras


@pytest.mark.parametrize(
    ("command", "word", "key", "value"),
    [
        ("train", "exp_name=2021_08_01", "exp_name", "2021_08_01"),
        ("train", "exp_name=null", "exp_name", "null"),
        ("train", "exp_name=lr=0.1,wd=0", "exp_name", "lr=0.1,wd=0"),
        ("train", "output_dir=it's (1), [x] #é {}", "output_dir", "it's (1), [x] #é {}"),
        ("train", 'data.root="a\\${b"', "data.root", "a${b"),
        ("train", "data.root=${output_dir} (1)", "data.root", "outputs (1)"),
        ("train", "data={root: 1.10, n_folds: 3}", "data.root", "1.10"),
        ("train", "model.weights=null", "model.weights", None),
        ("train", "data.packed=true", "data.packed", "true"),
        ("train", "data.image_size=512", "data.image_size", [512, 512]),
        ("train", "data.image_size=512,256", "data.image_size", [512, 256]),
        ("train", "data.image_size=512, 256", "data.image_size", [512, 256]),
        ("train", "data.image_size=(512,256)", "data.image_size", [512, 256]),
        ("train", "data.image_size=512x256", "data.image_size", [512, 256]),
        ("train", "data.image_size=[512,256]", "data.image_size", [512, 256]),
        ("train", "data.image_size=null", "data.image_size", None),
        ("train", "data.clip=-5,10", "data.clip", [-5, 10]),
        ("train", "data.clip=(-5,1e1)", "data.clip", [-5, 10]),
        ("train", "augment.inject_shapes=line", "augment.inject_shapes", ["line"]),
        ("train", "model=needle_net", "model.backbone", "needle_net"),
        ("simulate", "snr=10,20", "snr", [10, 20]),
        ("stack", "experiments=base", "experiments", ["base"]),
        ("stack", "experiments=base/,1.10", "experiments", ["base/", "1.10"]),
        ("stack", "experiments={a: 1}", "experiments", ["{a: 1}"]),
        ("predict", "ckpt_dir={a: 1}", "ckpt_dir", "{a: 1}"),
        ("simulate", "train_shapes={line: 1, sine: 2}", "train_shapes.sine", 2.0),
        ("stack", "experiments=(a,b)", "experiments", ["a", "b"]),
        ("stack", "experiments=[a,b,]", "experiments", ["a", "b"]),
        ("stack", "experiments=[]", "experiments", []),
        ("stack", 'experiments=["a,b",08]', "experiments", ["a,b", "08"]),
        ("stack", "experiments=null", "experiments", None),
        ("show", "ids=1234e5678901234", "ids", ["1234e5678901234"]),
        ("show", "ids=[1234e5678901234,0028a35de92941d]", "ids", ["1234e5678901234", "0028a35de92941d"]),
        ("show", 'ids=["1234e5678901234"]', "ids", ["1234e5678901234"]),
        ("predict", "ckpt_dir=outputs/2021_08_01", "ckpt_dir", "outputs/2021_08_01"),
        ("scan", "cadence=2021_08_01", "cadence", "2021_08_01"),
        ("scan", "cadence=[a (1).h5,b=2.h5]", "cadence", ["a (1).h5", "b=2.h5"]),
        ("predict", "ckpt_dir=1.10", "ckpt_dir", "1.10"),
        ("predict", "ckpt_dir=[1.10,a (1)]", "ckpt_dir", ["1.10", "a (1)"]),
        ("pack", "split=train", "split", ["train"]),
    ],
)
def test_values_reach_the_configuration(command, word, key, value):
    cfg = compose(command, [word])
    found = OmegaConf.select(cfg, key)
    assert (OmegaConf.to_container(found) if OmegaConf.is_config(found) else found) == value


@pytest.mark.parametrize(
    ("word", "becomes"),
    [
        ("exp_name=a,b", "exp_name=a,b"),
        ("exp_name=1.10, 2021_08_01", 'exp_name="1.10","2021_08_01"'),
        ("exp_name='a,b'", "exp_name='a,b'"),
        ("exp_name=a\\,b", "exp_name=a\\,b"),
        ("exp_name=choice(a,b)", "exp_name=choice(a,b)"),
        ("exp_name=${model.backbone}-x,y", "exp_name=${model.backbone}-x,y"),
        ("data.root=/a (1),it's", 'data.root="/a (1)","it\'s"'),
        ("model.weights=null,a", "model.weights=null,a"),
        ("model=effnet_b1,effnet_b0", "model=effnet_b1,effnet_b0"),
        ("fold=range(0,5)", "fold=range(0,5)"),
        ("data.image_size=512", "data.image_size=[512,512]"),
        ("data.image_size=[24,32],[48,64]", "data.image_size=[24,32],[48,64]"),
    ],
)
def test_in_a_sweep_commas_separate_jobs(word, becomes):
    assert to_hydra("train", [word], sweep=True) == [becomes]


def test_a_launcher_that_is_not_installed_names_the_extra(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    for launcher in ("joblib", "submitit_slurm", "submitit_local", "slurm"):
        with pytest.raises(SetiError) as refused:
            to_hydra("train", [f"hydra/launcher={launcher}"], sweep=True)
        assert str(refused.value) == (
            f"hydra/launcher={launcher} needs the extra 'sweep', which is not installed: pip install 'seti[sweep]'"
        )
    assert to_hydra("train", ["hydra/launcher=basic"]) == ["hydra/launcher=basic"]
    # The plugin alone is installed.
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name in ("submitit", "joblib") else 1)
    for launcher in ("joblib", "submitit_slurm", "submitit_local", "slurm"):
        with pytest.raises(
            SetiError, match=f"hydra/launcher={launcher} needs the extra 'sweep', which is not installed"
        ):
            to_hydra("train", [f"hydra/launcher={launcher}"], sweep=True)


def test_arguments_of_the_trainer_are_those_of_lightning():
    from pytorch_lightning import Trainer

    assert set(keys.trainer_arguments()) == set(inspect.signature(Trainer).parameters)
    assert to_hydra("train", ["trainer.overfit_batches=1"]) == ["trainer.overfit_batches=1"]  # Hydra asks for a +


def test_settings_of_other_configurations_are_left_to_hydra():
    words = ["xyzzy=1", "hydra.launcher.n_jobs=2", "+new.key=x", "~data.clip", "hydra/launcher=basic", "data.root=a b"]
    assert to_hydra("train", words, known=False) == words
