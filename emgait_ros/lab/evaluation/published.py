"""The published protocols: which sequences of a data set are gallery and probes, and what is reported over which of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emgait_ros.lab.datasets.recorded import RecordedSet
from emgait_ros.lab.datasets.sequences import SequenceSource
from emgait_ros.lab.evaluation.protocols import Comparison, Figure, Labels
from emgait_ros.samples import Bool, Float32

COVARIATES = {  # SUSTech1K: what a sequence's name contains
    "normal": ("01-nm",), "bag": ("bg",), "clothing": ("cl",), "carrying": ("cr",), "umbrella": ("ub",),
    "uniform": ("uf",), "occlusion": ("oc",), "night": ("nt",), "overall": ("01", "02", "03", "04"),
}  # fmt: skip
LRGAIT_CONDITIONS = {"nm": "normal", "bg": "bag", "cl": "clothing", "oc": "occlusion"}
VERIFIED_M = 30.0  # probes up to here are asked in the open-set figure, where ranges are known
Roles = tuple[Bool, Bool, dict[str, Bool]]


@dataclass(frozen=True)
class Protocol:
    """How a data set is scored.

    Attributes:
        name: of the data set.
        description: one line for the reader of the figures.
        roles: from a data set to probes (S,), gallery (S,) and the groups of probes (S,) that are reported, "overall" first.
        ranks: Rank-k of these k.
        cross_view: identical views do not count.
    """

    name: str
    description: str
    roles: Callable[[SequenceSource], Roles]
    ranks: tuple[int, ...] = (1, 5)
    cross_view: bool = True


def simulated_roles(source: SequenceSource) -> Roles:
    """Gallery: walk 0. Overall: D-20 to D-50. Groups "D20", "N30", "clothing", "view 045", ..."""
    labels, probe = Labels.of(source), source.walk != 0
    step = np.round(labels.range_m / 10).astype(int) * 10
    overall = probe & (labels.condition == "normal") & (step >= 20)
    groups = {"overall": overall}
    for condition, letter in (("normal", "D"), ("night", "N")):
        here = probe & (labels.condition == condition)
        groups |= {f"{letter}{value}": here & (step == value) for value in np.unique(step[here])}
    for condition in np.unique(labels.condition[probe & ~np.isin(labels.condition, ("normal", "night"))]):
        groups[str(condition)] = probe & (labels.condition == condition)
    groups |= {f"view {name}": overall & (labels.view == name) for name in np.unique(labels.view[overall])}
    return probe, source.walk == 0, groups


def sustech1k_roles(source: SequenceSource) -> Roles:
    """Gallery: 00-nm. Probes by covariate: a sequence counts under every covariate its name contains."""
    kinds = source.condition.astype(str)
    gallery = np.char.find(kinds, "00-nm") >= 0

    def having(words: Iterable[str]) -> Bool:
        return np.asarray(np.any([np.char.find(kinds, word) >= 0 for word in words], axis=0))

    groups = {name: having(words) for name, words in COVARIATES.items()}
    groups = {"overall": groups.pop("overall"), **groups}
    view = Labels.of(source).view
    groups |= {f"view {name}": groups["overall"] & (view == name) for name in np.unique(view)}
    return np.asarray(np.any(list(groups.values()), axis=0) & ~gallery), gallery, groups


def lrgait_roles(source: SequenceSource) -> Roles:
    """Gallery: D-10, normal, number 00. Overall: D-20 to D-50, whatever the condition. Groups as the simulated set's."""
    place, kind = np.char.partition(source.condition.astype(str), "/")[:, [0, 2]].T
    condition = np.array([LRGAIT_CONDITIONS[name[:2]] for name in kind])
    gallery = (place == "D-10") & (kind == "nm-00")
    day = np.char.startswith(place, "D") & (place != "D-10")
    groups = {"overall": day}
    groups |= {str(name).replace("-", ""): (place == name) & ~gallery for name in np.unique(place) if name != "D-10"}
    groups |= {str(name): day & (condition == name) for name in np.unique(condition[day])}
    view = Labels.of(source).view
    groups |= {f"view {name}": day & (view == name) for name in np.unique(view)}
    return ~gallery, gallery, groups


def lreid_roles(source: SequenceSource) -> Roles:
    """Probes: those of the comparison the set was opened for (``datasets.lreid.LReid``); the gallery is everything else."""
    probe: Bool = np.asarray(getattr(source, "is_probe", np.zeros(len(source), bool)))
    return probe, ~probe, {"overall": probe}


