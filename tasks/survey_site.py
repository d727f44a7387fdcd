"""Before the first round a site says what it has: counts and the version of its data, nothing else."""

import json
from typing import Any

from mtmed.data import store
from mtmed.types import SPLITS
from tasks.jobs import Job
from tasks.site import Place


def survey_site(place: Place, job: Job) -> dict[str, Any]:
    """{site, digest, studies: {split: n}, labelled: {head: n of training}, modalities, quarantined}."""
    studies = store.read(place.data, None)
    train = [s for s in studies if s.split == "train"]
    heads = {h: sum(bool(s.labelled[h].any()) for s in train if h in s.labelled) for h in job.parsed().heads}
    return {
        "site": place.site,
        "digest": place.digest(),
        "studies": {split: sum(s.split == split for s in studies) for split in SPLITS},
        "labelled": heads,
        "modalities": sorted({s.modality for s in studies}),
        "quarantined": sum(json.loads((place.data / "summary.json").read_text())["quarantined"].values()),
    }
