"""`docs/support.md`, from the figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from bench.files import ROOT

PAGE = ROOT / "docs" / "support.md"
Row = dict[str, Any]
OUTPUT = "its channels are the network's output"
HEAD = """# Networks that were tried

Made by `python -m bench.accuracy.support`; its `--help` says how to make the environment. Weights are random, and
every network is measured by one thread in a process of its own. Rows may be of several versions of the code: `--only`
measures some of them again, `--missing` those that are lacking. For a network of yours: `mendsearch inspect SPEC.toml`.

Seventeen networks of timm, from `fasternet_t0` to `mobilenetv5_300m`, were tried last: no one had looked at them while
the code was written. Fifteen were pruned at once. iFormer lost all its groups to attention whose scale did not show,
and took 49 s; that is mended. MobileNetV5 is kept whole: its norms take means over channels by hand. Items of a batch
attend to one another in `csatv2`, so its MACs depend on how many there are.
"""
LEGEND = """
| column | meaning |
|---|---|
| s | processor seconds of `find_coupling`: tracing, and checking the law for every module |
| groups | coupling groups |
| share | output channels of convolutions and linear layers that are in a group; those that are the network's output are not |
| least | MACs left where every group keeps one channel |
| law | a network of random keep counts: what is sliced is what is built, and what the dense network gives without the removed channels, by zeros in its weights; the largest difference relative to the largest output, in float32, or in float64 (marked *) where rounding hides it |
| MACs | ours are those of `torch.utils.flop_counter`, to the unit, for the dense and for the pruned network |
| score | how outputs are compared, as guessed from their values; `none` is left out |
| pt2 | a `.pt2` file of that pruned network, run for 1, 2 and 5 items: the largest difference, relative to the largest output; (2): for 2 items alone, see below |
| Torch-Pruning | groups of its DependencyGraph, with its output layers among them; its share where it differs; whether the network runs with half the channels |
"""  # noqa: E501  # rows of a table


def page(rows: dict[str, Row]) -> str:
    """The page's text, from rows by LIBRARY/NAME."""
    parts = [HEAD, _summary(rows), LEGEND]
    for library in dict.fromkeys(title.partition("/")[0] for title in rows):
        own = {title.partition("/")[2]: row for title, row in rows.items() if title.startswith(f"{library}/")}
        parts.append(f"\n## {library}\n\n" + "\n".join(_table(own)) + "\n")
    parts.append("\n## What stays whole\n\n" + "\n".join(_reasons(rows)) + "\n")
    parts.append("\n## What is not scored or exported\n\n" + "\n".join(_lacking(rows)) + "\n")
    return "".join(parts)


def pruned(row: Row) -> bool:
    """Whether a network is pruned, by the law and with the MACs that PyTorch counts."""
    return bool(row.get("groups")) and "error" not in row and row["law"] and same_macs(row)


def same_macs(row: Row) -> bool:
    """Whether our MACs are PyTorch's."""
    return bool(row.get("macs") == row.get("macs_counted") and row.get("macs_pruned") == row.get("macs_pruned_counted"))


def peer_works(row: Row) -> bool:
    """Whether Torch-Pruning's network of half the channels runs."""
    peer = row.get("peer") or {}
    return bool(peer.get("groups")) and "error" not in peer and "fails" not in peer


