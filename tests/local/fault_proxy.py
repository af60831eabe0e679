"""The fault proxy between the functions and S3 or SQS: microburst, made transparent while no fault is injected.

microburst 0.10 sends the upstream's name as Host, which S3 signatures cover, and drops Content-Length, without which
the answer to a HEAD says nothing of the object's size. Here both go through as they came. This file can go, and
`microburst` be started as it is, when it does that itself.
"""

import sys

from microburst import forward
from microburst.cli import main

forward.HOP_BY_HOP -= {"content-length"}
outbound_headers = forward.Upstream._outbound_headers


def with_host(self, request):
    return {**outbound_headers(self, request), "host": request.headers["host"]}


forward.Upstream._outbound_headers = with_host

sys.exit(main())
