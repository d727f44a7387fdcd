"""What is particular to a modality: densities and sides of breasts, lungs and views of chests, frames of ultrasound."""

import csv
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mtmed.data import pixels
from mtmed.phantoms import _write
from mtmed.phantoms._exam import Exam
from mtmed.phantoms._shapes import dots, fill, fractal, place, strokes
from mtmed.phantoms.chest_xray import PHANTOM as CHEST
from mtmed.phantoms.mammography import DENSITIES
from mtmed.phantoms.mammography import PHANTOM as MAMMOGRAM
from mtmed.phantoms.ultrasound import CURVED, LINEAR
from mtmed.phantoms.ultrasound import PHANTOM as ULTRASOUND
from mtmed.specs import PhantomSpec


def rows(folder):
    with (folder / "manifest.csv").open() as file:
        return list(csv.DictReader(file))


def exam(modality, view, finding="normal", seed=0, device=0, side="L", **attributes):
    return Exam("x", "p", (seed, 0, 0), finding, view, side, modality.devices[device], 1.0, attributes)


def drawn(modality, exam, size=96):
    return modality.draw(np.random.default_rng(exam.seeds), exam, size)


def test_densities_are_as_frequent_as_in_screening():
    spec = PhantomSpec(modality="mammography", patients=5, seed=5)
    found = Counter(_write._exams(spec, MAMMOGRAM, patient)[0].attributes["density"] for patient in range(2000))
    for density, frequency in DENSITIES.items():
        assert found[density] / 2000 == pytest.approx(frequency, abs=0.03)


def test_a_denser_breast_is_brighter():
    def brightness(density):
        images = [drawn(MAMMOGRAM, exam(MAMMOGRAM, "CC", seed=s, device=1, density=density)).image for s in range(6)]
        return np.mean([image[image > 0.1].mean() for image in images])

    levels = [brightness(density) for density in "abcd"]
    assert levels == sorted(levels)
    assert levels[-1] > 1.3 * levels[0]


@pytest.mark.parametrize("view", ["CC", "MLO"])
def test_a_right_breast_is_a_mirrored_left_one(view):
    left = drawn(MAMMOGRAM, exam(MAMMOGRAM, view, "malignant", 3, device=1, density="b"))
    right = drawn(MAMMOGRAM, exam(MAMMOGRAM, view, "malignant", 3, device=1, side="R", density="b"))
    np.testing.assert_array_equal(left.image, right.image[:, ::-1])
    assert len(left.lesions) == len(right.lesions)
    for a, b in zip(left.lesions, right.lesions, strict=True):
        np.testing.assert_array_equal(a.mask, b.mask[:, ::-1])
    assert left.image[:, :8].mean() > 3 * left.image[:, -8:].mean()


def test_the_muscle_is_seen_from_the_side():
    def corner(view):
        images = (drawn(MAMMOGRAM, exam(MAMMOGRAM, view, seed=s, device=1, density="a")).image for s in range(8))
        return np.mean([image[:20, :14].mean() for image in images])

    assert corner("MLO") > corner("CC") + 0.2


def test_calcifications_are_a_finding_of_their_own(hospital):
    folder = hospital(modality="mammography", patients=40, size=96, prevalence=1.0)
    found = Counter()
    for row in rows(folder):
        calcified = (np.asarray(Image.open(folder / row["calcification_mask"])) > 0).any()
        assert calcified or "calcification" not in row["lesion_boxes"]  # a mass with some is boxed as a mass
        found[row["label"], calcified] += 1
    assert {label for label, calcified in found if calcified} == {"benign", "malignant"}
    assert found["malignant", False] > 0


def test_lungs_are_drawn_where_asked_and_cover_opacities(hospital):
    folder = hospital(modality="chest_xray", patients=12, size=96, prevalence=1.0, lungs=True)
    for row in rows(folder):
        lungs, lesions = (np.asarray(Image.open(folder / row[c])) > 0 for c in ("lung_mask", "lesion_mask"))
        assert (lesions <= lungs).all()
        assert 0.1 < lungs.mean() < 0.5
        assert pixels.read(folder / row["image"]).image[lungs & ~lesions].mean() < 0.6
    assert {row["lung_mask"] for row in rows(hospital(modality="chest_xray"))} == {""}


def test_in_bed_lungs_are_smaller():
    def share(view):
        return np.mean([drawn(CHEST, exam(CHEST, view, seed=s)).masks["lung"].mean() for s in range(6)])

    assert share("AP") < 0.85 * share("PA")


