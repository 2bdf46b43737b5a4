"""What `hepdann simulate bjets` knows of the ALEPH sample: four kinds of jet.

Written by benchmarks/fit_bjets.py from 33,968 simulated ALEPH jets; no jet of theirs is in here.
Each kind has, per column, the share of the events in a spike at the lower end, the quantiles of the
rest at the standard normal scores `SCORES`, and the Gaussian copula that ties the columns together.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """Jets of one flavour, with or without a lepton.

    Attributes:
        isb: 1 for b jets.
        lepton: whether a lepton was found in the jet.
        share: fraction of the jets of this flavour.
        spike: per column, the share of this kind that sits exactly in its spike.
        quantiles: per column, the quantiles of the others at ``SCORES``, in ``UNITS``; none where
            all sit in the spike.
        correlation: lower triangle of the copula's correlation matrix, row by row, no diagonal.
    """

    isb: int
    lepton: bool
    share: float
    spike: tuple[float, ...]
    quantiles: tuple[tuple[int, ...], ...]
    correlation: tuple[tuple[float, ...], ...]


COLUMNS = ("prob_b", "spheri", "pt2rel", "multip", "bqvjet", "ptlrel", "energy")
UNITS = {
    "prob_b": 0.0001,
    "spheri": 0.0001,
    "pt2rel": 0.0001,
    "multip": 0.0001,
    "bqvjet": 0.0001,
    "ptlrel": 0.0001,
    "energy": 0.01,
}
SPIKES = {"prob_b": 0.0, "spheri": -1.0, "multip": 0.0, "bqvjet": -0.02, "ptlrel": -0.0003}
SCORES = (-4.2, -3.0, -2.0, -1.2, -0.6, 0.0, 0.6, 1.2, 2.0, 3.0, 4.2)
# fmt: off
KINDS = (
    Kind(
        isb=0, lepton=False, share=0.9022,
        spike=(0.0115, 0.0012, 0.0, 0.0013, 0.0084, 1.0, 0.0),
        quantiles=(
            (1, 1, 9, 45, 116, 251, 475, 836, 1669, 3897, 6430),
            (36, 148, 539, 1195, 1973, 3094, 4495, 5932, 7401, 8625, 9324),
            (0, 23, 93, 178, 277, 439, 747, 1241, 2224, 4102, 6546),
            (393, 436, 955, 1786, 2590, 3375, 4129, 5103, 6485, 8468, 9833),
            (-35, -1, 37, 112, 228, 447, 829, 1362, 2231, 3998, 6168),
            (),
            (1227, 2457, 3349, 3940, 4319, 4586, 4823, 5113, 5660, 7058, 8575),
        ),
        correlation=(
            (0.066,),
            (0.0, -0.02),
            (0.065, 0.196, 0.455),
            (0.266, 0.07, 0.032, 0.253),
            (0.0, 0.0, 0.0, 0.0, 0.0),
            (-0.006, -0.008, 0.27, 0.087, 0.026, 0.0),
        ),
    ),
    Kind(
        isb=0, lepton=True, share=0.0978,
        spike=(0.007, 0.0, 0.0, 0.0, 0.0089, 0.0, 0.0),
        quantiles=(
            (1, 1, 11, 54, 143, 308, 605, 1083, 2042, 3640, 4684),
            (136, 270, 707, 1430, 2282, 3431, 4762, 6182, 7584, 8656, 9120),
            (19, 39, 97, 173, 269, 420, 689, 1180, 2095, 3257, 3745),
            (420, 475, 1369, 2196, 2877, 3545, 4387, 5262, 6504, 7931, 9386),
            (-14, 11, 54, 147, 304, 598, 994, 1524, 2554, 4217, 5027),
            (36, 56, 230, 535, 931, 1444, 2093, 3175, 5555, 10707, 11958),
            (1827, 2079, 2958, 3654, 4134, 4468, 4748, 5060, 5713, 6851, 7772),
        ),
        correlation=(
            (0.032,),
            (-0.024, -0.115),
            (0.037, 0.124, 0.435),
            (0.337, 0.072, -0.016, 0.141),
            (0.066, 0.013, 0.434, 0.111, 0.024),
            (-0.125, -0.038, 0.294, 0.142, -0.085, -0.042),
        ),
    ),
    Kind(
        isb=1, lepton=False, share=0.6826,
        spike=(0.0034, 0.0, 0.0, 0.0, 0.0061, 1.0, 0.0),
        quantiles=(
            (1, 9, 97, 386, 930, 1866, 3234, 5002, 7435, 11560, 13149),
            (169, 465, 1228, 2287, 3360, 4601, 5825, 6924, 8003, 8971, 9444),
            (13, 62, 166, 263, 369, 515, 738, 1093, 1806, 3176, 4826),
            (836, 900, 1778, 2639, 3442, 4118, 5031, 6019, 7371, 9303, 10061),
            (3, 37, 173, 572, 1285, 2249, 3627, 5266, 7627, 10382, 12577),
            (),
            (1283, 1847, 2878, 3747, 4188, 4501, 4760, 5047, 5533, 6390, 10984),
        ),
        correlation=(
            (0.059,),
            (-0.064, -0.097),
            (0.034, 0.13, 0.234),
            (0.808, 0.087, -0.088, 0.103),
            (0.0, 0.0, 0.0, 0.0, 0.0),
            (0.078, 0.043, 0.351, 0.134, 0.101, 0.0),
        ),
    ),
    Kind(
        isb=1, lepton=True, share=0.3174,
        spike=(0.0041, 0.0, 0.0, 0.0, 0.0053, 0.0, 0.0),
        quantiles=(
            (1, 3, 88, 435, 1044, 1937, 3108, 4540, 7099, 10999, 14447),
            (347, 472, 1111, 2028, 3063, 4330, 5615, 6752, 7848, 8566, 8950),
            (29, 58, 144, 248, 353, 503, 703, 1065, 1852, 3330, 4870),
            (811, 908, 1690, 2302, 3055, 3696, 4564, 5485, 6894, 8594, 9506),
            (1, 25, 184, 663, 1312, 2212, 3319, 4665, 6695, 9594, 11191),
            (35, 106, 362, 899, 1591, 2591, 3770, 5119, 7509, 10731, 13909),
            (1418, 1547, 2291, 3056, 3572, 4030, 4408, 4710, 5184, 6100, 8648),
        ),
        correlation=(
            (0.042,),
            (-0.007, -0.066),
            (-0.046, 0.189, 0.227),
            (0.765, 0.058, -0.059, 0.014),
            (0.014, -0.132, 0.465, -0.176, -0.057),
            (0.045, 0.076, 0.331, 0.241, 0.099, -0.128),
        ),
    ),
)
# fmt: on
