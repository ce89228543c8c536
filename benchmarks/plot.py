from pathlib import Path
from typing import Any


def draw_cost(report: dict[str, Any], path: Path) -> None:
    """Draw the cost of a thousand characters against the hidden size and against the layers, with the expected law."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    for axes, (varied, law, exponent) in zip(
        figure.subplots(1, 2), [("hidden size", "its square", 2), ("layers", "linear", 1)], strict=True
    ):
        rows = [row for row in report["rows"] if row["varied"] == varied]
        values, costs = [row["value"] for row in rows], [row["median"] for row in rows]
        axes.plot(values, costs, "o-", label="measured")
        largest = costs[-1] / values[-1] ** exponent
        axes.plot(values, [largest * value**exponent for value in values], "--", color="grey", label=law)
        axes.set_xlabel(varied)
        axes.legend(fontsize=8)
        if exponent > 1:
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
    figure.axes[0].set_ylabel("ms to train on 1,000 characters")
    figure.savefig(path)


def draw(report: dict[str, Any], path: Path) -> None:
    """Draw characters a second of every engine as bars, one panel a cell, relative to chargen's."""
    from matplotlib.figure import Figure

    rows = report["rows"]
    cells, sizes, engines = (list(dict.fromkeys(row[key] for row in rows)) for key in ("cell", "size", "engine"))
    rates = {(row["cell"], row["size"], row["engine"]): row["median"] for row in rows}
    figure = Figure(figsize=(3.2 * len(cells), 3.4), layout="constrained")
    for axes, cell in zip(figure.subplots(1, len(cells), sharey=True, squeeze=False)[0], cells, strict=True):
        for number, engine in enumerate(engines):
            places = [place + (number - (len(engines) - 1) / 2) * 0.8 / len(engines) for place in range(len(sizes))]
            heights = [rates[cell, size, engine] / rates[cell, size, "chargen"] for size in sizes]
            bars = axes.bar(places, heights, width=0.8 / len(engines), label=engine)
            labels = [f"{rates[cell, size, engine] / 1000:.0f}k" for size in sizes]
            axes.bar_label(bars, labels, fontsize=7)
        axes.set_title(cell)
        axes.set_xticks(range(len(sizes)), sizes)
    figure.axes[0].set_ylabel("characters a second in training, chargen = 1")
    figure.axes[0].legend(fontsize=8)
    figure.supxlabel(report["machine"], fontsize=7)
    figure.savefig(path)
