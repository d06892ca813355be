"""Files to fuzz: intact specimens, their readers, and checks of the read content."""

import csv
import io
import itertools
import json
import math
import os
import pickle
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import torch
from hypothesis import strategies as st
from mutations import NASTY

from seti.data import competition
from seti.data.cadence import PANEL_CHOICES, read_cadence
from seti.data.pack_reader import PackFiles, pack_folder
from seti.data.pack_writer import pack_split
from seti.data.splits import open_split
from seti.experiments import predictions as sidecar
from seti.experiments import provenance
from seti.experiments.experiment import Experiment
from seti.models.classifier import CadenceClassifier, load_classifier
from seti.training.callbacks.history import History
from seti.transforms.input_spec import InputSpec
from seti.utils.safe_load import read_checkpoint

FOLDS, TRAIN, TEST = 2, 30, 12
MODEL = {"backbone": "test_resnet.r160_in1k", "pretrained": False, "weights": None, "freeze_backbone": False}


class WrongError(Exception):
    """Damaged file that was read as other content."""


@dataclass(frozen=True)
class Specimen:
    """Kind of file to fuzz.

    Attributes:
        path: where it lies; a reader's refusal must name it.
        text: it is a table or JSON.
        read: reads it and raises `WrongError` where that is not what the file says.
        made: a hypothesis strategy of whole files made from parts, rather than damaged ones.
        share: of all inputs.
        seal: makes the damaged file the one that the record beside it is about.
    """

    path: Path
    text: bool
    read: Callable[[], None]
    made: st.SearchStrategy[bytes]
    share: float
    seal: Callable[[], None] | None = None


