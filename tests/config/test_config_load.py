"""A configuration means what it says, and an error names the line, the key and the mend."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hepdann.shifts
from hepdann.config import (
    Config,
    ConvertConfig,
    FeatureConfig,
    PlotConfig,
    SampleConfig,
    ShiftConfig,
    SplitConfig,
    TrainConfig,
    dump_config,
    expand_path,
    load_config,
    override,
    parse_config,
    shipped_configs,
)
from hepdann.config.section import STYLES
from hepdann.errors import ConfigError
from hepdann.readers import resolve
from hepdann.registry import METHODS, SHIFTS, nearest_name

SAMPLE = "samples:\n- name: a\n  files: a.root\n  class: b\n"


def message(text: str, **kwargs: object) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "x.yaml", **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("figure", "says"),
    [
        ("name: /elsewhere/thesis", "separator of folders"),
        ("name: mass/pt", "separator of folders"),
        ("name: '..\\..\\thesis'", "separator of folders"),
        ("name: ..", "begins with a dot"),
        ("name: .bashrc", "begins with a dot"),
        ('name: "a\\nb"', "control character"),
        ('name: "a\\u202Eb"', "control character"),
        (f"name: {101 * 'x'}", "longer than 100"),
        ("name: " + 70 * "\U0001f600", "longer than 100"),
        ("name: ''", "is empty"),
        ("bins: 2000000", "at most 10000"),
        (f"bins: {list(range(10_002))}", "at most 10001"),
    ],
)
@pytest.mark.parametrize("kind", ["data_mc", "efficiency"])
def test_a_figure_has_the_name_of_a_file_and_a_bounded_number_of_bins(kind, figure, says):
    text = f"plots:\n  figures:\n  - kind: {kind}\n    variable: x\n    {figure}\n"
    said = message(text)
    assert says in said
    assert f"x.yaml:5: plots.figures[0].{figure.split(':')[0]}" in said


def test_an_empty_file_is_all_defaults():
    assert parse_config("") == Config()
    assert parse_config("convert:\n# features: [a]\ntrain:\n") == Config()


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("trian: {}", "x.yaml:1: trian", "'train'"),
        (
            "samples:\n- name: a\n  files: a.root\n  clas: s\n",
            "x.yaml:4: samples[0].clas",
            "'class'",
        ),
        ("convert:\n  featurse: [a]", "x.yaml:2: convert.featurse", "'features'"),
        (
            "convert:\n  features:\n  - a\n  - name: b\n    mising: -9",
            "x.yaml:5: convert.features[1].mising",
            "'missing'",
        ),
        ("convert:\n  split: {trian: 0.5}", "x.yaml:2: convert.split.trian", "'train'"),
        ("train:\n  epoch: 3", "x.yaml:2: train.epoch", "'epochs'"),
        (
            "train:\n  shift: {name: sine, t: 3, quantil: 1}",
            "x.yaml:2: train.shift.quantil",
            "'quantile'",
        ),
        ("plots:\n  stile: CMS", "x.yaml:2: plots.stile", "'style'"),
    ],
)
def test_a_misspelt_key_is_named_with_its_line_and_the_nearest_name(text, place, hint):
    assert message(text).startswith(f"{place}: unknown key; did you mean {hint}?")


def test_a_key_in_the_wrong_section_is_sent_to_the_right_one():
    assert "did you mean 'train.epochs'?" in message("epochs: 3")
    assert "did you mean 'convert.label'?" in message("plots: {label: isb}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("train: {epochs: many}", "train.epochs: expected an integer, got 'many'"),
        ("train: {epochs: 1.5}", "train.epochs: expected an integer, got 1.5"),
        ("train: {epochs: true}", "train.epochs: expected an integer, got true"),
        ("train: {epochs: [3]}", "train.epochs: expected an integer, got [3]"),
        ("train: {epochs: 0}", "train.epochs: must be at least 1, got 0"),
        ("train: {epochs: 10000000}", "train.epochs: must be at most 100000, got 10000000"),
        ("train: {lambda: strong}", "train.lambda: expected a number, got 'strong'"),
        ("train: {lambda: -1}", "train.lambda: must be at least 0, got -1"),
        ("train: {lambda: .nan}", "train.lambda: expected a finite number, got nan"),
        ("train: {ema: 1}", "train.ema: must be less than 1, got 1"),
        ("train: {batch_size: big}", "train.batch_size: expected an integer or 'auto', got 'big'"),
        ("train: {oracle: maybe}", "train.oracle: expected true or false, got 'maybe'"),
        ("train: {extractor: [32, wide]}", "train.extractor[1]: expected an integer, got 'wide'"),
        ("train: {extractor: []}", "train.extractor: must not be empty"),
        ("train: {mixtures: [{cut: m > 1}]}", "train.mixtures: needs at least 2"),
        ("train: [dann]", "train: expected a mapping of keys to values, got ['dann']"),
        ("train: {schedule: cosin}", "got 'cosin'; did you mean 'cosine'?"),
        ("train: {shift: {name: sine}}", "train.shift.t: this key is required"),
        ("samples: a.root", "samples: expected a list, got 'a.root'"),
        ("samples: [{name: a}]", "samples[0].files: this key is required"),
        ("samples: [{name: a, files: a, class: 1}]", "samples[0].class: expected text, got 1"),
        ("convert: {features: [pt, 3]}", "convert.features[1]: expected text, got 3"),
        (
            "convert: {features: [{name: pt, impute: low}]}",
            "convert.features[0].impute: expected a number or 'mean', got 'low'",
        ),
        ("convert: {weights: {up: 3}}", "convert.weights.up: expected text, got 3"),
        ("plots: {formats: [pdf, jpg]}", "plots.formats[1]: expected 'pdf', 'png' or 'svg'"),
        ("train: {shift: {name: sin, t: 3}}", "unknown shift 'sin'; did you mean 'sine'?"),
        ("train: {methods: [dan]}", "unknown method 'dan'; did you mean 'dann'?"),
        ("plots: {style: cms}", "unknown style 'cms'; did you mean 'CMS'?"),
        ("- a\n- b", "x.yaml: expected sections (samples, convert, train, scan, plots), got list"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(text, says):
    assert says in message(text)


def test_every_wrong_key_of_a_file_is_named():
    said = message("train:\n  epochs: many\n  lamda: 1\nplots:\n  stile: CMS\n")
    assert said.startswith("x.yaml:2: train.epochs:")
    assert said.endswith("also wrong: train.lamda, plots.stile")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("samples: [{name: d, files: d, role: data, class: b}]", "sample 'd' has role data"),
        ("samples: [{name: d, files: d, role: data}]", "no sample has role mc: 'd'"),
        ("samples: [{name: q, files: q, role: template}]", "role template and no class"),
        (
            SAMPLE + "- {name: a, files: b, role: data}",
            "samples[1].role: sample 'a' is mc above and data here",
        ),
        ("samples: [{name: m, files: m}]", "no label, and no class for sample 'm'"),
        (
            SAMPLE + "convert: {classes: [s, bb]}",
            "samples[0].class: class 'b' of sample 'a' is not in convert.classes ('s', 'bb')",
        ),
        (
            SAMPLE + "- {name: m, files: m}\nconvert: {label: isb}",
            "convert.classes: some classes come from the label and some from the samples",
        ),
        (
            "samples: [{name: a, files: a, class: b, weight: w*2}]\nconvert: {features: [w]}",
            "samples[0].weight: the weight 'w*2' is also a feature",
        ),
        ("convert: {features: [a, b, a]}", "feature 'a' given more than once"),
        (
            "convert: {features: [{name: a, indicator: true}, a_missing]}",
            "feature 'a_missing' given more than once",
        ),
        ("convert: {features: []}", "convert.features: the list is empty"),
        ("convert: {features: [isb, pt], label: isb}", "take 'isb' out of the features"),
        ("convert: {features: [pt, fl], label: fl == 5}", "take 'fl' out of the features"),
        (
            "convert: {features: [{name: x, expression: log(fl)}], label: abs(fl) == 5}",
            "can be computed from the features alone",
        ),
        ("convert: {features: [pt, w], weight: 0.39*w}", "'w' cannot be both a feature and weight"),
        ("convert: {features: [w], weights: {up: w}}", "'w' cannot be both a feature and weight"),
        ("convert: {features: [run], event_id: [run, event]}", "both a feature and event id"),
        ("convert: {features: [e, m], spectators: [e]}", "'e' cannot be both a feature and spec"),
        ("convert: {classes: [b, b]}", "class 'b' given more than once"),
        ("convert: {split: {train: 0.9}}", "add up to 1.2, not 1"),
        ("train: {methods: [dann, dann]}", "method 'dann' given more than once"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(text, says):
    assert says in message(text)


def test_a_label_may_share_a_branch_with_a_feature_if_it_needs_another():
    parse_config("convert: {features: [pt], label: (flavour == 5) & (pt > 20)}")
    parse_config("convert: {features: [pt], weight: 1/pt}")


def test_scalars_mean_what_they_mean_in_yaml_1_2():
    config = parse_config(
        "samples:\n"
        "- {name: on, files: [no, y], class: off, cut: 'x > 1'}\n"
        "- {name: 2012-01-01, files: 1:30, class: yes}\n"
        "train: {learning_rate: 1e-3, lambda: 1_0, seed: 010}\n"
        "convert: {block_size: 50_000, missing: -.5E3}\n"
    )
    first, second = config.samples
    assert (first.name, first.files, first.class_) == ("on", ["no", "y"], "off")
    assert (second.name, second.files, second.class_) == ("2012-01-01", ["1:30"], "yes")
    assert config.train.learning_rate == 1e-3
    assert (config.train.lambda_, config.train.seed) == (10.0, 10)
    assert (config.convert.block_size, config.convert.missing) == (50_000, -500.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("train:\n  epochs: 1\n  epochs: 2", "x.yaml:3: the key 'epochs' appears twice"),
        ("train: {epochs: 1\nplots: {}", "x.yaml:2: not valid YAML"),
        ("train:\n\tepochs: 1", "x.yaml:2: not valid YAML"),
        ("a: b: c", "x.yaml:1: not valid YAML"),
        ("a: 1\n---\nb: 2", "not valid YAML"),
        ("1: 2", "x.yaml:1: '1' cannot be a key"),
        ("[a]: 2", "x.yaml:1: a sequence cannot be a key"),
        ("train: &t\n  shift: *t", "x.yaml:1: an alias refers to what contains it"),
        ("a: \x07", "not valid YAML"),
        ("[" * 600, "nested too deeply"),
        ("a: " + "[" * 60 + "]" * 60, "x.yaml:1: nested too deeply"),
        ("train:\n  epochs: " + "9" * 5000, "x.yaml:2: not valid YAML: an integer of more than 64"),
        ("train:\n  epochs: " + "9" * 20, "x.yaml:2: not valid YAML: an integer of more than 64"),
        ("a: 0x" + "f" * 17, "x.yaml:1: not valid YAML: an integer of more than 64"),
        ("#" * 2_000_000, "x.yaml: has more than 1,048,576 characters; name many input files"),
        ("a: !!bool maybe", "not valid YAML"),
        ("a: !!timestamp now", "not valid YAML"),
        ("a: !!set {b}", "not valid YAML"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_line(text, says):
    assert says in message(text)


def test_nothing_in_a_file_is_executed(tmp_path):
    mark = tmp_path / "mark"
    for tag in ("apply:os.mkdir", "new:os.mkdir", "name:os.mkdir", "module:os"):
        assert "not valid YAML" in message(f"train: !!python/object/{tag} ['{mark}']")
    code = f"__import__('os').mkdir('{mark}')"
    parse_config(f'convert: {{cut: "{code}", label: "{code}", weight: "{code}", features: [a]}}')
    assert not mark.exists()


def test_aliases_and_merge_keys_of_yaml_work():
    config = parse_config(
        "samples:\n"
        "- &mc {name: a, files: a.root, class: s, scale: 0.39}\n"
        "- {<<: *mc, name: b, class: b}\n"
    )
    assert config.samples[1] == SampleConfig(name="b", files=["a.root"], class_="b", scale=0.39)


@pytest.mark.parametrize(
    "level",
    [
        lambda i: f"- &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]",  # the last holds 9^19 words
        lambda i: f"- &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}",
        lambda i: f"- &a{i}\n  k{i}: 1\n  <<: [*a{i - 1}, *a{i - 1}]",
    ],
    ids=["lists", "merges", "merges and keys"],
)
def test_aliases_of_aliases_are_counted_and_not_followed(level):
    lists = "\n".join(["- &a0 {x: 1}", *map(level, range(1, 20))])
    assert message(lists).endswith(": holds more than 100,000 values, aliases counted")
    assert message("\n".join([*lists.split("\n")[:3], "- *a1"])).startswith("x.yaml: expected sec")


def test_environment_variables_expand_in_paths_alone(monkeypatch):
    monkeypatch.setenv("HEPDANN_DATA", "/data")
    text = (
        "samples:\n- {name: '${HEPDANN_DATA}', files: ['${HEPDANN_DATA}/a.root', $HEPDANN_DATA/b],"
        " class: s}"
    )
    sample = parse_config(text).samples[0]
    assert [expand_path(file) for file in sample.files] == ["/data/a.root", "/data/b"]
    assert sample.name == "${HEPDANN_DATA}"
    monkeypatch.delenv("HEPDANN_DATA")
    with pytest.raises(
        ConfigError, match="sample 's': the environment variable HEPDANN_DATA is no"
    ):
        resolve(sample.files, where="sample 's'")
    with pytest.raises(ConfigError, match=r"\$\{NOPE\}/x: the environment variable NOPE"):
        expand_path("${NOPE}/x")


def test_relative_paths_stay_relative_to_the_current_directory(tmp_path, monkeypatch):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "c.yaml").write_text(SAMPLE)
    monkeypatch.chdir(tmp_path)
    assert load_config("deep/c.yaml").samples[0].files == ["a.root"]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"plots: {text: caf\xe9}")
    os.mkfifo(tmp_path / "pipe.yaml")
    for name, says in (
        ("latin.yaml", "UTF-8"),
        ("none.yaml", "no such file"),
        ("", "is a folder"),
        ("pipe.yaml", "is a pipe, not a file; name a YAML file"),
    ):
        with pytest.raises(ConfigError, match=says):
            load_config(tmp_path / name)
    with pytest.raises(ConfigError, match=r"alep: no such file.*did you mean 'aleph'\?"):
        load_config("alep")


def test_override_changes_what_is_given_and_checks_it():
    config = Config()
    changed = override(config, {"train.lambda": 0.3, "train.epochs": None, "convert.label": "isb"})
    assert (changed.train.lambda_, changed.train.epochs) == (0.3, 20)
    assert changed.convert.label == "isb"
    assert config == Config()
    shifted = override(config, {"train.shift.name": "sine", "train.shift.t": 3})
    assert shifted.train.shift == ShiftConfig(name="sine", t=3)
    assert override(config, {"train.shift": ShiftConfig(name="sine", t=3)}) == shifted
    assert override(shifted, {"train.shift.t": 8}).train.shift.t == 8


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train.lambd": 0.3}, "train.lambd: unknown key; did you mean 'lambda'?"),
        ({"train.epochs": "many"}, "train.epochs: expected an integer, got 'many'"),
        ({"train.shift.name": "sine"}, "train.shift.t: this key is required"),
        ({"train.epochs.last": 1}, "train.epochs: has no keys below it"),
        ({"trian.epochs": 1}, "trian: unknown key; did you mean 'train'?"),
    ],
)
def test_override_gives_the_same_errors(changes, says):
    with pytest.raises(ConfigError) as caught:
        override(Config(), changes)
    assert str(caught.value) == says


def test_changes_come_before_the_checks_of_a_file():
    text = "samples: [{name: a, files: a.root}]"
    assert "no label" in message(text)
    assert parse_config(text, changes={"convert.label": "isb"}).convert.label == "isb"


def test_a_registered_name_is_known_and_an_unknown_one_can_be_let_through(monkeypatch):
    text = "train: {shift: {name: mine, t: 3}}"
    assert "unknown shift 'mine'" in message(text)
    assert parse_config(text, known_names=False).train.shift.name == "mine"
    monkeypatch.setitem(SHIFTS._registered, "mine", None)
    assert parse_config(text).train.shift.name == "mine"


def test_the_names_known_without_an_import_are_those_of_the_registries():
    for name in hepdann.shifts.names():
        parse_config(f"train: {{shift: {{name: {name}, t: 3}}}}")
    assert parse_config("train: {shift: {name: sine + gaussian, t: 3}}").train.shift is not None
    assert "unknown shift 'gaus'" in message("train: {shift: {name: sine+gaus, t: 3}}")


def test_the_identity_needs_no_t():
    assert parse_config("train: {shift: {name: identity}}").train.shift.t == 1.0


def test_features_in_long_form_carry_the_common_sentinel():
    convert = parse_config(
        "convert: {missing: -999, features: [a, {name: b, missing: -1}]}"
    ).convert
    assert [(f.name, f.missing) for f in convert.feature_configs()] == [("a", -999), ("b", -1)]
    assert ConvertConfig().feature_configs() is None


def test_nearest_ignores_case_and_hyphens():
    assert nearest_name("Sine_Third", SHIFTS) == "sine-third"
    assert nearest_name("xyz", SHIFTS) is None


def test_importing_the_configuration_imports_neither_torch_nor_uproot():
    code = (
        "import sys, hepdann.config as c;"
        "c.parse_config('train: {methods: [dann], shift: {name: sine, t: 3}}');"
        "heavy = {'torch', 'uproot', 'numpy', 'awkward', 'matplotlib'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Text that YAML can hold: no lone surrogates; "$" and "~" would expand in paths.
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
words |= st.sampled_from(["on", "no", "~", "1e-3", "1:30", "010", "null", "<<", "=", "- a", "a: b"])
numbers = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(1e-300, 1e300)


@st.composite
def configs(draw):
    unique = lambda **kw: st.lists(words, unique=True, **kw)  # noqa: E731
    samples = [
        SampleConfig(
            name=f"mc {i} {draw(words)}",
            files=draw(unique(min_size=1, max_size=2)),
            class_=draw(words),
            cut=draw(st.none() | words),
            scale=draw(numbers),
            title=draw(st.none() | st.text(st.characters(exclude_categories=["Cs"]))),
        )
        for i in range(draw(st.integers(0, 3)))
    ]
    convert = ConvertConfig(
        features=draw(st.none())
        or [
            f"feature {i}"
            if draw(st.booleans())
            else FeatureConfig(
                name=f"feature {i}",
                missing=draw(st.none() | numbers),
                impute=draw(numbers | st.just("mean")),
                title=draw(words),
            )
            for i in range(draw(st.integers(1, 4)))
        ],
        weights=draw(st.dictionaries(words, words, max_size=2)),
        split=SplitConfig(seed=draw(st.integers(0, 2**64 - 1))),
        missing=draw(st.none() | numbers),
    )
    train = TrainConfig(
        methods=draw(st.lists(st.sampled_from(list(METHODS)), unique=True, min_size=1)),
        shift=draw(
            st.none()
            | st.builds(
                ShiftConfig,
                name=st.sampled_from(list(SHIFTS)),
                t=positive,
                quantile=st.floats(1e-9, 1),
            )
        ),
        lambda_=draw(positive),
        learning_rate=draw(positive),
        batch_size=draw(st.integers(1, 10**9) | st.just("auto")),
        extractor=draw(st.lists(st.integers(1, 10**6), min_size=1)),
    )
    plots = PlotConfig(
        style=draw(st.sampled_from(STYLES)), text=draw(st.none() | words), lumi=draw(positive)
    )
    return Config(samples=samples, convert=convert, train=train, plots=plots)


@settings(max_examples=25)
@given(configs())
def test_what_is_dumped_reads_back_as_it_was(config):
    text = dump_config(config)
    assert parse_config(text) == config
    for key in ("samples", "convert", "train", "plots", "lambda", "learning_rate", "block_size"):
        assert f"{key}:" in text


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_configuration_or_an_error_of_the_house(text):
    with contextlib.suppress(ConfigError):
        parse_config(text)


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_shipped_configurations_are_valid_and_found_by_name(name, monkeypatch):
    monkeypatch.setenv("HEPDANN_DATA", "/data")
    config = load_config(name)
    assert all(
        expand_path(file).startswith("/data/") for sample in config.samples for file in sample.files
    )
    assert parse_config(dump_config(config)) == config


def test_a_folder_does_not_hide_the_configuration_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "minerva").mkdir()  # as `hepdann simulate minerva -o minerva` makes it
    assert load_config("minerva").train.network == "minerva-medium"
    with pytest.raises(ConfigError, match="is a folder"):
        load_config("./minerva")


def test_the_two_promised_configurations_are_shipped():
    assert {"aleph", "htautau"} <= set(shipped_configs())


def test_the_cms_configuration_makes_its_template_from_same_sign_events():
    config = load_config("htautau")
    by_role = {role: [s for s in config.samples if s.role == role] for role in ("mc", "template")}
    mc_files = {f for s in by_role["mc"] for f in s.files}
    from_data, from_mc = by_role["template"]
    assert len(mc_files) == 7
    assert set(from_mc.files) == mc_files
    assert [s.files for s in config.samples if s.role == "data"] == [from_data.files]
    assert {s.name for s in by_role["template"]} == {"QCD"}
    assert all("q_1*q_2 > 0" in s.cut for s in by_role["template"])
    assert from_mc.scale == pytest.approx(-0.39 * from_data.scale)
    inputs = {f.name for f in config.convert.feature_configs()}
    assert not inputs & {"run", "weight", "gen_match", "iso_1", "mt_1", "m_1", "q_1", "q_2"}
    assert all(f.missing == -999 for f in config.convert.feature_configs())
