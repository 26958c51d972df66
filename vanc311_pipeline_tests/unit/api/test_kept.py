"""What is kept of answers takes no more room than it may, with the addresses that they are kept under."""

from vanc311_pipeline.api.delivery import BYTES_KEPT_OF_ONE, Answer, Kept, Key


def key(number: int, length: int) -> Key:
    return None, b"/", str(number).zfill(length).encode(), False, False


def test_the_longest_unused_is_forgotten_when_bodies_or_addresses_take_too_much_room() -> None:
    for body, address in ((b"x" * 20_000, 10), (b"", 20_000)):
        kept, answer = Kept(100_000), Answer(200, [], body, '"etag"')
        for number in range(10):
            kept.keep(key(number, address), answer)
            kept.get(key(0, address))
        assert [number for number in range(10) if kept.get(key(number, address))] == [0, 7, 8, 9]


def test_an_answer_that_would_crowd_out_the_others_is_not_kept() -> None:
    kept = Kept()
    kept.keep(key(1, 1), Answer(200, [], b"x" * (BYTES_KEPT_OF_ONE + 1), '"etag"'))
    assert kept.get(key(1, 1)) is None
