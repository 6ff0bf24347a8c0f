"""Connection: uvicorn's, with a deadline for all that a client makes it wait for. uvicorn itself waits for ever."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .middleware import BODY_S, HEADERS

PATIENCE_S = BODY_S + 2  # so that the guard's 408 comes first


class Connection(H11Protocol):
    """An HTTP connection that is cut when its client takes too long: for headers, a body, or the rest of an answer.

    A deadline begins with the waiting, and no byte on the way moves it. Between two requests uvicorn's own one holds.
    """

    _turn: object = None
    _turns_end: asyncio.TimerHandle | None = None
    _answers_end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first request."""
        transport.set_write_buffer_limits(high=0)  # so that pause_writing tells whenever something is left to be taken
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """A part of a request came."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """The next request may have come already."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """A part of an answer waits for the client to take it."""
        super().pause_writing()
        self._answers_end = self.loop.call_later(PATIENCE_S, self.transport.abort)

    def resume_writing(self) -> None:
        """It was taken."""
        super().resume_writing()
        _cancel(self._answers_end)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        super().connection_lost(exc)
        _cancel(self._turns_end)
        _cancel(self._answers_end)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; uvicorn's answer would not have the headers that all have."""
        headers = [*HEADERS.items(), ("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close")]
        response = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        for event in (response, h11.Data(data=msg.encode()), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _watch(self) -> None:
        """Give the client a deadline of its own for each thing that it is waited for."""
        turn = self._clients_turn()
        if turn == self._turn:
            return
        self._turn = turn
        _cancel(self._turns_end)
        if turn is not None:
            self._turns_end = self.loop.call_later(PATIENCE_S, self.transport.abort)

    def _clients_turn(self) -> object:
        """The request whose headers, or whose body, we wait for; None while the client waits for us, or idles."""
        is_idle = self.timeout_keep_alive_task is not None
        is_answered = self.cycle is None or self.cycle.response_complete
        return None if is_idle or not (is_answered or self.cycle.more_body) else (self.cycle, is_answered)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