def mmgait_roles(source: SequenceSource) -> Roles:
    """Gallery: NM-01. Probes: NM-02, BG-01 and CL-01; the paper has a column for each and none for all."""
    kinds = source.condition.astype(str)
    groups = {name: kinds == kind for name, kind in (("normal", "NM-02"), ("bag", "BG-01"), ("clothing", "CL-01"))}
    overall: Bool = np.any(list(groups.values()), axis=0)
    return overall, kinds == "NM-01", {"overall": overall, **groups}


def freegait_roles(probes: set[str] | None) -> Callable[[SequenceSource], Roles]:
    """Probes: those of the partition's PROBE_SET, "identity-device-sequence"; the gallery is everything else.

    Without a partition the first sequence of every person is the gallery, which is not the published protocol.
    """

    def roles(source: SequenceSource) -> Roles:
        if probes is None:
            first = np.unique(source.identity, return_index=True)[1]
            gallery = np.isin(np.arange(len(source)), first)
        else:
            names = source.names[source.identity] if isinstance(source, RecordedSet) else source.identity.astype(str)
            called = [f"{name}-{kind}" for name, kind in zip(names, source.condition, strict=True)]
            gallery = ~np.isin(called, sorted(probes))
        return ~gallery, gallery, {"overall": ~gallery}

    return roles


def protocol_of(name: str, probes: set[str] | None = None) -> Protocol:
    """The protocol of "sim", "sustech1k", "freegait", "lrgait", "mmgait" or "lreid"; ``probes``: FreeGait's PROBE_SET."""
    if name == "sim":
        text = "Simulated people in LRGait's layout: gallery one walk at 10 m, probes another walk, identical views left out"
        return Protocol("simulated people", text, simulated_roles)
    if name == "sustech1k":
        text = "SUSTech1K: gallery 00-nm, probes by covariate, identical views left out"
        return Protocol("SUSTech1K", text, sustech1k_roles, (1, 2, 3, 4, 5))
    if name == "lrgait":
        text = "LRGait: gallery D-10, cross-distance and cross-view, identical views left out"
        return Protocol("LRGait", text, lrgait_roles)
    if name == "mmgait":
        return Protocol("MMGait", "MMGait: gallery NM-01, probes by condition, identical views left out", mmgait_roles)
    if name == "freegait":
        published = "the published PROBE_SET" if probes is not None else "no partition: NOT the published protocol"
        return Protocol(
            "FreeGait", f"FreeGait: {published}, every view counts", freegait_roles(probes), (1, 5, 10), False
        )
    if name == "lreid":
        text = "LReID: probes of one LiDAR, gallery of the others, 30 frames each, everything competes"
        return Protocol("LReID", text, lreid_roles, (1, 5, 10), False)
    raise ValueError(f"no protocol for '{name}': known are sim, sustech1k, freegait, lrgait, mmgait, lreid")


def simulated_protocol(table: str) -> Protocol:
    """The protocol of simulated people in the layout of "lrgait", "sustech1k" or "freegait" (``plans.TABLE_LAYOUTS``)."""
    if table == "lrgait":
        return protocol_of("sim")

    def roles(source: SequenceSource) -> Roles:
        probe, kind = source.walk != 0, source.condition
        groups = {"overall": probe} | (
            {str(k): probe & (kind == k) for k in np.unique(kind[probe])} if of_kinds else {}
        )
        return probe, ~probe, groups

    of_kinds = table == "sustech1k"
    text = f"Simulated people in {protocol_of(table).name}'s layout: gallery one walk, probes another"
    return Protocol(f"simulated people, as {protocol_of(table).name}", text, roles, cross_view=of_kinds)


@dataclass(frozen=True)
class Partition:
    """Who is trained on and who is tested, as published with a data set (JSON)."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    probes: tuple[str, ...] | None


def load_partition(path: str | Path) -> Partition:
    """Read TRAIN_SET, TEST_SET and, where there is one, PROBE_SET.

    Raises:
        FileNotFoundError, ValueError: no such file, or not a partition; the sentence names the file and the key.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: give the JSON file with TRAIN_SET and TEST_SET of the data set")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error})") from error
    for key in ("TRAIN_SET", "TEST_SET"):
        if not isinstance(values, dict) or not isinstance(values.get(key), list):
            raise ValueError(
                f"{path} has no list '{key}': expected TRAIN_SET and TEST_SET, as published with the data set"
            )
    probes = values.get("PROBE_SET")
    train, test = (tuple(str(v) for v in values[key]) for key in ("TRAIN_SET", "TEST_SET"))
    if set(train) & set(test):
        raise ValueError(f"{path}: {sorted(set(train) & set(test))[0]} is in TRAIN_SET and in TEST_SET")
    return Partition(train, test, None if probes is None else tuple(str(v) for v in probes))


