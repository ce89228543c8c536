from typing import Any

from benchmarks.train import BFLOAT16

TRAININGS = {  # headings of benchmarks.train
    "train": "training",
    "train-float32": "training, float32 the fastest",
    "train-avx2": "training with AVX2 alone",
}


def markdown(results: dict[str, Any]) -> str:
    """Return the tables of the manual, from the newest results of each kind."""
    blocks = []
    blocks += [_training(heading, results[kind]["rows"]) for kind, heading in TRAININGS.items() if kind in results]
    rows = [
        row
        for kind in ("startup", "sample", "page", "budget", "serve", "memory", "classic", "precision", "keras")
        if kind in results
        for row in results[kind]["rows"]
    ]
    if rows:
        lines = [f"| {row['what']} | {_number(row['median'])} {row['unit']}{_share(row)} |" for row in rows]
        blocks.append("\n".join(["| what | median |", "| --- | ---: |", *lines]))
    for kind, heading, table in (
        ("quality", "the defaults, in so many minutes", _quality),
        ("ablation", "without one part", _ablation),
        ("min-cells", "another cell", _quality),
        ("mogrifier", "another cell after as many steps", _quality),
        ("distillation", "learning from several networks", _quality),
    ):
        if kind in results:
            blocks.append(table(heading, results[kind]["rows"]))
    if "short-texts" in results:
        blocks.append(_short_texts(results["short-texts"]["rows"]))
    if "grid" in results:
        blocks.append(_grid(results["grid"]["rows"]))
    if "dropout" in results:
        blocks.append(_dropout(results["dropout"]["rows"]))
    if "distribute" in results:
        blocks.append(_distribute(results["distribute"]["rows"]))
    machines = dict.fromkeys(report["machine"] for report in results.values())
    return "\n\n".join([*blocks, f"Measured on: {'; '.join(machines)}."])


def _share(row: dict[str, Any]) -> str:
    """Return the share of what the machine can do at most, if it was measured and this is not a table of trainings."""
    return f", {row['share_of_products']:.0%} of the products" if "share_of_products" in row else ""


def _quality(heading: str, rows: list[dict[str, Any]]) -> str:
    lines = [f"| {row['what']} | {row['median']:.3f} | {_spread(row)} |" for row in rows]
    return "\n".join([f"| {heading} | nats a character | of all seeds |", "| --- | ---: | ---: |", *lines])


def _ablation(heading: str, rows: list[dict[str, Any]]) -> str:
    lines = [f"| {row['what']} | {row['median']:.3f} | {_spread(row)} | {row['worth']:+.3f} |" for row in rows]
    return "\n".join([f"| {heading} | nats a character | of all seeds | worth |", "| --- | ---: | ---: | ---: |", *lines])


def _short_texts(rows: list[dict[str, Any]]) -> str:
    """Return a table of sizes, and a table of grids if there are any."""
    blocks = ["| a text of | bits a character | of all seeds | the best n-gram |\n| --- | ---: | ---: | ---: |"]
    blocks[0] += "".join(
        f"\n| {row['what']} | {row['median']:.3f} | {_spread(row)} | {row['ngram']:.3f} |" for row in rows if "grid" not in row
    )
    grids = [f"| {row['what']} | {row['median']:.3f} | {row['grid']:.3f} |" for row in rows if "grid" in row]
    if grids:
        blocks.append("\n".join(["| a text of | bits as chosen | as in the grid |", "| --- | ---: | ---: |", *grids]))
    return "\n\n".join(blocks)


def _dropout(rows: list[dict[str, Any]]) -> str:
    lines = ["| outputs and recurrent weights dropped | nats a character | of all seeds | together |"]
    lines.append("| --- | ---: | ---: | ---: |")
    lines += [f"| {row['what']} | {row['median']:.3f} | {_spread(row)} | {row['together']:.3f} |" for row in rows]
    return "\n".join(lines)


def _grid(rows: list[dict[str, Any]]) -> str:
    """Return a table of the texts, each with the chosen settings and the best of the others."""
    lines = ["| text, minutes on one core | chosen | nats a character | the best of the others | nats a character |"]
    lines.append("| --- | --- | ---: | --- | ---: |")
    for case in dict.fromkeys(row["what"].partition(":")[0] for row in rows):
        chosen, *others = (row for row in rows if row["what"].startswith(f"{case}:"))
        best = min(others, key=lambda row: row["median"])
        figures = f"{chosen['median']:.3f} | {best['setting']} ({_settings(best)}) | {best['median']:.3f}"
        lines.append(f"| {case} | {_settings(chosen)} | {figures} |")
    return "\n".join(lines)


def _settings(row: dict[str, Any]) -> str:
    networks = f"{row['members']} x " if row["members"] > 1 else ""
    return f"{networks}{row['size']}, dropout {row['dropout']:g} and {row['weight_drop']:g}"


def _distribute(rows: list[dict[str, Any]]) -> str:
    """Return a table of the ways to share a batch, and a table of endings."""
    blocks = [
        "The devices and processes share the cores of one machine, so these times are no measure of scaling: they show that "
        "the results are equal, and what adding up gradients and an ending cost there.",
        "| the same batches | ms | adding up gradients, with waiting | mean loss, nats | difference |\n"
        "| --- | ---: | ---: | ---: | ---: |",
        "| an ending | seconds | of all tries |\n| --- | ---: | ---: |",
    ]
    for row in rows:
        if "loss" in row:
            figures = (
                f"{_number(row['median'])} | {row['collective_share']:.0%} | {row['loss']:.6f} | {row['loss_differs_by']:.1g}"
            )
            blocks[1] += f"\n| {row['what']} | {figures} |"
        else:
            spread = f"{row['min']:.1f} to {row['max']:.1f}" if row["min"] < row["max"] else ""
            blocks[2] += f"\n| {row['what']} | {row['median']:.1f} | {spread} |"
    return "\n\n".join(blocks)


def _spread(row: dict[str, Any]) -> str:
    return f"{row['min']:.3f} to {row['max']:.3f}" if row["min"] < row["max"] else ""


def _training(heading: str, rows: list[dict[str, Any]]) -> str:
    others = [engine for engine in dict.fromkeys(row["engine"] for row in rows) if engine != "chargen"]
    headings = ["with bfloat16 products" if engine == BFLOAT16 else f"against {engine}" for engine in others]
    lines = [
        f"| {heading} | chargen, characters a second | {' | '.join(headings)} |",
        f"| --- | ---: | {' | '.join('---:' for _ in others)} |",
    ]
    for ours in (row for row in rows if row["engine"] == "chargen"):
        same = {row["engine"]: row for row in rows if (row["cell"], row["size"]) == (ours["cell"], ours["size"])}
        figures = [
            _speed(same[engine]) if engine == BFLOAT16 else f"{same[engine]['chargen_is_faster_by']:.2f} x" for engine in others
        ]
        shape = ours["what"].partition("(")[2].partition(")")[0]
        lines.append(f"| {ours['cell']} {ours['size']}, {shape} | {_speed(ours)} | {' | '.join(figures)} |")
    return "\n".join(lines)


def _speed(row: dict[str, Any]) -> str:
    """Return the speed of a training, with its share of what the products alone reach where that was measured."""
    share = row.get("share_of_products")
    return _number(row["median"]) + (f" ({share:.0%})" if share else "")


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"
