"""What `config init` writes is what zero-config does, and a file that converts as it stands."""

from __future__ import annotations

import numpy as np
import pytest
import uproot

from hepdann.config import Config, parse_config
from hepdann.errors import ConfigError, ReadError
from hepdann.readers import convert_files, scan
from hepdann.readers.planning.initial_config import init_config, survey
from hepdann.tensors import open_tensors

N = 400


def events(seed, *, label):
    rng = np.random.default_rng(seed)
    jets = rng.integers(0, 3, N)
    columns = {
        "pt": rng.exponential(30, N).astype("f4") + 20,
        "eta": rng.normal(size=N).astype("f4"),
        "n-jets": (jets + 1).astype("i4"),  # from 1: with MC alone, 0 to 2 could be a label
        "jet_pt": np.where(jets > 0, rng.exponential(40, N) + 30, -999).astype("f4"),
        "nnbjet": rng.uniform(size=N).astype("f4"),
        "mass": np.full(N, 0.10566, "f4"),
        "on": rng.normal(size=N).astype("f8"),
        "weight": rng.uniform(0.5, 1.5, N).astype("f4"),
        "run": np.full(N, 1, "u4"),
        "event": np.arange(N, dtype="u8"),
    }
    return columns | ({"isb": rng.integers(0, 2, N).astype("i4")} if label else {})


def write(path, columns, tree="jets"):
    with uproot.recreate(path) as file:
        file.mktree(tree, {name: values.dtype for name, values in columns.items()}).extend(columns)
    return str(path)


@pytest.fixture
def files(tmp_path):
    mc = write(tmp_path / "mc.root", events(1, label=True))
    return mc, write(tmp_path / "data.root", events(2, label=False))


@pytest.mark.parametrize("with_data", [True, False])
def test_the_written_file_converts_as_no_configuration_does(files, tmp_path, with_data):
    mc, data = files[0], files[1:] if with_data else []
    config = parse_config(init_config(mc, data))
    convert_files(output=tmp_path / "a.h5", config=config)
    convert_files([mc], data, output=tmp_path / "b.h5", config=Config())
    written, bare = open_tensors(tmp_path / "a.h5"), open_tensors(tmp_path / "b.h5")
    assert written.features == bare.features
    assert written.classes == bare.classes
    assert written.domains == bare.domains
    for domain in bare.domains:
        for name in ("event_id", "split", "weight", *bare.features):
            one, two = written.column(domain, name), bare.column(domain, name)
            if name == "jet_pt":  # the one difference: the sentinel is declared
                two = np.where(two == -999, np.nan, two)
            np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(written.source().label, bare.source().label)


def test_the_comments_tell_what_a_physicist_would_ask(files):
    text = init_config(*files)
    config = parse_config(text)
    lines = {line.split("#")[0].strip(" -"): line for line in text.splitlines() if "#" in line}
    assert config.convert.label == "isb"
    assert config.convert.event_id == ["run", "event"]
    assert config.convert.tree == "jets"
    assert [s.files for s in config.samples] == [[files[0]], [files[1]]]
    assert "integers 0 to 1" in lines["label: isb"]
    assert "always 0.10566" in lines["mass"]
    assert "integers 1 to 3" in lines["n-jets"]
    assert "exactly -999 in" in lines["{name: jet_pt, missing: -999}"]
    assert "# weight: weight " in text
    assert "not used unless named" in text
    assert "# A classifier's output, by its name: nnbjet" in text
    assert "# - weight" in text
    assert "looks like a weight" in text
    assert "# left out:" in text
    assert all(len(line) <= 110 for line in text.splitlines() if str(files[0]) not in line)


def test_the_commented_defaults_are_the_defaults(files):
    """Uncommented as they are, the keys of a section that has defaults change nothing."""
    text = init_config(*files)
    for section in ("train", "plots"):
        body = text.split(f"\n{section}:\n")[1].split("\n\n")[0].splitlines()
        body = [line for line in body if line.startswith("  # ")]  # not the rest of a comment
        keys = [line.replace("  # ", "  ", 1) for line in body]
        examples = ("shift", "experiment", "text", "lumi", "com")
        keys = [line for line in keys if line.split(":")[0].strip() not in examples]
        parsed = parse_config("\n".join([f"{section}:", *keys]))
        assert parsed == Config()
        assert len(keys) + sum(e in body_keys(body) for e in examples) == len(
            type(getattr(Config(), section)).model_fields
        )


