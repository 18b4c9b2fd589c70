"""The settled seconds of a run as Parquet, for pandas, DuckDB and the like.

It needs pyarrow, which the extra `loadgen[parquet]` installs.
"""

import io

from coordinator.report.samples import samples_of
from coordinator.report.seconds import columns_of, kind_of
from coordinator.storage.reader import RunRecord
from loadgen.errors import OperatorError


def parquet_report(record: RunRecord) -> bytes:
    """Returns the columns of the CSV with their types.

    The metadata names the run and has its plan. Raises OperatorError without pyarrow.
    """
    try:
        import pyarrow  # noqa: PLC0415  # 55 MB that only this format needs
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise OperatorError(
            "--format parquet needs pyarrow: pip install 'loadgen[parquet]'"
        ) from error
    types = {"whole": pyarrow.int64(), "decimal": pyarrow.float64(), "text": pyarrow.string()}
    columns = {
        name: pyarrow.array(values, types[kind_of(name)])
        for name, values in columns_of(samples_of(record)).items()
    }
    table = pyarrow.table(columns).replace_schema_metadata(
        {
            "loadgen.run": record.name,
            "loadgen.started": record.facts.started,
            "loadgen.version": record.facts.version,
            "loadgen.plan": record.plan_text,
        }
    )
    file = io.BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()
