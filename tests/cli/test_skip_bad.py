"""Bad files among good ones, through the real command: the first stops it, or each is listed."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import uproot

from hepdann.tensors import open_tensors

ROWS = 400


def columns(seed, **more):
    random = np.random.default_rng(seed)
    return {
        "pt": random.exponential(30, ROWS).astype("f4"),
        "eta": np.repeat(random.normal(size=ROWS // 10), 10),  # zlib notices damage to it
        "isb": np.arange(ROWS, dtype="i4") % 2,
        "event": np.arange(ROWS) + 10_000 * seed,
        **more,
    }


def write(path, tree, name="jets", parts=4):
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        file.mktree(name, {key: values.dtype for key, values in tree.items()})
        for part in range(parts):
            rows = slice(part * ROWS // parts, (part + 1) * ROWS // parts)
            file[name].extend({key: values[rows] for key, values in tree.items()})


def damage(path, branch="eta", basket=2):
    """Zeros in a basket, so that the file turns bad in its second half."""
    with uproot.open(path) as file:
        found = file["jets"][branch]
        start = int(found.member("fBasketSeek")[basket])
        length = int(found.member("fBasketBytes")[basket])
    content = bytearray(path.read_bytes())
    content[start + length - 30 : start + length] = bytes(30)
    path.write_bytes(content)


@pytest.fixture(name="files", autouse=True)
def files_fixture(tmp_path):
    for number in range(1, 5):
        write(tmp_path / f"mc{number}.root", columns(number))
    return tmp_path


def bad_half(path):
    damage(path)
    return "jets/eta: entries 200-299 cannot be read"


def bad_short(path):
    path.write_bytes(path.read_bytes()[:1000])
    return "is truncated: it has 1000 of"


def bad_empty(path):
    path.write_bytes(b"")
    return "is empty"


def bad_text(path):
    path.write_text("not a ROOT file, but quite long all the same")
    return "is not a ROOT file"


def bad_tree(path):
    write(path, columns(3), name="muons")
    return "no tree 'jets'"


def bad_branch(path):
    tree = columns(3)
    del tree["pt"]
    write(path, tree)
    return "jets: branch 'pt' is missing here"


def bad_type(path):
    write(path, columns(3, pt=np.ones(ROWS)))
    return "jets: branch 'pt' is double here and float in mc1.root"


def bad_label(path):
    write(path, columns(3, isb=np.full(ROWS, 7, "i4")))
    return "jets: label 'isb' is 7 in entries 0-99"


def bad_weight(path):
    weight = np.ones(ROWS)
    weight[250] = np.nan
    write(path, columns(3, event=np.arange(ROWS), w=weight))
    return "jets: weight of sample 'mc' 'w' is not finite in 1 of the entries 200-299"


def gone(path):
    path.unlink()
    return "no such file"


BAD = [bad_half, bad_short, bad_empty, bad_text, bad_tree, bad_branch, bad_type, bad_label, gone]
WAY = ["--label", "isb", "--features", "pt,eta", "--classes", "light,b", "--tree", "jets",
    "--config", "small.yaml"]  # fmt: skip


@pytest.fixture(name="small", autouse=True)
def small_fixture(tmp_path):
    (tmp_path / "small.yaml").write_text("convert: {block_size: 100}\n")


@pytest.mark.parametrize("fault", BAD, ids=lambda fault: fault.__name__)
def test_a_bad_file_stops_the_run_or_is_left_out_whole(run, tmp_path, fault):
    reason = fault(tmp_path / "mc3.root")
    names = "mc1.root,mc2.root,mc3.root,mc4.root"
    code, out, err = run("convert", names, *WAY)
    assert (code, out) == (2, "")
    assert f"mc3.root: {reason}" in err or f"mc3.root:{reason}" in err
    assert err.count("\n") == 1
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".h5", ".part")]

    code, out, err = run("convert", names, *WAY, "--skip-bad")
    assert (code, err.count("\n")) == (3, 1)
    assert "bad files skipped: 1" in err
    assert reason in out
    tensors = open_tensors(tmp_path / "tensors.h5")
    assert tensors.verify() == []
    (skipped,) = tensors.provenance["skipped"]
    assert (skipped["path"], skipped["sample"], skipped["domain"]) == ("mc3.root", "mc", "mc")
    assert skipped["reason"].startswith(reason)
    assert [entry["path"] for entry in tensors.provenance["inputs"]] == [
        "mc1.root", "mc2.root", "mc4.root",
    ]  # fmt: skip

    assert run("convert", "mc1.root,mc2.root,mc4.root", *WAY, "-o", "good.h5")[0] == 0
    with h5py.File(tmp_path / "tensors.h5") as left, h5py.File(tmp_path / "good.h5") as good:
        for name in ("mc", "checksums/mc"):
            for key, values in good[name].items():
                if isinstance(values, h5py.Dataset):
                    assert left[name][key][...].tobytes() == values[...].tobytes(), key
        assert dict(left["mc/features"].attrs.items())["impute"].tolist() == (
            good["mc/features"].attrs["impute"].tolist()
        )


def test_a_weight_that_is_no_number_takes_back_its_file_alone(run, tmp_path):
    for number in (1, 2):
        write(tmp_path / f"mc{number}.root", columns(number, w=np.ones(ROWS)))
    reason = bad_weight(tmp_path / "mc3.root")
    code, out, _ = run("convert", "mc[123].root", *WAY, "--weight", "w", "--skip-bad")
    assert code == 3
    assert reason in out
    tensors = open_tensors(tmp_path / "tensors.h5")
    assert tensors.rows("mc") == 2 * ROWS
    assert tensors.column("mc", "weight").tolist() == [1.0] * 2 * ROWS


def test_the_first_file_may_be_the_bad_one(run, tmp_path):
    bad_half(tmp_path / "mc1.root")
    bad_short(tmp_path / "mc2.root")
    assert run("convert", "mc*.root", *WAY, "--skip-bad")[0] == 3
    tensors = open_tensors(tmp_path / "tensors.h5")
    assert tensors.rows("mc") == 2 * ROWS
    assert [entry["path"] for entry in tensors.provenance["skipped"]] == ["mc2.root", "mc1.root"]


def test_a_sample_without_a_good_file_is_an_error(run, tmp_path):
    bad_half(tmp_path / "mc1.root")
    bad_short(tmp_path / "mc2.root")
    code, out, err = run("convert", "mc1.root,mc2.root", "mc4.root", *WAY, "--skip-bad")
    assert (code, out) == (2, "")
    assert "no file of sample 'mc' can be used; the first: is truncated" in err
    assert not (tmp_path / "tensors.h5").exists()
    code, _, err = run("convert", "mc3.root", "mc2.root", *WAY, "--skip-bad")
    assert code == 2
    assert "no file of sample 'data' can be used" in err


def test_without_a_bad_file_the_permission_changes_nothing(run, tmp_path):
    code, out, err = run("convert", "mc*.root", *WAY, "--skip-bad")
    assert (code, err) == (0, "")
    assert "Skipped" not in out
    with h5py.File(tmp_path / "tensors.h5") as file:
        assert json.loads(file.attrs["provenance"])["skipped"] == []


def test_rows_of_a_truth_file_and_files_left_out_do_not_go_together(run):
    code, _, err = run(
        "convert", "mc1.root", "mc2.root", *WAY, "--truth", "mc3.root", "--skip-bad"
    )  # fmt: skip
    assert code == 2
    assert "--truth mc3.root: rows run along" in err


def test_a_pattern_that_matches_nothing_is_no_file_that_went_bad(run):
    code, _, err = run("convert", "mc1.root,none*.root", *WAY, "--skip-bad")
    assert code == 2
    assert "the pattern matches no file" in err