def body_keys(body):
    return {line.split(":")[0].strip(" #") for line in body}


def test_an_unclear_label_is_left_to_the_user(tmp_path):
    columns = events(1, label=True) | {"isc": np.arange(N, dtype="i4") % 3}
    mc = write(tmp_path / "mc.root", columns)
    data = write(tmp_path / "data.root", events(2, label=False))
    text = init_config(mc, data)
    assert "# label: isb" in text
    assert "# label: isc" in text
    with pytest.raises(ConfigError, match="there is no label"):
        parse_config(text)
    assert parse_config(text.replace("# label: isc", "label: isc")).convert.label == "isc"


def test_names_that_yaml_would_misread_are_quoted(tmp_path):
    columns = events(1, label=True)
    columns |= {"no": columns["eta"], "1e3": columns["eta"], "null": columns["pt"]}
    mc = write(tmp_path / "a: b #c.root", columns, tree="~")
    config = parse_config(init_config([mc]))
    assert config.convert.tree == "~"
    assert config.samples[0].files == [mc]
    assert {"no", "1e3", "null", "on"} <= {f.name for f in config.convert.feature_configs()}


def test_the_tree_can_be_chosen(tmp_path):
    with uproot.recreate(tmp_path / "mc.root") as file:
        for name, rows in (("large", 400), ("small", 50)):
            part = {key: values[:rows] for key, values in events(1, label=True).items()}
            file.mktree(name, {key: v.dtype for key, v in part.items()}).extend(part)
    path = str(tmp_path / "mc.root")
    text = init_config(path)
    assert parse_config(text).convert.tree == "large"
    assert "not read: small (50)" in text
    assert parse_config(init_config(path, tree="small")).convert.tree == "small"
    with pytest.raises(ReadError, match="no tree 'smal'"):
        init_config(path, tree="smal")


@pytest.mark.parametrize(
    ("values", "sentinel"),
    [
        (np.r_[np.full(10, -999.0), np.linspace(0, 2000, 90)], -999.0),
        (np.r_[np.full(10, -1e6), np.linspace(0, 10, 90)], -1e6),
        (np.r_[np.full(10, -777.0), np.linspace(0, 100, 90)], -777.0),
        (np.r_[np.full(10, 9999.0), np.linspace(0, 100, 90)], 9999.0),
        (np.r_[np.full(10, -1.0), np.linspace(0, 1, 90)], None),  # sphericity of one track
        (np.r_[np.full(90, 0.0), np.linspace(1, 100, 10)], None),  # a spike at the edge
        (np.linspace(-999, 999, 1999), None),  # a value of a continuous range
        (np.full(100, -999.0), None),
    ],
)
def test_a_sentinel_repeats_and_stands_apart(tmp_path, values, sentinel):
    path = write(tmp_path / "a.root", {"x": values})
    found = survey(scan(path), ["x"])["x"]
    assert found.sentinel == sentinel
    kept = values[values != sentinel]
    assert (found.low, found.high) == (kept.min(), kept.max())


def test_a_survey_reads_a_part_of_every_file(tmp_path):
    paths = [write(tmp_path / f"{i}.root", {"x": np.arange(1000.0) + 1000 * i}) for i in (0, 1)]
    found = survey(scan(paths), ["x"], rows=20)["x"]
    assert (found.low, found.high) == (0, 1009)
    values = np.array([np.nan, np.inf, 1.0, 2.5])
    path = write(tmp_path / "nan.root", {"x": values, "y": np.full(4, np.nan)})
    found = survey(scan(path), ["x", "y"])
    assert (found["x"].low, found["x"].high, found["x"].non_finite) == (1.0, 2.5, 0.5)
    assert "not finite in 50 %" in str(found["x"])
    assert str(found["y"]).startswith("no finite value")
