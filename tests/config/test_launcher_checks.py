import pytest
from conftest import compose

from seti.config.launcher_checks import check_launcher
from seti.errors import SetiError
from seti.utils import extras


@pytest.mark.parametrize("command", ["predict", "scan"])
@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("ray.actors=0", "ray.actors=0 must be at least 1, or null for as many as there are places for"),
        ("ray.cpus=0", "ray.cpus=0 must be at least 1"),
        ("ray.retries=-1", "ray.retries=-1 must be at least 0"),
        ("ray.gpus=-1", "ray.gpus=-1 must be at least 0"),
        ("ray.gpus=all", "ray.gpus=all is neither auto nor a number: 1, or 0.5 for two actors a GPU"),
        ("ray.gpus=true", "ray.gpus=True is neither auto nor a number: 1, or 0.5 for two actors a GPU"),
    ],
)
def test_settings_that_cannot_work(monkeypatch, command, word, said):
    monkeypatch.setattr(extras, "find_spec", lambda _: 1)
    with pytest.raises(SetiError) as refused:
        check_launcher(compose(command, ["launcher=ray", word]), command)
    assert str(refused.value) == said
    check_launcher(compose(command, [word]), command)  # without launcher it does nothing


def test_other_engines_and_a_ray_that_is_not_installed(monkeypatch):
    with pytest.raises(SetiError) as refused:
        check_launcher(compose("scan", ["launcher=slurm"]), "scan")
    assert str(refused.value).startswith("launcher=slurm is none of null, ray: other engines run shards, ")
    assert str(refused.value).endswith("scan -m shard=1/2,2/2 hydra/launcher=slurm")
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    cfg = compose("predict", ["launcher=RAY"])
    with pytest.raises(SetiError) as refused:
        check_launcher(cfg, "predict")
    assert str(refused.value) == ("launcher=ray needs the extra 'ray', which is not installed: pip install 'seti[ray]'")
    assert cfg.launcher == "ray"


@pytest.mark.parametrize(
    ("typed", "engine"), [("dask", "slurm"), ("joblib", "joblib"), ("Submitit_Local", "submitit_local")]
)
def test_the_advice_keeps_what_is_predicted_and_names_an_engine_that_exists(typed, engine):
    words = ["ckpt_dir=outputs/exp", f"launcher={typed}", "ray.cpus=2", "data.root='a b'", "shard=1/3"]
    with pytest.raises(SetiError) as refused:
        check_launcher(compose("predict", words), "predict")
    assert str(refused.value).endswith(
        " -m ckpt_dir=outputs/exp 'data.root=a b' shard=1/2,2/2 hydra/launcher=" + engine
    ), str(refused.value)
