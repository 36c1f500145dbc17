"""The paper's tables beside our own runs, with a verdict on each gain that the paper reports."""

from vsmooth.reproduce.rows import Row, reproduced_rows, reproduced_table

__all__ = ["Row", "reproduced_rows", "reproduced_table"]
