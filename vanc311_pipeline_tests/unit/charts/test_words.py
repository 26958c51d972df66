"""Claims about words: numbers, days and groups as people write them."""

import pytest

from vanc311_pipeline.charts import words


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (words.whole(1_297_198), "1,297,198"),
        (words.whole(None), "–"),
        (words.mean(3.14), "3.1"),
        (words.mean(float("nan")), "–"),
        (words.percent(0.575), "57.5 %"),
        (words.ratio(1.256), "1.26"),
        (words.against(1.354), "35 % more"),
        (words.against(0.9), "10 % fewer"),
        (words.against(1.004), "as many"),
        (words.against(0), "100 % fewer"),
        (words.usual_spread(0.0), "Areas differ from the city no more than by chance"),
        (words.days(1), "1 day"),
        (words.days(18), "18 days"),
        (words.requests(1), "1 request"),
        (words.be(1, "was", "were"), "was"),
        (words.days_or_why(0, "ok"), "the same day"),
        (words.days_or_why(1, "ok"), "1 day"),
        (words.last_days("2026-09-28", 7), "22 September to 28 September 2026"),
        (words.last_days("2026-01-02", 7), "27 December 2025 to 2 January 2026"),
        (words.day("2026-01-02"), "2 January 2026"),
        (words.month("2026-01"), "January 2026"),
        (words.period("last_12_months"), "in the last 12 months"),
        (words.period("all"), "at any time"),
        (words.period("2025"), "in 2025"),
        (words.group_name("all", None, None), "All of Vancouver"),
        (words.group_name("located", None, None), "Vancouver, requests with a local area"),
        (words.group_name("located", "Kitsilano", None), "Kitsilano"),
        (words.group_name("all", None, "Pothole Case"), "Pothole Case"),
        (words.group_name("located", None, "Pothole Case"), "Pothole Case, requests with a local area"),
        (words.group_name("located", "Kitsilano", "Pothole Case"), "Pothole Case in Kitsilano"),
    ],
)
def test_it_is_written_as_people_write_it(written, text):
    assert written == text
