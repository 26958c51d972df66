"""Claims about work in another process: its errors are raised here, and if it is killed, that is said in words."""

import os

import pytest

from vanc311_pipeline.beside import beside
from vanc311_pipeline.errors import StorageRefused


@pytest.mark.parametrize("worth", [True, False])
def test_an_error_there_is_raised_where_the_answer_is_asked_for(worth):
    with beside(worth, int, "a dozen") as answer, pytest.raises(ValueError, match="a dozen"):
        answer()


def test_a_process_that_was_killed_is_an_error_in_words():
    with beside(True, os.abort) as answer, pytest.raises(StorageRefused, match=r"ended \(-6\).*try again"):
        answer()
