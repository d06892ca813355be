"""Words of a command line as users type them, and the settings that they become."""

import inspect
import json
import re
import shlex
import sys

import pytest
from conftest import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import assume, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from seti.config import arguments, keys, values
from seti.config.arguments import retyped, to_hydra
from seti.errors import SetiError
from seti.utils import hints

NAMES = [
    "2021_08_01",
    "1.10",
    "1e3",
    "08",
    "0x1F",
    "1_000",
    ".5",
    "-1",
    "+3",
    "inf",
    "NaN",
    "1234e5678901234",
    "true",
    "False",
    "on",
    "no",
    "null",
    "None",
    "lr=0.1,wd=0",
    "=",
    "a=b",
    "a,b",
    ",",
    "(1)",
    "run (1)",
    "f(x)",
    "a(",
    "[x]",
    "a]",
    "{}",
    "{a: 1}",
    "a:b",
    "a~b",
    "#1",
    "a#b",
    "it's",
    'say "a"',
    "'a",
    "a b",
    "a  b",
    " a",
    "a ",
    "\ta",
    "a$b",
    "$1",
    "$",
    "é",
    "日本",
    "🔭",
    "-x",
    "--x",
    "a\\b",
    "a\\",
    "!@%^&*;|<>?`",
    "a\nb",
    "...",
]
COMMANDS = ("train", "predict", "stack", "simulate", "check", "pack", "show", "baseline", "scan", "inject")
TEXT_KEYS = [
    (command, key, setting)
    for command in COMMANDS
    for key, setting in keys.settings_of(command).items()
    if setting.kind in ("text", "texts") and not key.startswith("hydra.")
]
# What can name a folder: no slash, no NUL, and no lone surrogate, which is not text.
FOLDER_NAMES = st.text(
    st.one_of(st.sampled_from("=,()[]{}~#'\"$\\ :.-_/0123456789eENul"), st.characters(exclude_categories=["Cs"])),
    min_size=1,
    max_size=30,
).filter(lambda text: "\0" not in text)


def read(command, word, *, sweep=False):
    """The value that a word becomes, as OmegaConf stores it in a setting of that type."""
    (rewritten,) = to_hydra(command, [word], sweep=sweep)
    return stored(command, OverridesParser.create().parse_override(rewritten))


def stored(command, override):
    """The value of an override, as OmegaConf resolves it; a text may not have become anything else."""
    setting = keys.settings_of(command)[override.key_or_group]
    value = OmegaConf.to_container(OmegaConf.create({"key": override.value()}), resolve=True)["key"]
    assert value is None or setting.either or isinstance(value, str if setting.kind == "text" else list)
    return value


def as_typed(setting, text):
    """A text that stands for itself without quotes: see docs/settings.md."""
    special = (
        re.fullmatch(r"\s*(['\"]).*\1\s*", text, re.DOTALL)  # in quotes
        or "${" in text
        or re.search(r"\\[\\()\[\]{}:=, \t]", text)  # an escape
        or values.CALL.fullmatch(text.strip())
        or (setting.path and (text.startswith("~") or values.VARIABLE.match(text) or text == "???"))
        or (setting.optional and text.strip().lower() == "null")
        or (setting.either and text.strip().startswith("["))
    )
    return not special


def test_the_settings_that_are_text_and_those_that_are_paths():
    paths = {(command, key) for command, key, setting in TEXT_KEYS if setting.path}
    assert paths == {
        ("train", "output_dir"),
        ("train", "data.root"),
        ("train", "data.pack_dir"),
        ("train", "model.weights"),
        ("predict", "ckpt_dir"),
        ("predict", "data.root"),
        ("predict", "data.pack_dir"),
        ("stack", "output_dir"),
        ("stack", "experiments"),
        ("simulate", "root"),
        ("check", "data.root"),
        ("check", "data.pack_dir"),
        ("check", "report"),
        ("pack", "data.root"),
        ("pack", "pack_dir"),
        ("show", "data.root"),
        ("show", "ckpt_dir"),
        ("show", "out"),
        ("baseline", "data.root"),
        ("train", "data.groups"),
        ("train", "data.pseudo"),
        ("baseline", "data.groups"),
        ("baseline", "out"),
        ("scan", "cadence"),
        ("scan", "out"),
        ("scan", "ckpt_dir"),
        ("scan", "truth"),
        ("inject", "cadence"),
        ("inject", "out"),
    }
    assert {(command, key) for command, key, setting in TEXT_KEYS if setting.kind == "texts"} == {
        ("train", "augment.inject_shapes"),
        ("stack", "experiments"),
        ("pack", "split"),
        ("show", "ids"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_text_setting_is_the_characters_that_were_typed(name):
    for command, key, setting in TEXT_KEYS:
        if setting.kind == "text" and as_typed(setting, name):
            assert read(command, f"{key}={name}") == name, (command, key)
            for prefix in ("+", "++"):
                (word,) = to_hydra(command, [f"{prefix}{key}={name}"])
                assert word.startswith(f"{prefix}{key}=")
                assert stored(command, OverridesParser.create().parse_override(word)) == name


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("a ", " a", "\ta")])
def test_every_list_of_texts_is_the_characters_that_were_typed(name):
    for command, key, setting in TEXT_KEYS:
        if setting.kind == "texts" or setting.either:
            word = f"{key}=[x,{hints.setting('', name)[1:]}]"
            assert read(command, word) == ["x", name]
            if not set(name) & set(",[](){}'\"\\"):
                assert read(command, f"{key}=[{name}, y]") == [name, "y"]
                assert read(command, f"{key}=[{name}]") == [name]


