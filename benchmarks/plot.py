from pathlib import Path
from typing import Any

# What is varied, the exponent of the law that its cost follows, and the law in words.
LAWS = (("hidden size", 2, "its square"), ("layers", 1, "linear"), ("context length", 0, "constant"), ("cores", -1, "inverse"))


def draw_cost(report: dict[str, Any], path: Path) -> None:
    """Draw the cost of a thousand characters against what was varied, with the law that it is expected to follow."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    figure = Figure(figsize=(10, 3), layout="constrained")
    for axes, (varied, exponent, law) in zip(figure.subplots(1, len(LAWS)), LAWS, strict=True):
        rows = [row for row in report["rows"] if row["varied"] == varied]
        for engine in dict.fromkeys(row["engine"] for row in rows):
            values, costs = zip(*[(row["value"], row["median"]) for row in rows if row["engine"] == engine], strict=True)
            axes.plot(values, costs, "o-", label=engine.removeprefix("chargen-"))
            start = -1 if exponent > 0 else 0
            expected = [costs[start] * (value / values[start]) ** exponent for value in values]
            axes.plot(values, expected, "--", color="grey", label=law, zorder=1)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(values)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(ScalarFormatter())
            axis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(varied)
        handles, labels = axes.get_legend_handles_labels()
        found = dict(zip(labels, handles, strict=True))
        axes.legend(found.values(), found.keys(), fontsize=7)
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
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(engines), fontsize=8)
    figure.supxlabel(report["machine"], fontsize=7)
    figure.savefig(path)
