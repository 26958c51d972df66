"""Claims about the files and frames that the stand-in takes."""

from __future__ import annotations

import pandas as pd
import pytest

from vanc311_pipeline.portal.standin.intake import SAMPLE_REQUESTS, request_frame, request_table

OPENED, CLOSED, MODIFIED = "service_request_open_timestamp", "service_request_close_date", "last_modified_timestamp"


def test_a_frame_survives_the_round_trip(sample):
    pd.testing.assert_frame_equal(request_frame(request_table(sample)), sample)


def test_the_bundled_sample_is_complete(sample):
    assert len(sample) == 11_024
    assert (sample["closure_reason"] == "N/A").sum() > 400
    assert request_frame(request_table(SAMPLE_REQUESTS)).equals(sample)


def test_csv_as_the_portal_exports_it_with_or_without_geom(ask, sample, tmp_path):
    for select in ("*", "*, exclude(geom)"):
        path = tmp_path / "export.csv"
        path.write_bytes(ask("/exports/csv", select=select, order_by=OPENED).content)
        found = request_frame(request_table(path))
        by_all = list(sample.columns)
        pd.testing.assert_frame_equal(
            found.sort_values(by_all, ignore_index=True), sample.sort_values(by_all, ignore_index=True)
        )


def test_text_columns_are_read_like_typed_ones(sample):
    text = sample.assign(
        **{
            OPENED: sample[OPENED].dt.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
            MODIFIED: sample[MODIFIED].dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            CLOSED: pd.to_datetime(sample[CLOSED]).dt.strftime("%Y-%m-%d"),
            "latitude": sample["latitude"].map(repr).where(sample["latitude"].notna(), ""),
        }
    )
    pd.testing.assert_frame_equal(request_frame(request_table(text)), sample)


def test_naive_instants_are_utc_and_timestamps_serve_as_dates(sample):
    naive = sample.assign(
        **{OPENED: sample[OPENED].dt.tz_localize(None), CLOSED: pd.to_datetime(sample[CLOSED]).astype("datetime64[ns]")}
    )
    pd.testing.assert_frame_equal(request_frame(request_table(naive)), sample)


def test_empty_text_is_null_and_na_is_text(sample):
    frame = sample.head(2).assign(address=["", "N/A"])
    assert request_frame(request_table(frame))["address"].isna().tolist() == [True, False]


def test_missing_and_unknown_columns_are_named(sample):
    with pytest.raises(ValueError, match=r"missing: \['channel'\], unknown: \['via'\]"):
        request_table(sample.rename(columns={"channel": "via"}))


def test_a_value_that_can_not_be_read_names_its_column(sample):
    with pytest.raises(ValueError, match=f"Column {OPENED} can't be read as datetime"):
        request_table(sample.head(1).assign(**{OPENED: "yesterday"}))
