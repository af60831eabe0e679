"""The fault proxy between the functions and S3 or SQS: microburst, changed to be transparent without a fault.

microburst 0.10 sends the upstream's name as Host, which S3 signatures cover, and drops Content-Length, without which
the answer to a HEAD does not have the object's size. This program keeps both unchanged. microburst also keeps the
upstream's connection of each answer whose client has gone, and hangs after 100 of them. This program closes such a
connection. It can be removed, and `microburst` started directly, when microburst does that itself.
"""

import copy
import sys

from microburst import forward
from microburst.cli import main

forward.HOP_BY_HOP -= {"content-length"}
outbound_headers = forward.Upstream._outbound_headers
relay_aiohttp = forward.Upstream._relay_aiohttp


def with_host(self, request):
    return {**outbound_headers(self, request), "host": request.headers["host"]}


class Noting:
    """A session that notes the answers of the upstream."""

    def __init__(self, session):
        self.session = session
        self.answers = []

    async def request(self, *arguments, **options):
        answer = await self.session.request(*arguments, **options)
        self.answers.append(answer)
        return answer


async def relay_and_close(self, *arguments):
    relay = copy.copy(self)
    relay.session = Noting(self.session)
    try:
        return await relay_aiohttp(relay, *arguments)
    finally:
        for answer in relay.session.answers:
            # The connection of an answer that was read to its end is in the pool again.
            answer.close()


forward.Upstream._outbound_headers = with_host
forward.Upstream._relay_aiohttp = relay_and_close

sys.exit(main())
