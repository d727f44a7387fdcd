"""Before the first round a site says what it has: counts and the version of its data, nothing else."""

import json
from typing import Any

from mtmed.data import store
from mtmed.training.local import labels
from mtmed.types import SPLITS
from tasks import brought
from tasks.jobs import Job
from tasks.site import Place


def survey_site(place: Place, job: Job) -> dict[str, Any]:
    """{site, digest, studies: {split: n}, labelled: {head: n of training}, modalities, quarantined}.

    And `start`, the hash of the model that it brings, if it does.

    Raises:
        UserError: what it brings does not fit.
    """
    brought.expect_fitting(place, job.parsed())
    studies = store.read(place.data, None)
    train = [s for s in studies if s.split == "train"]
    return {
        "site": place.site,
        "digest": place.digest(),
        "studies": {split: sum(s.split == split for s in studies) for split in SPLITS},
        "labelled": labels(train, job.parsed().heads),
        "modalities": sorted({s.modality for s in studies}),
        "quarantined": sum(json.loads((place.data / "summary.json").read_text())["quarantined"].values()),
        **brought.origin(place),
    }
