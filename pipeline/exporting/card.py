"""The data card: ``README.md`` with the YAML header that Hugging Face reads, and examples.

A function of what is in the export and in the ledger. It holds no time of its own, so that the same
data make the same card.
"""

import html
import re
from collections.abc import Mapping, Sequence

import msgspec

from pipeline.exporting.tallying import MOST_KINDS, Tally
from pipeline.exports.samples import Column
from pipeline.pictures.provenance.facts import VOCABULARY

KNOWN_LICENCES = frozenset(
    {
        *("apache-2.0", "mit", "bsd-3-clause", "unlicense", "openrail", "odc-by", "odbl", "pddl"),
        *("cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
        *("cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-4.0"),
    }
)
"""What the hub has a name for; anything else is ``other``."""

SHOWN = 20
"""Prompts, licences and reasons that are listed."""

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))


class Example(msgspec.Struct, frozen=True):
    """Pictures of one sample, by column: their paths in the export."""

    prompt: str
    pictures: dict[str, str]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a card is about. ``samples``: by split. ``reasons``: status, error code, number, of all
    of the job's edits that did not succeed. ``spent_usd``: by all of the job's requests.
    ``left_out``: examples whose pictures are away.
    """

    job: str
    format: str
    samples: Mapping[str, int]
    columns: Sequence[Column]
    tally: Tally
    splits: Sequence[tuple[str, float]]
    split_by: str
    straddling: int
    left_out: int
    reasons: Sequence[tuple[str, str | None, int]]
    spent_usd: float
    examples: Sequence[Example]


def card(facts: Facts) -> str:
    """The whole page."""
    parts = [
        _header(facts),
        f"# {_plain(facts.job)}\n\nEdited pictures, made by a generative model from "
        + ("source pictures and " if facts.tally.with_source else "")
        + "prompts.\n",
        _contents(facts),
        _examples(facts),
        _origin(facts),
        _licences(facts.tally),
        _splits(facts),
        _prompts(facts.tally),
        _failures(facts),
    ]
    return "\n".join(part for part in parts if part)


def _header(facts: Facts) -> str:
    lines = ["---", f"pretty_name: {_quoted(facts.job)}"]
    licences = sorted({_hub_name(one) for one in facts.tally.licences})
    if len(licences) == 1:
        lines.append(f"license: {licences[0]}")
    elif licences:
        lines += ["license:", *[f"- {one}" for one in licences]]
    total = sum(facts.samples.values())
    size = next((name for limit, name in _SIZES if total < limit), "1M<n<10M")
    lines += ["task_categories:", "- image-to-image", "size_categories:", f"- {size}"]
    lines += ["tags:", "- synthetic", "- image-editing"]
    if facts.format == "webdataset":
        lines.append("- webdataset")
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for split in _ordered(facts):
        lines += [f"  - split: {split}", f"    path: {_quoted(_files(facts.format, split))}"]
    return "\n".join([*lines, "---", ""])


def _files(format: str, split: str) -> str:  # noqa: A002 - it is called that everywhere
    if format == "folder":
        return f"{split}/**"
    return f"data/{split}-*.{'tar' if format == 'webdataset' else 'parquet'}"


def _contents(facts: Facts) -> str:
    tally = facts.tally
    rows = "\n".join(f"| {split} | {facts.samples[split]:,} |" for split in _ordered(facts))
    columns = ", ".join(
        f"`{column.name}`" + (" (picture)" if column.kind == "picture" else "")
        for column in facts.columns
    )
    cost = f"${tally.cost_usd:,.2f}" if tally.uncosted < tally.edits else "not known"
    if 0 < tally.uncosted < tally.edits:
        cost += f", without {tally.uncosted:,} edits whose cost is not known"
    dates = tally.first[:10]
    if tally.last[:10] != dates:
        dates += f" to {tally.last[:10]}"
    models = ", ".join(f"`{name}` ({count:,})" for name, count in tally.models.most_common())
    spent = f" (all requests of the job: ${facts.spent_usd:,.2f})" if facts.spent_usd else ""
    away = ""
    if facts.left_out:
        away = f"- Left out, because a picture was not there: {facts.left_out:,} examples\n"
    return (
        "## Contents\n\n"
        f"| split | examples |\n|---|---:|\n{rows}\n\n"
        f"- Edits: {tally.edits:,}, made {dates}\n"
        f"- Model: {models}\n"
        f"- Cost of these edits: {cost}{spent}\n"
        f"- Format: {facts.format}\n"
        f"- Columns: {columns}\n"
        f"{away}"
    )


def _examples(facts: Facts) -> str:
    if not facts.examples:
        return ""
    columns = list(facts.examples[0].pictures)
    rows = [
        "| "
        + " | ".join(
            f'<img src="{one.pictures[name]}" width="256">' if name in one.pictures else ""
            for name in columns
        )
        + f" | {_cell(one.prompt)} |"
        for one in facts.examples
    ]
    head = f"| {' | '.join(columns)} | prompt |\n|{'---|' * (len(columns) + 1)}\n"
    return "## Examples\n\n" + head + "\n".join(rows) + "\n"


def _origin(facts: Facts) -> str:
    tally = facts.tally
    lines = []
    if tally.with_source:
        lines.append(
            f"- {tally.with_source:,} edits: a picture that was there, edited by a generative"
            f" model. Digital source type:"
            f" <{VOCABULARY}compositeWithTrainedAlgorithmicMedia>\n"
        )
    if tally.edits > tally.with_source:
        lines.append(
            f"- {tally.edits - tally.with_source:,} edits: made from a prompt alone. Digital source"
            f" type: <{VOCABULARY}trainedAlgorithmicMedia>\n"
        )
    return (
        "## Origin\n\nThe edited pictures are synthetic: made by AI, not by a camera. They are as"
        " the endpoint returned them. Source pictures are as they were sent: upright, in sRGB,"
        " without metadata.\n\n" + "".join(lines)
    )


def _licences(tally: Tally) -> str:
    if not tally.licence_column:
        return (
            "## Licences\n\nThe manifest has no column `licence`: nothing is known here about the"
            " licences of the source pictures.\n"
        )
    rows = "\n".join(
        f"| {_cell(name)} | {count:,} |" for name, count in tally.licences.most_common(SHOWN)
    )
    return (
        f"## Licences\n\nOf the source pictures, as the column `{_plain(tally.licence_column)}` of"
        f" the manifest states them:\n\n| licence | edits |\n|---|---:|\n{rows}\n"
    )


def _splits(facts: Facts) -> str:
    if not facts.splits:
        return ""
    shares = ", ".join(f"{name} {share:.4g}" for name, share in facts.splits)
    if facts.split_by != "source":
        how = f"Everything with the same `{_plain(facts.split_by)}` is in one split."
    else:
        how = (
            "All edits of a source picture are in one split, and so are those of pictures that look"
            " like it (perceptual hash). Splits stay what they are when data are added."
        )
        if facts.straddling:
            how += (
                f" {facts.straddling:,} edits are left out, because their source looks like"
                " pictures of two splits."
            )
    return f"## Splits\n\nShares wanted: {shares}. {how}\n"


def _prompts(tally: Tally) -> str:
    many = f"more than {MOST_KINDS:,}" if tally.more_prompts else f"{len(tally.prompts):,}"
    rows = "\n".join(
        f"| {_cell(prompt)} | {count:,} |" for prompt, count in tally.prompts.most_common(SHOWN)
    )
    first = f"The {SHOWN} most frequent of {many}:" if len(tally.prompts) > SHOWN else f"{many}:"
    return f"## Prompts\n\n{first}\n\n| prompt | edits |\n|---|---:|\n{rows}\n"


def _failures(facts: Facts) -> str:
    if not facts.reasons:
        return ""
    rows = "\n".join(
        f"| {status} | {f'`{code}`' if code else ''} | {count:,} |"
        for status, code, count in facts.reasons[:SHOWN]
    )
    return (
        "## What is not in here\n\nEdits of the job that did not succeed. What a model refuses or"
        " gets wrong more often is rarer in these data.\n\n"
        f"| status | reason | edits |\n|---|---|---:|\n{rows}\n"
    )


def _ordered(facts: Facts) -> list[str]:
    """The splits in the order in which they were asked for."""
    asked = [name for name, _ in facts.splits]
    return sorted(
        facts.samples, key=lambda name: (asked.index(name) if name in asked else 99, name)
    )


def _hub_name(licence: str) -> str:
    plain = re.sub(r"[\s_]+", "-", licence.strip().lower())
    return plain if plain in KNOWN_LICENCES else "other"


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()  # JSON's strings are YAML's


def _plain(text: str) -> str:
    """As text in Markdown, whatever is in it."""
    return re.sub(r"([\\`*_\[\]#|!$~])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _cell(text: str) -> str:
    short = text if len(text) <= 300 else text[:299] + "…"
    return _plain(short)
