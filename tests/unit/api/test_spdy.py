"""SPDY/3.1: the frames, and what a hostile peer may do with them."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikubelet.api.streams import spdy
from minikubelet.api.streams.spdy import Data, Decoder, Encoder, SpdyError


def test_the_dictionary_is_the_one_everybody_else_has():
    assert (len(spdy.DICTIONARY), zlib.adler32(spdy.DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_the_names_of_headers_are_in_lower_case_whatever_the_client_thinks():
    frame = spdy.SynStream(1, {"streamtype": "error"}, False)
    assert list(Decoder().feed(Encoder().syn_stream(1, {"StreamType": "error"}))) == [frame]


FRAMES = [
    spdy.SynStream(1, {"streamtype": "data", "port": "80", "requestid": "0"}, False),
    Data(1, b"hello", False),
    spdy.Ping(7),
    Data(1, b"", True),
    spdy.RstStream(3, spdy.CANCEL),
    spdy.GoAway(3),
    spdy.Ignored(spdy.SYN_REPLY),
]


def encoded() -> bytes:
    encoder = Encoder()
    return b"".join(
        [
            encoder.syn_stream(1, FRAMES[0].headers),
            spdy.data(1, b"hello"),
            spdy.ping(7),
            spdy.data(1, b"", fin=True),
            spdy.rst_stream(3, spdy.CANCEL),
            spdy.goaway(3),
            encoder.syn_reply(1),
        ]
    )


@given(st.lists(st.integers(1, 40), min_size=1))
def test_frames_come_out_whole_however_they_arrive(sizes):
    wire, decoder, frames = encoded(), Decoder(), []
    while wire:
        for size in sizes:
            frames += decoder.feed(wire[:size])
            wire = wire[size:]
    data = [frame for frame in frames if isinstance(frame, Data)]
    assert b"".join(frame.data for frame in data) == b"hello"
    assert [frame.fin for frame in data] == [False] * (len(data) - 1) + [True]
    assert [frame for frame in frames if frame not in data] == [f for f in FRAMES if not isinstance(f, Data)]


def control(kind: int, payload: bytes, flags: int = 0, version: int = 3) -> bytes:
    return struct.pack(">HHI", 0x8000 | version, kind, flags << 24 | len(payload)) + payload


def block(plain: bytes) -> bytes:
    deflate = zlib.compressobj(zdict=spdy.DICTIONARY)
    return deflate.compress(plain) + deflate.flush(zlib.Z_SYNC_FLUSH)


@st.composite
def nearly_frames(draw):
    kind = draw(st.integers(0, 11))
    payload = draw(st.binary(max_size=40))
    if kind in (spdy.SYN_STREAM, spdy.HEADERS, spdy.SYN_REPLY):
        payload = payload[:10] + block(draw(st.binary(max_size=60)))
    return control(kind, payload, draw(st.integers(0, 3)), draw(st.sampled_from([3, 3, 3, 2])))


@settings(max_examples=400)
@given(st.lists(st.one_of(nearly_frames(), st.binary(max_size=60)), max_size=6))
def test_whatever_comes_is_frames_or_an_error_of_our_own(pieces):
    decoder = Decoder()
    try:
        for piece in pieces:
            list(decoder.feed(piece))
    except SpdyError:
        return


HUGE = {
    "a control frame": struct.pack(">HHI", 0x8003, spdy.SYN_STREAM, 0xFFFFFF),
    "a header that inflates": control(spdy.SYN_STREAM, bytes(10) + block(b"\0\0\0\1" + bytes(30 << 20))),
    "more headers than that": control(spdy.SYN_STREAM, bytes(10) + block(b"\0\1\0\0" + bytes(4000))),
    "a header longer than all": control(spdy.SYN_STREAM, bytes(10) + block(b"\0\0\0\1\xff\xff\xff\xff")),
    "garbage": control(spdy.SYN_STREAM, bytes(10) + b"garbage"),
    "a ping without a number": control(spdy.PING, b""),
    "another version": control(spdy.PING, bytes(4), version=2),
}


@pytest.mark.parametrize("wire", HUGE.values(), ids=HUGE)
def test_what_is_too_large_or_makes_no_sense_is_refused_before_it_takes_memory(wire):
    decoder = Decoder()
    tracemalloc.start()
    try:
        with pytest.raises(SpdyError):
            list(decoder.feed(wire))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_data_frame_is_passed_on_as_it_arrives():
    decoder = Decoder()
    size = spdy.DATA_LIMIT
    assert list(decoder.feed(struct.pack(">II", 5, size))) == [Data(5, b"", False)]
    for _ in range(size // 65536):
        assert list(decoder.feed(bytes(65536))) == [Data(5, bytes(65536), False)]
    assert list(decoder.feed(bytes(65535) + spdy.ping(1))) == [Data(5, bytes(65535), False), spdy.Ping(1)]
