"""Files that are no ROOT files, truncated ones, damaged ones: one line that names the place."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import uproot
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hepdann.config import Config
from hepdann.errors import HepdannError, ReadError, SchemaError
from hepdann.readers import convert_files, read_blocks, scan
from hepdann.readers.root.opening import reading
from hepdann.readers.root.pages import check_cluster_size, check_envelopes

CONFIG = Config(convert={"label": "isb", "features": ["pt", "eta"]})


def run(path):
    output = path.with_suffix(".h5")
    convert_files([str(path)], output=output, config=CONFIG)


def test_a_file_that_is_none(tmp_path):
    for content, message in (
        (b"", "is empty"),
        (b"some text, longer than a header", "is not a ROOT file; name a ROOT file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(30), "cannot be opened .*; copy or download"),
        (b"root\x00\x00", "is truncated: it has 6 bytes"),
    ):
        path = tmp_path / "mc.root"
        path.write_bytes(content)
        with pytest.raises(ReadError, match=f"mc.root: {message}"):
            run(path)


def test_a_file_that_was_not_closed_may_lack_events(write, sample):
    path = write("mc.root", sample())
    content = bytearray(path.read_bytes())
    content[16:20] = bytes(4)  # ROOT fills in where the free space is listed as it closes the file
    path.write_bytes(content)
    with pytest.raises(ReadError, match=r"mc\.root: was not closed: it is still being written"):
        run(path)


@pytest.mark.parametrize("claimed", [-1, 2**60, 2**40, 300, 199])
def test_a_tree_that_claims_more_than_its_branches_hold(write, sample, claimed):
    path = write("mc.root", sample(), compression="none")
    content = path.read_bytes()
    at = content.find((200).to_bytes(8, "big"))  # first in the tree, then in each branch
    path.write_bytes(content[:at] + claimed.to_bytes(8, "big", signed=True) + content[at + 8 :])
    with pytest.raises(ReadError, match=f"events: the tree is damaged: it claims {claimed} "):
        run(path)


def test_a_value_that_no_detector_measures_is_pointed_at(write, sample):
    pt = np.ones(200, np.float32)
    pt[7] = 3e38
    path = write("mc.root", sample(pt=pt))
    summary = convert_files([str(path)], output=path.with_suffix(".h5"), config=CONFIG)
    assert any(note.startswith("pt: values reach from 1 to 3e+38") for note in summary.notes)


@pytest.mark.parametrize("kind", ["TTree", "RNTuple"])
def test_a_truncated_file_says_how_much_is_there(write, sample, kind):
    path = write("mc.root", sample(), kind=kind)
    whole = path.read_bytes()
    for size in (30, len(whole) // 3, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ReadError, match=f"it has {size} of {len(whole)} bytes"):
            run(path)


def test_no_such_tree_and_no_tree_at_all(write, sample, tmp_path):
    path = write("mc.root", sample())
    with pytest.raises(ReadError, match="no tree 'event'; did you mean 'events'"):
        scan(str(path), "event")
    with uproot.recreate(tmp_path / "hist.root") as file:
        file["h"] = np.histogram(np.arange(5))
    with pytest.raises(ReadError, match="holds no tree; it holds h"):
        scan(str(tmp_path / "hist.root"))


def test_a_damaged_basket_is_named_with_branch_and_entries(write, sample):
    eta = np.repeat(np.arange(20.0), 10)  # well compressed, so that zlib notices
    path = write("mc.root", sample(eta=eta), parts=2, compression="zlib")
    with uproot.open(path) as file:
        branch = file["events"]["eta"]
        start = int(branch.member("fBasketSeek")[1])
        length = int(branch.member("fBasketBytes")[1])
    content = bytearray(path.read_bytes())
    content[start + length - 40 : start + length] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(ReadError, match=r"mc.root:events/eta: entries 0-199 cannot be read"):
        run(path)
    assert not path.with_suffix(".h5").exists()
    first = next(read_blocks(scan(str(path))[0], ["pt", "eta"], 100))
    assert len(first) == 100  # the damage is in the second half


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(["TTree", "RNTuple"]),
    compression=st.sampled_from(["none", "zlib", "zstd"]),
    damage=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=5),
)
def test_any_damage_ends_in_an_error_of_ours_or_in_a_whole_file(
    write_root, sample, kind, compression, damage
):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mc.root"
        write_root(path, sample(), kind=kind, compression=compression, parts=2)
        content = bytearray(path.read_bytes())
        for place, value in damage:
            content[int(place * (len(content) - 1))] = value
        path.write_bytes(content)
        try:
            run(path)
        except HepdannError as error:
            assert "\n" not in str(error)  # noqa: PT017
            assert str(path.name) in str(error) or "label" in str(error)  # noqa: PT017
            assert [entry.name for entry in Path(folder).iterdir()] == ["mc.root"]


def claim_elements(path, elements):
    """Make the first page of an RNTuple claim to hold so many elements."""
    content = bytearray(path.read_bytes())
    with uproot.open(path) as file:
        ntuple = file["events"]
        link = ntuple.footer.cluster_group_records[0].page_list_link
        page = ntuple.page_link_list[0][0].pages[0]
    start = link.locator.offset
    stop = start + link.locator.num_bytes
    at = content.find(page.locator.offset.to_bytes(8, "little"), start, stop) - 8
    assert int.from_bytes(content[at : at + 4], "little") == page.num_elements
    content[at : at + 4] = elements.to_bytes(4, "little")
    digest = xxhash.xxh3_64_intdigest(bytes(content[start : stop - 8]))
    content[stop - 8 : stop] = digest.to_bytes(8, "little")
    path.write_bytes(content)


def test_a_page_of_an_rntuple_that_claims_more_than_a_file_can_hold(write, sample):
    path = write("mc.root", sample(), kind="RNTuple", compression="none")
    claim_elements(path, 2**31 - 1)
    claim = "a page of eta claims to unpack 1600 bytes to 17179869176"
    with pytest.raises(ReadError, match=rf"events: its pages cannot be listed .*{claim}"):
        run(path)


@pytest.mark.parametrize("name", ["header", "footer"])
def test_a_header_of_an_rntuple_that_claims_more_than_a_file_can_hold(name):
    sizes = {f"f{what}{part}": 100 for what in ("NBytes", "Len") for part in ("Header", "Footer")}
    check_envelopes(SimpleNamespace(member=sizes.get))
    sizes[f"fLen{name.title()}"] = 1 << 32
    with pytest.raises(ValueError, match=f"the {name} claims to unpack 100 bytes to 4294967296"):
        check_envelopes(SimpleNamespace(member=sizes.get))


def test_many_pages_of_an_rntuple_in_one_place_do_not_fill_the_memory():
    page = SimpleNamespace(num_elements=1 << 22, has_checksum=False,
                           locator=SimpleNamespace(offset=64, num_bytes=1 << 14))  # fmt: skip
    check_cluster_size({0: [page] * 64}, [SimpleNamespace(nbits=32)], "entries 0-9")
    with pytest.raises(ValueError, match="all pages in entries 0-9 claims to unpack 16384 bytes"):
        check_cluster_size({0: [page] * 65}, [SimpleNamespace(nbits=32)], "entries 0-9")


def test_a_field_that_rntuple_drops_in_silence_is_an_error(write, sample):
    """uproot leaves out a field that it does not know and says nothing."""
    path = write("mc.root", sample(), kind="RNTuple")
    (file,) = scan(str(path))
    branches = dict(file.branches)
    branches["ghost"] = branches["pt"]
    ghost = type(file)(file.path, file.tree, file.kind, file.entries, branches, file.trees)
    with pytest.raises(ReadError, match="entries 0-199 cannot be read"):
        list(read_blocks(ghost, ["pt", "ghost"], 100))


@pytest.mark.parametrize("name", ["mc.root", "list.txt", "images.h5"])
def test_a_pipe_is_refused_wherever_a_file_is_named(write, sample, tmp_path, name):
    good, pipe = (str(path) for path in (write("good.root", sample()), tmp_path / name))
    os.mkfifo(pipe)
    message, output = f"{name}: is a pipe, not a file; name a", tmp_path / "t.h5"
    with pytest.raises(ReadError, match=message):
        convert_files([pipe], output=output, config=CONFIG)
    with pytest.raises(ReadError, match=message):
        convert_files([good], [good], output=output, config=CONFIG, truth=pipe)
    with pytest.raises(SchemaError, match=message):
        convert_files([], [good], output=output, like=pipe)


# Baskets that are not what the tree says; ``write`` makes two of 100 entries for each branch.


def _number(value, size=8):
    return value.to_bytes(size, "big")


def _seeks(path, name):
    with uproot.open(path) as file:
        return [int(seek) for seek in file["events"][name].member("fBasketSeek")[:2]]


def _of_another_branch(content, path):
    for mine, other in zip(_seeks(path, "pt"), _seeks(path, "njets"), strict=True):
        content = content.replace(_number(mine), _number(other))
    return content


def _twice_the_same(content, path):
    first, second = _seeks(path, "pt")
    return content.replace(_number(second), _number(first))


def _moved(content, path):
    for seek in _seeks(path, "pt"):
        content = content.replace(_number(seek), _number(seek + 1))
    return content


def _outside(content, path):
    return content.replace(_number(_seeks(path, "pt")[1]), _number(1 << 50))


def _gigabytes(content, path):
    at = _seeks(path, "pt")[0] + 6
    return content[:at] + _number((1 << 31) - 1, 4) + content[at + 4 :]


@pytest.mark.parametrize("reader", ["fast", "uproot"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_of_another_branch, "pt: entries 0-199 cannot be read .*basket 0 is not where the tree"),
        (_moved, "pt: entries 0-199 cannot be read .*basket 0 is not where the tree"),
        (_twice_the_same, "pt: its baskets cannot be listed .*two baskets are in one place"),
        (_outside, "pt: its baskets cannot be listed .*a basket lies outside of the file"),
        (_gigabytes, "pt: entries 0-199 cannot be read .*claims to unpack 4.. bytes to 2147483647"),
    ],
)
def test_a_basket_that_is_not_what_the_tree_says(write, sample, reader, change, message):
    path = write("mc.root", sample(), parts=2, compression="none")
    path.write_bytes(change(path.read_bytes(), path))
    with pytest.raises(ReadError, match=f"mc.root:events/{message}"):
        convert_files([str(path)], output=path.with_suffix(".h5"), config=CONFIG, reader=reader)


@pytest.mark.parametrize("reader", ["fast", "uproot"])
def test_entries_that_no_file_of_this_size_holds(write, sample, reader):
    path = write("mc.root", sample(), compression="none")
    path.write_bytes(path.read_bytes().replace(_number(200), _number(1 << 40)))
    with pytest.raises(ReadError, match=r"it claims 1099511627776 entries, the file has \d+ bytes"):
        convert_files([str(path)], output=path.with_suffix(".h5"), config=CONFIG, reader=reader)


def test_a_branch_that_was_renamed_has_baskets_of_its_old_name(write, sample):
    path = write("mc.root", sample(), compression="none")
    with uproot.open(path) as file:
        begin = file.key("events").fSeekKey
    content = path.read_bytes()
    tree = content[begin:].replace(b"\x02pt", b"\x02PT")
    path.write_bytes(content[:begin] + tree)
    convert_files(
        [str(path)], output=path.with_suffix(".h5"), config=Config(convert={"label": "isb"})
    )
    with h5py.File(path.with_suffix(".h5")) as file:
        assert "PT" in file["mc/features"].attrs["names"]


def test_an_error_of_uproot_is_not_cut_in_a_word():
    long = (
        "Install fsspec-xrootd to access xrootd. Note: 'root' is the protocol name, " + 9 * "not "
    )
    with pytest.raises(ReadError) as caught, reading("root://host//a.root", "cannot be opened"):
        raise ImportError(long)
    assert caught.value.mend == 'pip install "hepdann[xrootd]"'
    assert str(caught.value).startswith(
        "root://host//a.root: cannot be opened: a package is not installed (ImportError: Install"
    )
    with pytest.raises(ReadError, match=r"\(ValueError: (word )+…\)"), reading("a", "no"):
        raise ValueError("word " * 100)
