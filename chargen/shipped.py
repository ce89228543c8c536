"""Find the corpora, configs and trained networks that come with chargen, in a checkout and in an installed wheel."""

from pathlib import Path
from typing import Literal

from chargen.suggestions import most_similar

Kind = Literal["corpora", "configs", "models"]
SHIPPED = "shipped"  # the prefix of the names of networks, like a folder


def shipped_folder(kind: Kind) -> Path:
    """Return the folder of the shipped corpora, configs or models.

    A wheel has them inside the package, a checkout next to it.
    """
    package = Path(__file__).parent
    packed = package / "shipped" / kind
    return packed if packed.is_dir() else package.parent / kind


def shipped_files(kind: Kind) -> list[Path]:
    """Return the shipped files, sorted by name."""
    return sorted(path for path in shipped_folder(kind).iterdir() if path.suffix in {".txt", ".toml"})


def shipped_models() -> dict[str, Path]:
    """Return the model files of the shipped networks by name, such as shipped/names."""
    return {f"{SHIPPED}/{path.stem}": path for path in sorted(shipped_folder("models").glob("*.safetensors"))}


def nearest_shipped(kind: Kind, name: str) -> str | None:
    """Return the shipped file name that is most similar to `name`, or None without a similar one."""
    names = {path.name.casefold(): path.name for path in shipped_files(kind)}
    stems = {Path(found).stem.casefold(): found for found in names.values()}
    wanted = Path(name).name.casefold()
    matches = most_similar(wanted, names, cutoff=0.7) or most_similar(Path(wanted).stem, stems)
    return (names | stems)[matches[0]] if matches else None
