"""A RIS, by HL7 v2.5.1 ORU^R01 over MLLP: one message, one answer, one connection."""

from __future__ import annotations

from edge.downlink import mllp, oru
from edge.downlink.verify import Verified
from gateway.clock import Clock
from gateway.errors import Malformed, Refused, Unavailable


class Hl7Delivery:
    """Sends to one receiver.

    Args:
        name: of the destination.
        host: of the receiver.
        port: of the receiver.
        sender: MSH-3.
        clock: for MSH-7.
        answer_seconds: how long it may say nothing.
    """

    kind = "hl7"

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        sender: str,
        clock: Clock,
        *,
        answer_seconds: float = mllp.ANSWER_SECONDS,
    ) -> None:
        self.name, self._host, self._port = name, host, port
        self._sender, self._clock, self._seconds = sender, clock, answer_seconds

    async def deliver(self, verified: Verified) -> str:
        """Send the message and read its acknowledgement (MSA).

        Raises:
            Unavailable: not there, silent, or no readable answer to this very message.
            Refused: application error or reject (AE, AR), in the receiver's own words.
        """
        message = oru.message(verified, self._sender, self._clock.now())
        data = await mllp.exchange(self._host, self._port, message, answer_seconds=self._seconds)
        try:
            answer = oru.read_answer(data)
        except Malformed as error:
            raise Unavailable(f"{self._host}:{self._port} did not answer as HL7 does: {error}") from error
        if answer.control_id != oru.control_id(verified.report):
            raise Unavailable(f"{self._host}:{self._port} answered to another message (MSA-2)")
        words = f"{answer.code} {answer.words}".strip()
        if answer.code in ("AA", "CA"):
            return words
        raise Refused(words)