def make_specimens(folder: Path) -> dict[str, Specimen]:
    """Write intact files of every kind into a folder."""
    root, path = folder / "data", folder / "outputs" / "exp"
    cadence = folder / "one" / "train" / "0" / "cadence.npy"
    cadence.parent.mkdir(parents=True)
    np.save(cadence, np.random.default_rng(0).normal(size=(6, 9, 16)).astype(np.float16))
    ids = [f"{n * 7919:015x}" for n in range(TRAIN)]
    targets = [n % 3 % 2 for n in range(TRAIN)]
    root.mkdir()
    pd.DataFrame({"id": ids, "target": targets}).to_csv(root / competition.LABELS, index=False)
    for i in ids:
        source = competition.cadence_path(root, "train", i)
        source.parent.mkdir(parents=True, exist_ok=True)
        np.save(source, np.random.default_rng(int(i, 16)).normal(size=(6, 9, 16)).astype(np.float16))
    test = [f"{n * 104729:015x}" for n in range(TEST)]
    pd.DataFrame({"id": test, "target": 0.5}).to_csv(root / competition.SUBMISSION, index=False)
    experiment = _make_experiment(path, ids, targets, test)
    fold = experiment.fold(0)
    oof = pd.concat([pd.read_csv(experiment.fold(k).oof, dtype={"id": str}) for k in range(FOLDS)])
    predictions = pd.read_csv(experiment.predictions_path, dtype={"id": str})
    state = read_checkpoint(fold.best_checkpoint, "")
    sealed = fold.result.read_text(), experiment.predictions_record.read_text()

    def unseal() -> None:
        fold.result.write_text(sealed[0])
        experiment.predictions_record.write_text(sealed[1])

    def seal() -> None:
        """Update the records to the damaged tables, as readers must not rely on digests alone."""
        written = {fold.result: (fold.best_checkpoint, fold.oof)}
        written[experiment.predictions_record] = (experiment.predictions_path,)
        for record, files in written.items():
            content = json.loads(record.read_text())
            content["files"] |= provenance.record(record.parent, *files)["files"]
            record.write_text(json.dumps(content))

    def read_oof() -> None:
        try:
            table = Experiment(path).read_oof()
        finally:
            unseal()
        own = _parsed(fold.oof, ("id", "fold", "target", "prob"))
        rest = [tuple(map(str, row)) for row in oof[oof["fold"] == 1].itertuples(index=False)]
        _same(table.itertuples(index=False), [*own, *rest])

    def read_predictions() -> None:
        try:
            table = sidecar.read_predictions(Experiment(path))
        finally:
            unseal()
        columns = ("id", "fold_0", "fold_1", "prob")
        _same(table[list(columns)].itertuples(index=False), _parsed(experiment.predictions_path, columns))

    def read_result() -> None:
        try:
            result = Experiment(path).results[0]
        finally:
            content = fold.result.read_bytes()
            unseal()
        if not _agrees(json.loads(json.dumps(result.plain())), json.loads(content)):
            raise WrongError(result)

    def read_record() -> None:
        try:
            table = sidecar.read_predictions(Experiment(path))
        finally:
            unseal()
        if table is not None and not table.equals(predictions):
            raise WrongError(table)

    def read_best() -> None:
        loaded = load_classifier(fold.best_checkpoint)
        _same_weights(loaded.state_dict(), torch.load(fold.best_checkpoint, weights_only=True), state)

    def read_last() -> None:
        checkpoint = read_checkpoint(fold.last_checkpoint, "")
        History.read_identity(checkpoint)
        if "made" not in checkpoint:
            _same_weights(checkpoint["state_dict"], checkpoint, state)

    def read_ids() -> None:
        _same([(i,) for i in competition.read_test_ids(root)], _parsed_of_user(root / competition.SUBMISSION, ("id",)))

    def read_labels() -> None:
        _same(
            competition.read_labels(root).itertuples(index=False),
            _parsed_of_user(root / competition.LABELS, ("id", "target")),
        )

    pack_split(root, "train", "A")
    packed = PackFiles(pack_folder(root, None), "train", "A")
    cadences = np.load(packed.data)
    shutil.rmtree(root / "train")  # a pack can be read without its sources

    def read_pack() -> None:
        store = open_split(root, "train", np.array(ids), PANEL_CHOICES["A"], packed="true").source
        read = np.stack([store.read(index) for index in range(len(ids))])
        held = np.frombuffer(packed.data.read_bytes(), cadences.dtype)[-cadences.size :].reshape(cadences.shape)
        if read.dtype != cadences.dtype or not np.array_equal(read, held):
            raise WrongError("not the cadences that the file holds")

    text = {"text": True}
    return {
        ".npy": Specimen(cadence, False, lambda: _read_npy(cadence), _npy(), 0.2),
        "label table": Specimen(
            root / competition.LABELS, read=read_labels, made=_table(("id", "target")), share=0.15, **text
        ),
        "sample submission": Specimen(
            root / competition.SUBMISSION, read=read_ids, made=_table(("id", "target")), share=0.1, **text
        ),
        "best.ckpt": Specimen(fold.best_checkpoint, False, read_best, _checkpoints(state), 0.06),
        "last.ckpt": Specimen(fold.last_checkpoint, False, read_last, _checkpoints(state), 0.06),
        "oof.csv": Specimen(
            fold.oof, read=read_oof, made=_table(("id", "fold", "target", "prob")), share=0.13, seal=seal, **text
        ),
        "result.json": Specimen(fold.result, read=read_result, made=_json(sealed[0]), share=0.12, **text),
        "predictions.csv": Specimen(
            experiment.predictions_path,
            read=read_predictions,
            made=_table(("id", "fold_0", "fold_1", "prob")),
            share=0.12,
            seal=seal,
            **text,
        ),
        "pack's .npy": Specimen(packed.data, False, read_pack, _npy(), 0.05),
        "pack's .csv": Specimen(
            packed.table, read=read_pack, made=_table(("id", "size", "mtime_ns", "checksum")), share=0.05, **text
        ),
        "pack's .json": Specimen(
            packed.manifest, read=read_pack, made=_json(packed.manifest.read_text()), share=0.05, **text
        ),
        "predictions.json": Specimen(
            experiment.predictions_record, read=read_record, made=_json(sealed[1]), share=0.06, **text
        ),
    }


