"""Judge a run in one sentence: against the baselines, and what would make it better."""

from collections.abc import Sequence

from chargen.insight.assessment import Row
from chargen.insight.report import RunRecord

MORE_TEXT = "more text, --dropout or a smaller network would help"
LONGER = "train longer (--resume with more --epochs)"
OVERFITTED = 1 / 3  # of the epochs after the best one


def verdict(record: RunRecord, rows: Sequence[Row]) -> str:
    """Return the sentence about a run; rows: its figures and those of the baselines, or none. "" if nothing is known."""
    against, advice = _against(rows), _advice(record)
    return f"{against}: {advice}." if against and advice else f"{against or advice}.".capitalize() if against or advice else ""


def _against(rows: Sequence[Row]) -> str:
    """Return which baselines the model is ahead of and behind, the nearest ones of many."""
    own = [row.quality.bits_per_character for row in rows if row.kind == "model"]
    baselines = sorted((row.quality.bits_per_character, row.name) for row in rows if row.kind == "baseline")
    if not own or not baselines:
        return ""
    bits = own[0]
    worse = [name for other, name in baselines if other > bits]
    better = [name for other, name in baselines if other <= bits]
    place = [f"ahead of {_listed(worse[:2])}" if worse else "", f"behind {_listed(better[:-3:-1])}" if better else ""]
    where = (
        ", ".join(filter(None, place)) if better and worse else f"ahead of all {len(worse)} baselines" if worse else place[1]
    )
    return f"{bits:.2f} bits a character, {where}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(f"the {name}" if name.endswith("gram") else name for name in names)


def _advice(record: RunRecord) -> str:
    """Return whether the run still improves or overfits, as a part of the sentence, judged from its epochs."""
    best = record.best.get("best_epoch")
    if not record.history or not best:
        return ""
    last = record.history.epochs[-1].epoch
    if best == last:
        return f"its best epoch was the last, {last:,}; {LONGER}"
    if last - best >= max(2, last * OVERFITTED):
        return f"it has not improved since epoch {best:,} of {last:,}; {MORE_TEXT}"
    return f"its best epoch was {best:,} of {last:,}"
