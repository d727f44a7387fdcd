"""The sections of params.yaml as frozen models, each with its defaults and bounds; mtmed.config is the whole."""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Spec(BaseModel):
    """A section of params.yaml: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _below(path: str, folder: str) -> bool:
    """Whether a relative path leads to something in a folder of the project."""
    parts = Path(path).parts
    return len(parts) > 1 and parts[0] == folder and ".." not in parts


class PhantomSpec(Spec):
    """A synthetic hospital: its patients, its scanner and the labels its readers left.

    Attributes:
        contrast: of lesions; at 0.6 they are as easily missed as in practice.
        device: the one scanner that it has; without it, those of the modality's phantom.
        lungs: whether readers draw the lungs.
        diameters: whether readers measure lesions.
    """

    modality: str
    patients: int = Field(ge=5)
    seed: int = 0
    prevalence: float = Field(default=0.5, ge=0, le=1)
    size: int = Field(default=192, ge=64, le=2048)
    bits_stored: int = Field(default=12, ge=8, le=16)
    photometric: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME2"
    window: bool = True
    noise: float = Field(default=0.02, ge=0, le=0.5)
    blur: float = Field(default=0.6, ge=0, le=4)
    contrast: float = Field(default=1, gt=0, le=1.5)
    device: str | None = None
    masks: bool = True
    lungs: bool = False
    boxes: bool = True
    classes: bool = True
    diameters: bool = True
    broken: int = Field(default=0, ge=0)


class ScannerSpec(Spec):
    """A simulated scanner, for a site that is a part of a data set (mtmed/data/scanner.py); defaults change nothing.

    Attributes:
        blur: sigma of a Gaussian, in thousandths of the image's longer side.
        noise: standard deviation of grain, of a brightness of 0..1.
        gamma: exponent of brightness; below 1 the image is brighter.
        contrast: slope of the film's curve at middle grey; above 1 it is S-shaped.
        bits: of the file; fewer than 8 show as steps.
    """

    blur: float = Field(default=0, ge=0, le=20)
    noise: float = Field(default=0, ge=0, le=0.3)
    gamma: float = Field(default=1, ge=0.3, le=3)
    contrast: float = Field(default=1, ge=0.3, le=3)
    bits: int = Field(default=16, ge=2, le=16)


class SiteSpec(Spec):
    """A site: the reader of its data set, where the raw studies lie, and the reader's own options.

    Attributes:
        part: a CSV below parts/ with the columns patient and site, as `mtmed partition` writes it: only the patients of
            this site.
        scanner: through which its images are seen.
        start: a file below weights/ with a model of the site's own, which its first round starts from.
    """

    dataset: str
    raw: str
    options: dict[str, Any] = {}
    part: str | None = None
    scanner: ScannerSpec | None = None
    start: str | None = None

    @field_validator("part")
    @classmethod
    def _watched(cls, part: str | None) -> str | None:
        if part is not None and not _below(part, "parts"):
            raise ValueError(f"expected a file below parts/, whose changes dvc.yaml watches; got {part}")
        return part

    @field_validator("start")
    @classmethod
    def _below_weights(cls, start: str | None) -> str | None:
        if start is not None and not _below(start, "weights"):
            raise ValueError(f"expected a file below weights/, whose changes dvc.yaml watches; got {start}")
        return start


class SplitSpec(Spec):
    """Patients fall into folds by a keyed hash, so that a patient has the same fold at every site."""

    folds: int = Field(default=5, ge=2)
    fold: int = Field(default=0, ge=0)
    validation: float = Field(default=0.1, ge=0, lt=0.5)
    seed: int = 0

    @model_validator(mode="after")
    def _fold_exists(self) -> "SplitSpec":
        if self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} of {self.folds}: folds are counted from 0 to {self.folds - 1}")
        return self


class ImageSpec(Spec):
    """Square images of `size` pixels, padded, never stretched."""

    size: int = Field(default=128, ge=32, le=1024, multiple_of=32)


class ModelSpec(Spec):
    """The shared encoder (any timm model with a feature pyramid, or a plain ViT) and the decoders' width.

    Attributes:
        pretrained: the encoder's first weights: `hub`, which are timm's own, or a file below weights/; without it, from
            scratch. A running federation knows them by what they are, `sha256:...` or `missing`, and not by where
            they lie (tasks/initial_model.py).
        pretrained_missing: what to do where there is no such file, or no network.
    """

    encoder: str = "mtmedformer_tiny"
    channels: int = Field(default=32, ge=8)
    pretrained: str | None = None
    pretrained_missing: Literal["error", "scratch"] = "error"

    @field_validator("pretrained")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        fixed = re.fullmatch("hub|missing|sha256:[0-9a-f]{64}", name or "hub")
        if name is not None and not fixed and not _below(name, "weights"):
            raise ValueError(f"expected hub, or a file below weights/, whose changes dvc.yaml watches; got {name}")
        return name


class TrainingSpec(Spec):
    """Local training: what one site does in one round.

    Attributes:
        epochs: passes over the site's training images.
        steps: batches instead of epochs, the same number at every site however many images it has.
        sampling: balanced: studies of rarely labelled heads are drawn more often; uniform: each once.
        average: the weights that leave are the mean of those after each step from this share of the round on
            (Izmailov et al. 2018); 1: those after the last.
        freeze_encoder: only the decoders learn: for pretrained weights that are good enough. With `federation.coding`
            the encoder takes no bytes then, because it is where it was.
        fisher_labels: drawn: of the Fisher information, labels are drawn from what the model says, so that it is the
            curvature of the model (the generalised Gauss-Newton matrix); given: the site's own, the empirical one.
            Boxes are always given.
    """

    epochs: int = Field(default=2, ge=1)
    steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_rounds: float = Field(default=1.0, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    fisher_images: int = Field(default=64, ge=1, le=64)
    fisher_micro_batch: int = Field(default=8, ge=1)
    fisher_labels: Literal["drawn", "given"] = "drawn"
    augment: bool = True
    sampling: Literal["uniform", "balanced"] = "balanced"
    average: float = Field(default=1.0, ge=0, le=1)
    freeze_encoder: bool = False


class GateSpec(Spec):
    """Which well-formed updates are refused, of three sites or more: times the median; 1e9 refuses none.

    Attributes:
        move: how far a site went from the global model.
        precision: what a site claims to know, per training image.
    """

    move: float = Field(default=5.0, gt=1)
    precision: float = Field(default=1000.0, gt=1)


class CodingSpec(Spec):
    """In how many bits models travel: 32 as they are; fewer as differences from what both ends have.

    Attributes:
        bits: of an element: 2 to 8, 16 or 32.
        precision_bits: of an element of a precision, where models do not travel as they are.
    """

    bits: int = Field(default=32, ge=2, le=32)
    precision_bits: int = Field(default=6, ge=2, le=8)

    @field_validator("bits")
    @classmethod
    def _possible(cls, bits: int) -> int:
        if bits not in (*range(2, 9), 16, 32):
            raise ValueError(f"expected 2 to 8, 16 or 32, got {bits}")
        return bits


class FederationSpec(Spec):
    """The round loop: strategy, length, and where the sites run."""

    seed: int = 0
    strategy: str = "bayes"
    rounds: int = Field(default=10, ge=1)
    dispatch: Literal["local", "deployments"] = "local"
    concurrency: int = Field(default=2, ge=1)
    exchange: str = ".mtmed/exchange"
    timeout_s: float = Field(default=3600, gt=0)
    gate: GateSpec = GateSpec()
    coding: CodingSpec = CodingSpec()


class EvaluationSpec(Spec):
    """What is measured on the test patients."""

    references: tuple[Literal["local", "pooled", "threshold", "ensemble"], ...] = ("local", "pooled", "threshold")
    replicates: int = Field(default=200, ge=0)
    overlays: bool = True


class TrackingSpec(Spec):
    """Where MLflow keeps runs and models."""

    uri: str = "sqlite:///mlflow.db"
    experiment: str = "mtmed"
    model: str = "mtmed"