def _make_experiment(path: Path, ids: list[str], targets: list[int], test: list[str]) -> Experiment:
    experiment = Experiment(path)
    spec = InputSpec(panels="A", layout="spatial", image_size=[24, 32], interpolation="linear", rows=9, bins=16).plain()
    for fold in range(FOLDS):
        folder = experiment.fold(fold)
        folder.best_checkpoint.parent.mkdir(parents=True)
        torch.manual_seed(fold)
        classifier = CadenceClassifier(spec, MODEL, {"lr": 1e-3}, {"pct_start": 0.1}, None)
        state = {
            "epoch": 1,
            "global_step": 8,
            "pytorch-lightning_version": "2.6.0",
            "state_dict": classifier.state_dict(),
            "callbacks": {"History": {"rows": [{"epoch": 0}], "origin": {"config": {"seed": 1}, "fingerprint": "f"}}},
            "hyper_parameters": dict(classifier.hparams),
        }
        for checkpoint in (folder.best_checkpoint, folder.last_checkpoint):
            torch.save(state, checkpoint)
        rows = [n for n in range(TRAIN) if n % FOLDS == fold]
        table = {"id": [ids[n] for n in rows], "fold": fold, "target": [targets[n] for n in rows]}
        pd.DataFrame({**table, "prob": np.random.default_rng(fold).random(len(rows))}).to_csv(folder.oof, index=False)
        result = {
            **{"fold": fold, "n_folds": FOLDS, "exp_name": "exp", "scores": {"auc": 0.5, "loss": 0.7}},
            **{"best_epoch": 1, "epochs": 2, "checkpoint": "checkpoints/best.ckpt"},
            **provenance.record(folder.path, folder.best_checkpoint, folder.oof),
            "data": {"root": "data", "fingerprint": "0123456789abcdef", "cadences": TRAIN, "positives": 10},
            "config": {"fold": fold, "seed": 1, "data": {"n_folds": FOLDS, "fold_seed": 1, "image_size": [24, 32]}},
            "overrides": ["fold=0", "exp_name=exp"],
            "versions": {"seti": provenance.version("seti"), "python": "3.11.7"},
            "seconds": 1.5,
        }
        folder.result.write_text(json.dumps(result, indent=2))
    probs = {name: np.random.default_rng(9).random(TEST) for name in ("fold_0", "fold_1", "prob")}
    pd.DataFrame({"id": test, **probs}).to_csv(experiment.predictions_path, index=False)
    experiment.submission_path.write_text("id,target\n")
    record = sidecar.describe_predictions(experiment, path, test, "32")
    experiment.predictions_record.write_text(json.dumps(record, indent=2))
    return experiment


def _read_npy(path: Path) -> None:
    """Compare with numpy's own reader, which is slower and takes more kinds of arrays and longer files."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        whole = isinstance(array, np.ndarray) and array.ndim == 3 and array.shape[0] == 6 and array.size > 0
        good = whole and array.dtype.kind == "f" and array.dtype.itemsize <= 8 and bool(np.isfinite(array).all())
        good = good and path.stat().st_size == array.offset + array.nbytes  # numpy ignores trailing bytes
    except Exception:  # numpy's reader fails in many ways
        good = False
    for panels in PANEL_CHOICES.values():
        try:
            cadence = read_cadence(path, panels)
        except Exception:
            if good:
                raise WrongError("refused, and numpy reads it") from None
            raise
        if not good and panels == PANEL_CHOICES["all"]:
            raise WrongError("read, and numpy does not")
        expected = np.load(path, allow_pickle=False)[list(panels)]
        if cadence.dtype != expected.dtype or not np.array_equal(cadence, expected):
            raise WrongError("read as something else than numpy does")


def _parsed(path: Path, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Read rows with Python's csv reader."""
    csv.field_size_limit(10**9)
    rows = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
    rows = [row for row in rows if row]
    header = rows[0]
    places = [header.index(column) for column in columns]
    return [tuple(row[place] if place < len(row) else "" for place in places) for row in rows[1:]]


