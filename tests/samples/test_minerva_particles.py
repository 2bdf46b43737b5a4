"""What particles in the toy of MINERvA obey: conservation, ranges, no energy for nothing."""

from __future__ import annotations

import numpy as np
import pytest

from hepdann.samples.minerva import Conditions, geometry
from hepdann.samples.minerva.hadrons import decayed, draw_hadrons, interacted
from hepdann.samples.minerva.kinematics import (
    CHARGED_PION,
    MASSES,
    MUON_KIND,
    NEUTRAL_PION,
    NUCLEON,
    PROTON,
    draw_kinematics,
    draw_vertices,
    energy_after,
    isotropic,
    range_of,
    turned,
)

N = 2000


@pytest.fixture(scope="module")
def kinematics():
    generator = np.random.default_rng(1)
    detector = geometry()
    vertices = draw_vertices(detector, N, generator)
    return draw_kinematics(detector, vertices, Conditions(), generator)


@pytest.fixture(scope="module")
def hadrons(kinematics):
    return draw_hadrons(kinematics, np.ones(N, dtype=bool), np.random.default_rng(2))


def sums(particles):
    """Energy (MeV) and momentum of all particles of each event."""
    mass = MASSES[particles.kind]
    energy = particles.kinetic + mass
    momentum = np.sqrt(np.maximum(energy**2 - mass**2, 0))[:, None] * particles.direction
    total = [
        np.bincount(particles.event, weights=values, minlength=N)
        for values in (energy, *momentum.T)
    ]
    return total[0], np.stack(total[1:], axis=1)


def test_hadrons_at_the_nucleon_conserve_energy_and_momentum(kinematics, hadrons):
    """But for two nucleons that share, which is a picture of its own."""
    energy, momentum = sums(hadrons)
    count = np.bincount(hadrons.event, minlength=N)
    ordinary = (kinematics.process > 0) | (count == 1)
    wanted = 1e3 * (kinematics.transfer + NUCLEON)
    np.testing.assert_allclose(energy[ordinary], wanted[ordinary], rtol=2e-3)
    np.testing.assert_allclose(
        momentum[ordinary], 1e3 * kinematics.momentum[ordinary], atol=1.0, rtol=1e-3
    )


def test_multiplicity_grows_with_the_mass_of_the_hadrons(kinematics, hadrons):
    pions = np.bincount(hadrons.event[hadrons.kind >= CHARGED_PION], minlength=N)
    means = [pions[(low < kinematics.W) & (high > kinematics.W)].mean()
             for low, high in ((1.5, 2), (2, 3), (3, 10))]  # fmt: skip
    assert means[0] < means[1] < means[2]
    assert pions[kinematics.process == 0].max() == 0


def test_a_neutral_pion_becomes_two_photons_of_its_energy_and_momentum(hadrons):
    pions = hadrons[hadrons.kind == NEUTRAL_PION]
    photons = decayed(pions, np.random.default_rng(3))
    assert len(photons) == 2 * len(pions)
    for one, other in zip(sums(photons), sums(pions), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("a", [12, 56, 207])
def test_the_nucleus_makes_no_energy_and_a_heavy_one_takes_more_pions(hadrons, a):
    numbers = np.full(N, a)
    left = interacted(hadrons, numbers, np.random.default_rng(4))

    def spent(particles):
        pion = particles.kind >= CHARGED_PION  # whose mass is energy, too
        energy = particles.kinetic + np.where(pion, MASSES[CHARGED_PION], 0)
        return np.bincount(particles.event, weights=energy, minlength=N)

    assert (spent(left) <= spent(hadrons) + 5).all()  # pions differ by 5 MeV in mass
    pions = [np.sum(some.kind >= CHARGED_PION) for some in (hadrons, left)]
    expected = 0.30 * (1 - {12: 0.67, 56: 0.45, 207: 0.32}[a])
    assert 1 - pions[1] / pions[0] == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(("kinetic", "water"), [(50.0, 2.227), (100.0, 7.718), (300.0, 51.45)])
def test_protons_get_about_as_far_as_in_water(kinetic, water):
    """NIST's PSTAR, g/cm²; plastic stops them 2 % later."""
    kinds = np.array([PROTON])
    found = range_of(kinds, np.array([kinetic]))
    assert found[0] == pytest.approx(1.02 * water, rel=0.03)
    np.testing.assert_allclose(energy_after(kinds, found), kinetic, rtol=1e-3)


def test_a_minimum_ionising_muon_loses_what_the_particle_data_group_says():
    kinetic = np.linspace(150, 400, 251)
    loss = np.diff(kinetic) / np.diff(range_of(np.full(251, MUON_KIND), kinetic))
    assert loss.min() == pytest.approx(1.936, rel=0.01)


def test_a_faster_particle_of_a_kind_goes_farther():
    kinetic = np.geomspace(1, 1e4, 200)
    for kind in (PROTON, CHARGED_PION, MUON_KIND):
        assert (np.diff(range_of(np.full(200, kind), kinetic)) > 0).all()


def test_turning_keeps_the_angle_and_isotropic_is():
    generator = np.random.default_rng(5)
    axis, cosine = isotropic(5000, generator), generator.uniform(-1, 1, 5000)
    there = turned(axis, cosine, generator.uniform(0, 2 * np.pi, 5000))
    np.testing.assert_allclose(np.sum(axis * there, axis=1), cosine, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(there, axis=1), 1, atol=1e-9)
    assert np.abs(axis.mean(axis=0)).max() < 4 / np.sqrt(3 * 5000)