@given(FOLDER_NAMES)
def test_any_text_that_can_name_a_folder_survives_typing(text):
    for command, key, setting in TEXT_KEYS[:4]:
        if as_typed(setting, text):
            assert read(command, f"{key}={text}") == text


@given(FOLDER_NAMES, st.booleans())
def test_any_text_that_can_name_a_folder_survives_printing_typing_recording_and_back(text, sweep):
    assume(text != "???")  # Hydra's word for a value that is not set; as a path it is ./???
    for command, key in (("train", "data.root"), ("train", "model.weights"), ("predict", "ckpt_dir")):
        line = hints.command(command, hints.setting(key, text))
        (*_, word) = shlex.split(line)
        (rewritten,) = to_hydra(command, [word], sweep=sweep)
        override = OverridesParser.create().parse_override(rewritten)
        assert not override.is_sweep_override()
        assert stored(command, override) == text
        assert json.loads(json.dumps(stored(command, override))) == text
        # result.json keeps the words that Hydra read, and a later command is printed from them.
        (again,) = shlex.split(shlex.join(retyped(command, [rewritten])))
        assert read(command, again, sweep=sweep) == text
        (quoted,) = to_hydra(command, [rewritten], sweep=sweep)
        assert quoted == rewritten


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


def test_tilde_and_variables_begin_a_path_as_in_a_shell(monkeypatch):
    monkeypatch.setenv("HOME", "/home/it's (me)")
    monkeypatch.setenv("DATA", "/scratch/a,b")
    for typed, path in (
        ("~", "/home/it's (me)"),
        ("~/x (1)", "/home/it's (me)/x (1)"),
        ("$DATA/x", "/scratch/a,b/x"),
        ("$DATA.bak", "/scratch/a,b.bak"),
        ("${DATA}/x", "/scratch/a,b/x"),
        ("~no-such-user/x", "~no-such-user/x"),
        ("./~/x", "./~/x"),
        ("a/$DATA", "a/$DATA"),
        ("'~/x'", "~/x"),
        ('"$DATA"', "$DATA"),
    ):
        assert read("train", f"data.root={typed}") == path
        assert read("predict", f"ckpt_dir=[{typed},b]") == [path, "b"] or " (" in path
    (word,) = to_hydra("train", ["hydra.run.dir=~/x"])
    assert OverridesParser.create().parse_override(word).value() == "/home/it's (me)/x"
    assert read("train", "exp_name=~x") == "~x"  # no path


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
        ("train", "fold=a=b", False, "fold=a=b cannot be read: it is not a number, word or list"),
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
            "trainer.overfit_batch is not a setting: did you mean +trainer.overfit_batches?",
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


def test_a_launcher_that_is_not_installed_names_the_extra(monkeypatch):
    monkeypatch.setattr(arguments, "find_spec", lambda name: None)
    for launcher in ("joblib", "submitit_slurm", "submitit_local"):
        with pytest.raises(SetiError) as refused:
            to_hydra("train", [f"hydra/launcher={launcher}"], sweep=True)
        assert str(refused.value) == (
            f"hydra/launcher={launcher} needs the extra 'sweep', which is not installed: pip install 'seti[sweep]'"
        )
    assert to_hydra("train", ["hydra/launcher=basic"]) == ["hydra/launcher=basic"]


def test_arguments_of_the_trainer_are_those_of_lightning():
    from pytorch_lightning import Trainer

    assert set(keys.trainer_arguments()) == set(inspect.signature(Trainer).parameters)
    assert to_hydra("train", ["trainer.overfit_batches=1"]) == ["trainer.overfit_batches=1"]  # Hydra asks for a +


def test_settings_of_other_configurations_are_left_to_hydra():
    words = ["xyzzy=1", "hydra.launcher.n_jobs=2", "+new.key=x", "~data.clip", "hydra/launcher=basic", "data.root=a b"]
    assert to_hydra("train", words, known=False) == words


def test_records_of_older_versions_are_spelled_as_they_were_read():
    old = ["exp_name=1.10", "data.root=2021_08_01", "data.packed=true", "model.weights=null", "fold=1", "lr=x"]
    old += ["exp_name='b c'", "data.root=/a\\,b", "optimizer.lr=1e-3", "augment.inject_shapes=[line,1.10]"]
    typed = retyped("train", old)
    assert typed == [
        "exp_name=1.1",
        "data.root=20210801",
        "data.packed=True",
        "model.weights=null",
        "fold=1",
        "lr=x",
        "exp_name='b c'",
        "data.root=/a\\,b",
        "optimizer.lr=1e-3",
        "augment.inject_shapes=[line,1.1]",
    ]
    assert read("train", typed[0]) == "1.1"