def _parsed_of_user(path: Path, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Read a user's table by trying encodings, first lines and separators until the header has the columns."""
    csv.field_size_limit(10**9)
    content = path.read_bytes()
    blanks = "\u00a0\u2007\u202f\u3000\u200b\ufeff \t"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-32", "utf-16"] if content[:4] == b"\xff\xfe\0\0" else ["utf-16"]
    else:
        encodings = ["utf-8-sig", "latin-1", "utf-16-le", "utf-16-be", "utf-32"]
    for encoding in encodings:
        try:
            lines = io.StringIO(content.decode(encoding), newline="").readlines()
        except UnicodeDecodeError:
            continue
        for start, separator in itertools.product(range(min(len(lines), 20)), ",;\t|"):
            text = "".join(lines[start:]).lstrip(blanks + "#")
            text = re.sub(r'("[^"]*(?:""[^"]*)*")[ ]+', r"\1", text)
            rows = [
                [_unquoted(cell, blanks) for cell in row]
                for row in csv.reader([*io.StringIO(text, newline="")], delimiter=separator)
            ]
            header = [name.lower() for name in rows[0]] if rows else []
            if set(columns) <= set(header):
                exact = [name.strip() for name in next(csv.reader([lines[start]], delimiter=separator))]
                places = [(exact if column in exact else header).index(column) for column in columns]
                return [
                    tuple(
                        _user_value(column, row[place]) if place < len(row) else ""
                        for column, place in zip(columns, places, strict=True)
                    )
                    for row in rows[1:]
                    if any(row)
                ]
    raise WrongError("read, though no line of it names the columns")


def _unquoted(cell: str, blanks: str) -> str:
    bare = cell.strip(blanks)
    return bare[1:-1].strip(blanks) if bare != cell and len(bare) > 1 and bare[0] == bare[-1] == '"' else bare


def _user_value(column: str, text: str) -> str:
    """The id in a path, a file's name or a spreadsheet's quotes; the number in a word or with a decimal comma."""
    if column != "id":
        return {"true": "1", "false": "0"}.get(text.lower(), text.replace(",", "."))
    text = text.removeprefix("'").removesuffix("'").removeprefix('="').removesuffix('"')
    return re.sub(r"(?i)\.npy$", "", re.split(r"[/\\]", text)[-1])


def _agrees(read: object, written: object) -> bool:
    """Compare what was read with the file; keys that the file lacks have defaults."""
    if isinstance(read, dict) and isinstance(written, dict):
        return all(_agrees(value, written[key]) for key, value in read.items() if key in written)
    if isinstance(read, list) and isinstance(written, list):
        return len(read) == len(written) and all(map(_agrees, read, written))
    return type(read) is type(written) and read == written


def _same(read: Any, expected: list[tuple[str, ...]]) -> None:
    """Compare rows by id; numbers may be written differently."""
    read = sorted((tuple(row) for row in read), key=lambda row: row[0])
    expected = sorted(expected, key=lambda row: row[0])
    if [row[0] for row in read] != [row[0] for row in expected]:
        raise WrongError(f"ids {[row[0] for row in read][:5]}, not {[row[0] for row in expected][:5]}")
    for one, other in zip(read, expected, strict=True):
        for value, text in zip(one[1:], other[1:], strict=True):
            if math.isnan(value):
                if text.strip().lower() not in ("", "nan", "na", "n/a", "null", "none"):
                    raise WrongError(f"{other[0]}: {value}, not {text}")
            elif not math.isclose(float(text), value, rel_tol=1e-14, abs_tol=1e-300):
                raise WrongError(f"{other[0]}: {value}, not {text}")


def _same_weights(read: dict, stored: dict, original: dict) -> None:
    for name, value in read.items():
        # A synthetic file may hold anything; a damaged file that is read must hold its original content.
        expected = stored if "made" in stored else original
        if not torch.equal(value, expected["state_dict"][name]):
            raise WrongError(f"the weights {name} are others")


_odd_text = st.one_of(
    st.sampled_from([word.decode("utf-8", "replace") for word in NASTY if len(word) < 100]),
    st.text(max_size=12),
    st.from_regex(r"[0-9a-f]{15}", fullmatch=True),
    st.integers().map(str),
    st.floats().map(str),
)


def _table(columns: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    """Create tables of odd fields, quoted correctly or not."""

    def write(header: list[str], rows: list[list[str]], quoting: int, encoding: str) -> bytes:
        stream = io.StringIO(newline="")
        if quoting < 0:
            stream.write("\n".join(",".join(row) for row in [header, *rows]))
        else:
            csv.writer(stream, quoting=quoting).writerows([header, *rows])
        return stream.getvalue().encode(encoding, "replace")

    fields = {
        "id": st.one_of(st.from_regex(r"[0-9a-f]{15}", fullmatch=True), _odd_text),
        "target": st.one_of(st.sampled_from(["0", "1", "1.0", "0.0"]), _odd_text),
        "fold": st.one_of(st.sampled_from(["0", "0.0", "1"]), _odd_text),
    }
    row = st.tuples(*(fields.get(c, st.one_of(st.floats(0, 1).map(str), _odd_text)) for c in columns)).map(list)
    clean_fields = {
        "id": st.from_regex(r"[0-9a-f]{15}", fullmatch=True),
        "target": st.sampled_from("01"),
        "fold": st.just("0"),
    }
    clean = st.tuples(*(clean_fields.get(c, st.floats(0, 1).map(repr)) for c in columns)).map(list)
    header = st.one_of(st.just(list(columns)), st.permutations(columns), st.lists(_odd_text, max_size=4))
    return st.builds(
        write,
        st.one_of(st.just(list(columns)), header),
        st.one_of(st.lists(clean, max_size=6), st.lists(st.one_of(clean, row), max_size=6)),
        st.sampled_from([-1, csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        st.sampled_from(["utf-8", "utf-8", "utf-8", "latin-1", "utf-16"]),
    )


_plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _odd_text, st.just(10**400)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


def _replace(content: dict, value: Any, random: Random) -> dict:
    """Set or delete a random item of nested dicts."""
    content = pickle.loads(pickle.dumps(content))
    inner = content
    while True:
        key = random.choice(list(inner))
        if isinstance(inner[key], dict) and inner[key] and random.random() < 0.6:
            inner = inner[key]
            continue
        if random.random() < 0.2:
            del inner[key]
        else:
            inner[key] = value
        return content


def _json(whole: str) -> st.SearchStrategy[bytes]:
    def dump(value: Any, seed: int) -> bytes:
        return json.dumps(_replace(json.loads(whole), value, Random(seed))).encode()

    return st.builds(dump, _plain, st.integers(0, 2**32))


def _checkpoints(state: dict) -> st.SearchStrategy[bytes]:
    class Trap:
        def __reduce__(self) -> tuple:
            return os.system, (f"touch {SPRUNG}",)

    def save(value: Any, seed: int) -> bytes:
        stream = io.BytesIO()
        torch.save({**_replace(dict(state), value, Random(seed)), "made": True}, stream)
        return stream.getvalue()

    return st.builds(save, st.one_of(_plain, st.builds(Trap), st.just(torch.zeros(3))), st.integers(0, 2**32))


SPRUNG = Path("sprung")  # in the folder that the fuzzer runs in


def _npy() -> st.SearchStrategy[bytes]:
    """Create files with false headers."""

    def write(version: tuple, descr: str, shape: str, order: str, extra: str, lie: int, data: bytes, pad: int) -> bytes:
        header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}{extra}}}".encode()
        header += b" " * ((-len(header) - 11) % 64 if pad else 0) + b"\n"
        length = (len(header) + lie) % (2**16 if version[0] == 1 else 2**32)
        return b"\x93NUMPY" + bytes(version) + length.to_bytes(2 if version[0] == 1 else 4, "little") + header + data

    numbers = ["6", "6", "6", "3", "2", "1", "0", "-1", "True", "6.0", "10**18", str(10**18), str(2**63), "9" * 50]
    number = st.one_of(st.sampled_from(numbers), st.integers().map(str))
    lies = ["(6, 1000000000, 1000000000)", "(6, -3, 2)", "(True, 3, 2)", "((6,), 3, 2)", "6", "()"]
    shape = st.one_of(
        st.sampled_from([*["(6, 3, 2)"] * 4, *lies]),
        st.lists(number, max_size=5).map(lambda parts: f"({', '.join(parts)},)"),
        st.text(max_size=8),
    )
    floats = ["<f2", "<f4", "<f8", ">f2", ">f4", "|f2", "=f4", "f2", "<f16"]
    others = ["|O", "O", "<U9", "|V4", "<c8", "|b1", "<i4", "2000000000f8", "<f2, <f4", ""]
    structured = ["[('a', '<f2'), ('b', '|O')]", "[]", "('<f2', (2,))", "__import__('os')", "{}"]
    descr = st.one_of(
        st.sampled_from([f"'{kind}'" for kind in floats]),
        st.sampled_from([*(f"'{kind}'" for kind in others), *structured]),
        st.text(max_size=8),
    )
    values = st.builds(
        lambda count, seed: np.random.default_rng(seed).normal(size=count).astype("<f2").tobytes(),
        st.sampled_from([36, 72, 144, 35]),
        st.integers(0, 99),
    )
    return st.builds(
        write,
        st.sampled_from([(1, 0), (1, 0), (1, 0), (2, 0), (3, 0), (0, 0), (9, 9)]),
        descr,
        shape,
        st.sampled_from(["False", "False", "False", "True", "1", "None", "'no'"]),
        st.sampled_from(["", "", "", ", ", ", 'x': 1", ", 'shape': (6, 3, 2)", " + (1,)"]),
        st.sampled_from([0, 0, 0, 0, 1, -1, 2**31, 60_000, -5]),
        st.one_of(values, st.binary(max_size=300)),
        st.sampled_from([0, 1, 1, 1]),
    )


def restore(whole: dict[Path, bytes]) -> None:
    """Restore all files."""
    for path, content in whole.items():
        path.write_bytes(content)
