"""The corpora of the firewall: requests that a proxy can be sent."""

from __future__ import annotations

import pytest

from lbkit.corpora import CORPORA, Request, corpus


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_has_requests_of_several_kinds(name: str) -> None:
    requests = corpus(name)
    assert len(requests) >= 30
    assert len({kind for kind, _ in requests}) >= 3


def test_a_request_on_the_wire_has_a_head_and_its_body() -> None:
    request = Request(b"/a?b=1", b"POST", length=3, body=b"x=1", content_type=b"text/plain")
    head, _, body = request.wire().partition(b"\r\n\r\n")
    assert body == b"x=1"
    assert head.split(b"\r\n") == [
        b"POST /a?b=1 HTTP/1.1",
        b"host: a.example",
        b"accept: */*",
        b"content-type: text/plain",
        b"content-length: 3",
        b"user-agent: Mozilla/5.0",
    ]


def test_a_corpus_that_there_is_not_is_an_error() -> None:
    with pytest.raises(ValueError, match="there are attacks, attacks_unseen, harmless"):
        corpus("lies")
