"""Read Parquet tables, a few rows at a time, and only the requested columns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any

from chargen.corpus.formats.containers import Budget, Packed, missing_package
from chargen.corpus.formats.json_records import MAX_DEPTH, cells_of
from chargen.corpus.formats.table import Row, Table

PARQUET = b"PAR1"
BATCH_ROWS = 16  # rows in memory at once; a cell may hold a novel or a picture
_BUFFER = 1 << 20  # bytes of a column


def read_parquet(packed: Packed) -> tuple[Table, int]:
    """Return a table, whose file must stay open while rows are read, and its unpacked size in bytes.

    Raises CorpusError without the library and for sizes beyond `Budget`; raises ValueError for a damaged file, also while rows
    are read.
    """
    if find_spec("pyarrow") is None:
        raise missing_package(packed.name, "a Parquet table", "parquet")
    with _one_line():
        from pyarrow.parquet import ParquetFile

        file = ParquetFile(packed.file, buffer_size=_BUFFER, pre_buffer=False)
        columns = tuple(_names(file.schema_arrow))
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    rows_of = partial(_rows, packed, file, columns)
    return Table(columns, rows_of, rows_of=rows_of, is_text=False), sum(group.total_byte_size for group in groups)


def _names(fields: Any, prefix: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the dotted names of columns, as `cells_of` expects them."""
    from pyarrow.types import is_struct

    for field in fields:
        if is_struct(field.type) and depth < MAX_DEPTH:
            yield from _names(field.type, f"{prefix}{field.name}.", depth + 1)
        else:
            yield f"{prefix}{field.name}"


def _rows(packed: Packed, file: Any, columns: Sequence[str], only: Sequence[int] | None = None) -> Iterator[Row]:
    """Yield the rows; with `only`, read these columns and leave the cells of the others empty."""
    budget = Budget(packed.name, packed.size)
    names = None if only is None else [columns[index] for index in only]
    number = 0
    with _one_line():
        for batch in file.iter_batches(BATCH_ROWS, columns=names, use_threads=False):
            budget.spend(batch.nbytes)
            for record in _records(batch):
                number += 1
                yield number, None if record is None else cells_of(record, columns)


def _records(batch: Any) -> Iterator[dict[str, Any] | None]:
    """Yield the records of a batch; None for one that cannot be read."""
    from pyarrow import RecordBatch, string
    from pyarrow.types import is_temporal

    plain = [column.cast(string()) if is_temporal(column.type) else column for column in batch.columns]
    batch = RecordBatch.from_arrays(plain, batch.schema.names)
    try:
        yield from batch.to_pylist()
    except ValueError:
        for index in range(len(batch)):
            yield _record(batch.slice(index, 1))


def _record(batch: Any) -> dict[str, Any] | None:
    """Return the record of a batch of one; None for bytes that are not text and times that Python cannot represent."""
    try:
        return dict(batch.to_pylist()[0])
    except ValueError:
        return None


@contextmanager
def _one_line() -> Iterator[None]:
    """Turn the library's errors for damaged and hostile files into ValueError with a message of one line."""
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, ValueError, TypeError, MemoryError) as error:
        raise ValueError(str(error).strip().partition("\n")[0][:100].rstrip(".") or type(error).__name__) from error