@dataclass(frozen=True)
class Scored:
    """Comparisons of a data set by its protocol.

    Attributes:
        protocol: which.
        comparison: all probes against the gallery.
        groups: masks over the probes, "overall" first; groups without probes are left out.
    """

    protocol: Protocol
    comparison: Comparison
    groups: dict[str, Bool]

    @classmethod
    def of(cls, protocol: Protocol, source: SequenceSource, embedding: Float32, read: Bool | None = None) -> Scored:
        """Score embeddings (S, parts, d); ``read``: (S,) which sequences could be read."""
        probe, gallery, groups = protocol.roles(source)
        usable = np.ones(len(source), bool) if read is None else read
        probe, gallery = probe & usable, gallery & usable
        comparison = Comparison.of(embedding, Labels.of(source), probe, gallery, protocol.cross_view)
        found = {name: mask[probe] for name, mask in groups.items() if (mask & probe).any()}
        if "overall" not in found:
            raise ValueError(f"{protocol.name}: no sequence is a probe of the overall figure ({protocol.description})")
        return cls(protocol, comparison, found)

    @property
    def verified(self) -> Bool:
        """Probes of the open-set figure: by day and normal, as far as ``VERIFIED_M`` where ranges are known."""
        probes = self.comparison.probes
        if self.protocol.name != "simulated people":
            return self.groups["overall"]
        return np.asarray((probes.condition == "normal") & (np.round(probes.range_m / 10) * 10 <= VERIFIED_M))

    def figures(self) -> dict[str, Figure]:
        """The headline figures by their key, as in the JSON file."""
        comparison, overall = self.comparison, self.groups["overall"]
        found = {f"rank1_{name.replace(' ', '')}": comparison.rank(1, mask) for name, mask in self.groups.items()}
        for k in self.protocol.ranks[1:]:
            found[f"rank{k}_overall"] = comparison.rank(k, overall)
        found["mAP"], found["mINP"], found["rank1_overall_all_views_enrolled"] = comparison.pooled_figures(overall)
        verification = comparison.verification(overall)
        found["EER"] = verification.equal_error_rate()
        found["TAR_at_FAR_1pct"] = verification.true_accept_rate(0.01)
        found["DIR_at_FAR_1pct"] = comparison.open_set(self.verified)
        few = min(10, len(np.unique(comparison.gallery.identity)) // 2)
        found["DIR_at_FAR_1pct_10_enrolled"] = comparison.open_set(self.verified, enrolled=few)
        return found

    def by_group(self) -> dict[str, dict[str, Figure]]:
        """Every measure of every group: by range, view and condition. A measure that a group has no pairs for is left out."""
        table: dict[str, dict[str, Figure]] = {}
        for name, mask in self.groups.items():
            row = {f"rank{k}": self.comparison.rank(k, mask) for k in self.protocol.ranks}
            row["mAP"], row["mINP"], _ = self.comparison.pooled_figures(mask)
            try:
                verification = self.comparison.verification(mask)
                row["EER"] = verification.equal_error_rate()
                row["TAR_at_FAR_1pct"] = verification.true_accept_rate(0.01)
                row["DIR_at_FAR_1pct"] = self.comparison.open_set(mask)
            except ValueError:  # too few people in this group
                pass
            table[name] = row
        return table


def as_json(found: dict[str, Figure], counts: bool = False) -> dict[str, float | int | list[float]]:
    """Percent: each figure under its key, its interval under the key with ``_ci95``, its comparisons with ``_n``."""
    values: dict[str, float | int | list[float]] = {}
    for name, figure in found.items():
        values[name] = round(100 * figure.value, 2)
        values[f"{name}_ci95"] = [round(100 * figure.low, 2), round(100 * figure.high, 2)]
        if counts:
            values[f"{name}_n"] = figure.comparisons
    return values
