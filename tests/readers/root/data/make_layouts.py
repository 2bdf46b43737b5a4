"""How the ROOT files in this folder were made: ``python make_layouts.py``, with ROOT 6.40.

Real ROOT lays baskets out as uproot's writer never does: their sizes differ from branch to branch,
clusters end in between, and the last baskets can be inside the tree's own record.
"""

from array import array

import numpy as np
import ROOT

ENTRIES = 700
CODECS = {"zlib": "kZLIB", "lz4": "kLZ4", "zstd": "kZSTD", "lzma": "kLZMA"}
LEAVES = {
    "f": ("f", "F"), "d": ("d", "D"), "i": ("i", "I"), "u": ("I", "i"), "s": ("h", "S"),
    "t": ("H", "s"), "c": ("b", "B"), "h": ("B", "b"), "l": ("q", "L"), "m": ("Q", "l"),
}  # fmt: skip


def fill(path: str, codec: str, *, embedded: bool = False) -> None:
    file = ROOT.TFile(path, "RECREATE")
    file.SetCompressionAlgorithm(getattr(ROOT.RCompressionSetting.EAlgorithm, codec))
    file.SetCompressionLevel(5)
    tree = ROOT.TTree("events", "events")
    tree.SetAutoFlush(0 if embedded else 300)
    values = {name: array(code, [0]) for name, (code, _) in LEAVES.items()}
    values["x"], values["b"] = array("f", [0] * 3), array("B", [0])
    values["y"], values["e"] = array("d", [0] * 4), array("d", [0])
    for number, (name, (_, leaf)) in enumerate(LEAVES.items()):
        tree.Branch(name, values[name], f"{name}/{leaf}", 300 + 130 * number)
    tree.Branch("x", values["x"], "x[3]/F", 900)
    tree.Branch("y", values["y"], "y[2][2]/D", 1700)
    tree.Branch("b", values["b"], "b/O", 200)
    tree.Branch("e", values["e"], "e/d[0,100,12]", 400)  # Double32_t in 12 bits
    random = ROOT.TRandom3(4)
    for event in range(ENTRIES):
        for name, (code, _) in LEAVES.items():
            low = 0 if code in "IHBQ" else -100
            real = code in "fd"
            values[name][0] = random.Gaus() if real else low + int(random.Integer(100 - low))
        values["m"][0] = event
        values["b"][0] = event % 3 == 0
        values["e"][0] = random.Uniform(100)
        for name in "xy":
            for index in range(len(values[name])):
                values[name][index] = round(random.Gaus(), 2)
        tree.Fill()
    if embedded:
        file.WriteTObject(tree)  # as it stands in memory
    else:
        tree.Write()
    file.Close()


def fill_ntuple(path: str) -> None:
    """Every encoding of whole numbers and reals: split bytes, zigzag, bits; with checksums."""
    random = np.random.default_rng(4)
    columns = {"f4": random.normal(size=150).astype("f4"), "f8": random.normal(size=150)}
    for kind in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"):
        low, high = np.iinfo(kind).min, np.iinfo(kind).max
        columns[kind] = random.integers(low, high, 150, dtype=kind, endpoint=True)
    columns["b"] = random.random(150) < 0.3
    options = ROOT.RDF.RSnapshotOptions()
    options.fCompressionAlgorithm = ROOT.RCompressionSetting.EAlgorithm.kZSTD
    options.fOutputFormat = ROOT.RDF.ESnapshotOutputFormat.kRNTuple
    ROOT.RDF.FromNumpy(columns).Snapshot("events", path, list(columns), options)


if __name__ == "__main__":
    fill_ntuple("ntuple.root")
    for name, codec in CODECS.items():
        fill(f"root_{name}.root", codec)
    fill("root_embedded.root", "kZLIB", embedded=True)
