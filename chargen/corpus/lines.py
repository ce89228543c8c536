"""Find the lines of a text without creating a string for each."""

import numpy as np
import numpy.typing as npt

from chargen.corpus.large_text import Text, code_points, text_blocks

PIECE = 1 << 18  # characters processed at a time
# Every white space but the ideographic one lies below U+205F; the last entry is for all larger code points.
_IS_SPACE = np.array([chr(code).isspace() for code in range(0x3002)])

Indices = npt.NDArray[np.int64]


def filled_lines(text: Text) -> tuple[Indices, Indices]:
    r"""Return the starts and ends of the lines that are not blank, (N,) each.

    >>> [positions.tolist() for positions in filled_lines("Ada\n \nGrace\n")]
    [[0, 6], [3, 11]]
    """
    stops, filled = [np.array([], np.int64)], [np.array([], np.int64)]  # filled: characters before it that are not white space
    length = num_filled = 0
    for block in text_blocks(text):
        for start in range(0, len(block), PIECE):
            codes = code_points(block[start : start + PIECE])
            so_far = num_filled + np.cumsum(~_IS_SPACE.take(codes, mode="clip"))
            (line_ends,) = np.nonzero(codes == ord("\n"))
            stops.append(length + line_ends)
            filled.append(so_far[line_ends])
            length, num_filled = length + len(codes), int(so_far[-1])
    ends = np.concatenate([*stops, [length]])
    starts = np.concatenate([[0], ends[:-1] + 1])
    kept = np.diff(np.concatenate([[0], *filled, [num_filled]])) > 0
    return starts[kept], ends[kept]
