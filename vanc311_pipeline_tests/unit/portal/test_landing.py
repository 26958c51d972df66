"""Claims about an export as a file: a table with the fields that we rely on, or one short sentence, whatever the bytes are."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vanc311_pipeline.errors import PortalUnavailable
from vanc311_pipeline.portal.contract import Window
from vanc311_pipeline.portal.landing import table_of
from vanc311_pipeline.schema import PORTAL_FIELDS
from vanc311_pipeline.settings import LIVE

HEADER = ";".join(PORTAL_FIELDS).encode()
ROW = b"x" + b";" * (len(PORTAL_FIELDS) - 1)


def parsed(folder, body):
    (folder / "export.csv").write_bytes(body)
    return table_of(folder / "export.csv", Window(LIVE, "2025-08"))


MALFORMED = {
    "nothing": b"",
    "a line end": b"\n",
    "JSON": b'[{"department": "ENG"}]\n',
    "a field of 200,000 characters": b"x" * 200_000 + b"\n",
    "a million columns": HEADER + b";" * 1_000_000 + b"\n",
    "a name twice": HEADER + b";address\n",
    "a name in two lines": HEADER + b';"two\nlines"\n',
    "a quote that stays open": HEADER.replace(b"department", b'"department') + b"\n",
    "UTF-16": HEADER.decode().encode("utf-16"),
    "a row with less": HEADER + b"\n" + ROW + b"\nx;y\n",
    "a row with more, of a megabyte": HEADER + b"\n" + ROW + b";" * 1_000_000 + b"\n",
    "nothing but noughts": b"\x00" * 1_000,
}


@pytest.mark.parametrize("what", MALFORMED)
def test_what_is_no_table_of_ours_is_refused_in_a_short_sentence(tmp_path, what):
    with pytest.raises(PortalUnavailable, match=r"no usable header|not whole CSV") as refused:
        parsed(tmp_path, MALFORMED[what])
    assert len(str(refused.value)) < 1_200


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.binary(max_size=9), after=st.binary())
def test_any_bytes_give_a_table_or_a_sentence(tmp_path, before, after):
    with suppress(PortalUnavailable):
        assert set(parsed(tmp_path, before + HEADER + after).column_names) >= set(PORTAL_FIELDS)