def test_opacities_brighten_the_lung():
    healthy = [drawn(CHEST, exam(CHEST, "PA", seed=s)) for s in range(12)]
    ill = [drawn(CHEST, exam(CHEST, "PA", "pneumonia", seed=s)) for s in range(12)]
    inside = [i.image[m].mean() for i in ill if (m := i.lesions[0].mask).sum() > 20]
    assert np.mean(inside) > np.mean([d.image[d.masks["lung"]].mean() for d in healthy]) + 0.08


@pytest.mark.parametrize(("device", "black"), [(LINEAR, False), (CURVED, True)])
def test_the_probes_field_is_its_frame(device, black):
    seen = drawn(ULTRASOUND, replace(exam(ULTRASOUND, "RADIAL"), device=device), 128).image
    assert (seen[:32, :8].max() == 0) == black
    assert seen[:32, 56:72].mean() > 0.3


def test_speckle_is_wider_than_deep():
    seen = drawn(ULTRASOUND, exam(ULTRASOUND, "RADIAL"), 256).image[30:180, 20:-40]
    grain = seen - np.median(seen)
    along, across = ((grain * np.roll(grain, 2, axis)).mean() for axis in (0, 1))
    assert across > along


def test_masks_of_ultrasound_are_darker_than_their_surroundings():
    darker = 0
    for seed in range(12):
        d = drawn(ULTRASOUND, exam(ULTRASOUND, "RADIAL", "malignant", seed), 128)
        around = np.zeros((128, 128), bool)
        rows, columns = np.nonzero(d.lesions[0].mask)
        around[rows.min() : rows.max() + 1, max(0, columns.min() - 6) : columns.max() + 7] = True
        darker += d.image[d.lesions[0].mask].mean() < d.image[around & ~d.lesions[0].mask].mean()
    assert darker >= 11


@pytest.mark.parametrize(("modality", "view"), [(MAMMOGRAM, "CC"), (CHEST, "PA"), (ULTRASOUND, "RADIAL")])
def test_lesions_of_less_contrast_change_the_picture_less(modality, view):
    finding = next(iter(modality.findings))
    whole = exam(modality, view, finding, 2, density="b")
    faint, half, full = (drawn(modality, replace(whole, contrast=c)) for c in (0.01, 0.5, 1.0))
    for a, b in zip(half.lesions, full.lesions, strict=True):
        np.testing.assert_array_equal(a.mask, b.mask)
    change = [np.abs(d.image - faint.image)[d.lesions[0].mask].mean() for d in (half, full)]
    assert 0.02 < 1.2 * change[0] < change[1]


def test_more_pixels_do_not_change_what_is_drawn():
    for modality, view in ((MAMMOGRAM, "MLO"), (CHEST, "AP"), (ULTRASOUND, "RADIAL")):
        small, large = (drawn(modality, exam(modality, view, seed=1, density="b"), size).image for size in (64, 192))
        shrunk = large.reshape(64, 3, 64, 3).mean((1, 3))
        assert np.corrcoef(small.ravel(), shrunk.ravel())[0, 1] > 0.9 - 0.25 * (modality is ULTRASOUND)


def test_shapes_are_where_they_are_said_to_be():
    square = np.array([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]])
    assert fill(64, [square]).mean() == pytest.approx(0.25, abs=0.02)
    spot = dots(64, np.array([[0.5, 0.25]]), 0.03, np.array([0.7]))
    assert np.unravel_index(spot.argmax(), spot.shape)[0] in (15, 16)
    assert spot.max() == pytest.approx(0.7, abs=0.1)
    level = strokes(64, [np.array([[0.0, 0.5], [1.0, 0.5]])], 0.02)
    assert level[31:33, 20:44].mean() == pytest.approx(0.95, abs=0.1)
    assert level[:20].max() < 1e-3


def test_noise_is_standard_and_does_not_move_its_parent():
    rng = np.random.default_rng(0)
    noise = fractal(rng, 64, 2.5)
    assert (abs(noise.mean()) < 1e-5, noise.std()) == (True, pytest.approx(1, abs=1e-3))
    assert rng.random() == np.random.default_rng(0).random()
    assert not np.array_equal(noise, fractal(rng, 64, 2.5))


def test_a_place_is_where_it_is_likely():
    likely = np.zeros((32, 32))
    likely[5, 9] = 1
    assert place(np.random.default_rng(0), likely) == (9.5 / 32, 5.5 / 32)
    assert place(np.random.default_rng(0), 0 * likely) == (16.5 / 32, 16.5 / 32)
