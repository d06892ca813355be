import logging

import numpy as np
import pytest
import torch
from unit_helpers import BINS, DATA, NO_AUGMENT, ROWS, make_cadences, make_train_set, quiet_trainer

from seti.data.sources import CadenceFiles
from seti.dataloading import kept
from seti.dataloading.datamodule import CadenceDataModule
from seti.errors import SettingsError
from seti.training.fold import train
from seti.transforms.batch import prepare

COUNT = 24
EVERYTHING = NO_AUGMENT | {
    **{"flip_frequency": 0.5, "flip_time": 0.5, "affine": 0.5, "shift": 0.1, "scale": 0.1, "rotate": 5.0},
    **{"swap_off": 0.3, "shuffle_on": 0.5, "shuffle_off": 0.5, "roll": 0.5, "inject": 0.3, "inject_decoys": 0.3},
}
UNBENT = EVERYTHING | {"affine": 0.0}


def module(root, keep: str, augment=EVERYTHING, **settings) -> CadenceDataModule:
    data = DATA | {"root": str(root), "augment_on": "device", "keep_on_device": keep} | settings
    made = CadenceDataModule(data, augment, fold=0, seed=5)
    made.trainer = quiet_trainer()
    return made


@pytest.fixture
def root(tmp_path):
    make_train_set(tmp_path, COUNT, 12)
    return tmp_path


@pytest.mark.parametrize(
    ("panels", "layout", "augment"),
    [
        ("A", "spatial", EVERYTHING),
        ("all", "spatial", EVERYTHING),
        ("A", "channel", EVERYTHING),
        ("all", "dedoppler", UNBENT),
        ("A", "channel_dedoppler", UNBENT),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_kept_cadences_make_the_same_images(root, panels, layout, augment, workers):
    kind = {"panels": panels, "layout": layout, "num_workers": workers}
    kind |= {"normalise": "whiten"} if "dedoppler" in layout else {}
    usual, keeping = (module(root, keep, augment, **kind) for keep in ("false", "true"))
    usual.keep()
    keeping.keep()
    assert usual.kept is None
    assert keeping.kept.shape == (COUNT, len(keeping.train_set.source.panels), ROWS, BINS)
    sent = 0
    for one, two in (
        (usual.train_dataloader(), keeping.train_dataloader()),
        (usual.val_dataloader(), keeping.val_dataloader()),
    ):
        for (before, *rest), (after, *same) in zip(one, two, strict=True):
            assert all(map(torch.equal, rest, same))
            sent += after.panels.sent.shape[0] if hasattr(after.panels, "sent") else len(rest[0])
            images = prepare(before, usual.train_set.image_maker)
            assert torch.equal(images, prepare(after, keeping.train_set.image_maker, keeping.kept))
    assert 0 < sent < COUNT / 2  # those with injected signals alone


def test_without_injection_no_panels_are_sent(root):
    keeping = module(root, "true", NO_AUGMENT | {"roll": 0.5})
    keeping.keep()
    assert [len(batch[0].panels.sent) for batch in keeping.train_dataloader()] == [0] * 4
    keeping.release()
    assert keeping.kept is None
    assert next(iter(keeping.val_dataloader()))[0].panels.shape[1:] == (3, ROWS, BINS)


def test_files_of_several_types_are_kept_in_the_widest(tmp_path):
    ids = [f"{number:04x}" for number in range(5)]
    cadences = make_cadences(tmp_path, "train", ids)
    fine = cadences[3].astype(np.float32) + np.float32(1e-6)
    np.save(tmp_path / "train" / "0" / "0003.npy", fine.astype(">f4"))
    sources = [
        CadenceFiles(tmp_path, "train", np.array(part), tuple(range(6)), (ROWS, BINS)) for part in (ids[:2], ids[2:])
    ]
    loaded = kept.load(sources, torch.device("cpu"))
    assert loaded.dtype == torch.float32
    np.testing.assert_array_equal(loaded, [*cadences[:3], fine, cadences[4]])


@pytest.mark.parametrize(
    ("choice", "device", "free", "keeps"),
    [
        ("auto", "cpu", 10**9, False),
        ("auto", "cuda", 2 * COUNT * 1152, True),
        ("auto", "cuda", 2 * COUNT * 1152 - 1, False),
        ("true", "cuda", COUNT * 1152, True),
        ("false", "cuda", 10**9, False),
        ("true", "cpu", COUNT * 1152, True),
    ],
)
def test_auto_keeps_what_fits_into_half_of_a_gpus_free_memory(root, monkeypatch, choice, device, free, keeps):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2 * free))
    monkeypatch.setattr(kept, "available_bytes", lambda: free)
    sources = module(root, choice, NO_AUGMENT, panels="all")._sources
    assert kept.choose(choice, sources, torch.device(device)) == (COUNT * 1152 if keeps else 0)


def test_cadences_that_do_not_fit_are_refused_where_they_have_to_be_kept(root, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2000))
    message = (
        r"^data\.keep_on_device=true: the cadences take 0\.0 MB, and 0\.0 MB are free on cuda:0: leave it out, and "
        r"they stay on the host$"
    )
    with pytest.raises(SettingsError, match=message):
        kept.choose("true", module(root, "true")._sources, torch.device("cuda:0"))


AUGMENT = ("data.panels=all", "augment.inject=0.3", "augment.inject_decoys=0.2", "augment.roll=0.5", "ema.decay=0.9")


def test_a_fold_has_the_same_scores(config, outputs, caplog):
    caplog.set_level(logging.INFO)
    tables = []
    for keep in ("false", "true"):
        train(config(*AUGMENT, "data.augment_on=device", f"data.keep_on_device={keep}", f"exp_name={keep}"))
        tables.append((outputs / keep / "fold_0" / "oof.csv").read_bytes())
    assert tables[0] == tables[1]
    assert caplog.text.count("keeping 40 cadences on cpu: 33.5 MB") == 1


def test_images_that_are_made_on_the_host_are_made_of_what_is_there(config, outputs):
    message = (
        "data.keep_on_device=true, but images are made on the host here: add data.augment_on=device, or leave it out"
    )
    with pytest.raises(SettingsError, match=message):
        train(config("data.keep_on_device=true"))
    assert not list(outputs.rglob("*.ckpt"))