def _summary(rows: dict[str, Row]) -> str:
    lines = [
        "\n| library | networks | pruned, law and MACs hold | not | longest | scored | pt2 | Torch-Pruning: tried | runs at half |",  # noqa: E501
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for library in [*dict.fromkeys(title.partition("/")[0] for title in rows), "all"]:
        own = [row for title, row in rows.items() if library == "all" or title.startswith(f"{library}/")]
        good, peer = sum(map(pruned, own)), sum(map(peer_works, own))
        tried = sum(bool(row.get("peer")) for row in own)
        longest = max((row["seconds"] for row in own if "seconds" in row), default=0.0)
        done = sum("divergence" in row for row in own), sum("pt2" in row for row in own)
        cells = [library, len(own), good, len(own) - good, f"{longest:.0f} s", *done, tried, peer]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def _table(rows: dict[str, Row]) -> Iterator[str]:
    yield "| network | inputs | s | groups | share | least | law | MACs | score | pt2 | Torch-Pruning |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for name, row in rows.items():
        shape = "x".join(str(size) for size in row.get("inputs", ()))
        seconds = f"{row['seconds']:.1f}" if "seconds" in row else ""
        if "groups" in row:
            cells = [str(row["groups"]), _percent(row["share"]), _least(row), _law(row), _macs(row), *_results(row)]
        else:
            cells = ["0", "", "", row["error"].replace("|", "/"), "", "", ""]
        yield f"| {name} | {shape} | {seconds} | " + " | ".join([*cells, _peer(row)]) + " |"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _least(row: Row) -> str:
    return f"{100 * row['macs_least'] / row['macs']:.2g}%" if row.get("macs") else ""


def _law(row: Row) -> str:
    if "error" in row:
        return str(row["error"]).replace("|", "/")
    if "law" not in row:
        return "nothing to prune"
    number = max(float(row["built_error"]), float(row["silenced_error"]))
    return f"{'' if row['law'] else '**wrong** '}{number:.0e}{'*' if 'law_float32' in row else ''}"


def _macs(row: Row) -> str:
    if same_macs(row):
        return "same"
    pairs = (f"{row.get(key)} ours, {row.get(f'{key}_counted')} theirs" for key in ("macs", "macs_pruned"))
    return "; pruned ".join(pairs)


def _results(row: Row) -> tuple[str, str]:
    kinds = Counter(row.get("compared", {}).values())
    score = ", ".join(kind if count == 1 else f"{count} {kind}" for kind, count in kinds.items())
    exported = f"{row['pt2']:.0e}" if row.get("pt2") else "0" if "pt2" in row else "no" if "unexported" in row else ""
    return "no" if "unscored" in row else score, exported + (" (2)" if "fixed" in row and "pt2" in row else "")


def _lacking(rows: dict[str, Row]) -> Iterator[str]:
    yield "| network | why |"
    yield "|---|---|"
    for title, row in rows.items():
        for key in ("unscored", "fixed", "unexported"):
            if key in row:
                yield f"| {title} | {row[key].removeprefix('export: ').replace('|', '/')} |"


def _peer(row: Row) -> str:
    peer = row.get("peer")
    if not peer:
        return ""
    if "error" in peer:
        return str(peer["error"])[:80].replace("|", "/")
    share = "" if round(peer["share"], 2) == round(row.get("share", -1), 2) else f", {_percent(peer['share'])}"
    runs = f"; pruned, it fails: {str(peer['fails'])[:60]}".replace("|", "/") if "fails" in peer else ""
    return f"{peer['groups']}{share}{runs}"


def _reasons(rows: dict[str, Row]) -> Iterator[str]:
    kinds: dict[str, list[tuple[int, int, str, str]]] = {}
    for title, row in rows.items():
        for kind, found in row.get("whole", {}).items():
            if kind != OUTPUT:
                kinds.setdefault(kind, []).append((found["channels"], found["layers"], title, found["reason"]))
    yield "Beside the layers that are the networks' outputs. The example is the network with the most such channels."
    yield ""
    yield "| why | networks | layers | channels | example |"
    yield "|---|---|---|---|---|"
    for kind, found in sorted(kinds.items(), key=lambda pair: -sum(channels for channels, *_ in pair[1])):
        _, _, title, reason = max(found)
        example = f"{title}: {reason}" if reason != kind else title
        layers, channels = sum(layers for _, layers, *_ in found), sum(channels for channels, *_ in found)
        yield f"| {kind.replace('|', '/')} | {len(found)} | {layers} | {channels:,} | {example.replace('|', '/')} |"
